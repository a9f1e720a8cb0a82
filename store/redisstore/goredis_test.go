package redisstore_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/session/storetest"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// commander returns a go-redis client for a server, which is closed when the test
// ends.
func commander(t testing.TB, server *servers.Server) (redisstore.Commander, func()) {
	t.Helper()
	var client redis.UniversalClient
	switch server.Kind {
	case servers.RedisCluster:
		c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: server.Addrs})
		t.Cleanup(func() { c.Close() })
		return goRedisCluster{goRedis{c}}, func() { c.Close() }
	case servers.RedisSentinel:
		client = redis.NewFailoverClient(&redis.FailoverOptions{MasterName: server.MasterName, SentinelAddrs: server.Addrs[:3]})
	default:
		client = redis.NewClient(&redis.Options{Addr: server.Addrs[0]})
	}
	t.Cleanup(func() { client.Close() })
	return goRedis{client}, func() { client.Close() }
}

func TestStoreFromGoRedis(t *testing.T) {
	for _, kind := range differing {
		for name, watch := range map[string]bool{"quiet": false, "watched": true} {
			t.Run(string(kind)+"/"+name, func(t *testing.T) {
				server := servers.Shared(t, kind)
				var mu sync.Mutex
				ends := make(map[session.Store]func())
				prefixes := make(map[session.Store]string)
				mount := func(t *testing.T, prefix string) session.Store {
					client, end := commander(t, server)
					store := redisstore.NewFrom(client, redisstore.Options{Prefix: prefix, Watch: watch})
					t.Cleanup(func() { store.Close() })
					var s session.Store = store
					if !watch {
						s = &quiet{store, store, store, store, store}
					}
					mu.Lock()
					defer mu.Unlock()
					ends[s], prefixes[s] = end, prefix
					return s
				}
				again := func(t *testing.T, s session.Store) session.Store {
					mu.Lock()
					prefix := prefixes[s]
					mu.Unlock()
					return mount(t, prefix)
				}
				storetest.RunConfig(t, storetest.Config{
					Open:   func(t *testing.T) session.Store { return mount(t, newPrefix()) },
					Peer:   again,
					Reopen: again,
					Break: func(_ *testing.T, s session.Store) {
						mu.Lock()
						defer mu.Unlock()
						ends[s]()
					},
				})
			})
		}
	}
}

// single hides that a Commander can find the masters of a Cluster.
type single struct{ redisstore.Commander }

func TestCommanderThatSeesOneNodeOfACluster(t *testing.T) {
	client, _ := commander(t, servers.Shared(t, servers.RedisCluster))
	store := redisstore.NewFrom(single{client}, redisstore.Options{Prefix: newPrefix()})
	defer store.Close()
	if err := store.Create(t.Context(), "id", record("{}")); err != nil {
		t.Fatal(err)
	}
	n, err := store.Count(t.Context())
	if err == nil || !strings.Contains(err.Error(), "ClusterCommander") {
		t.Errorf("Count() = %d, %v; want an error that names ClusterCommander, not the count of one node", n, err)
	}
	if err := store.Clear(t.Context()); err == nil {
		t.Error("Clear() = nil; want an error, as one node only would be cleared")
	}
	if _, err := store.Load(t.Context(), "id", session.Slide{}); err != nil {
		t.Errorf("Load = %v; want what needs one key to work", err)
	}
}

func TestCommanderWithoutSubscriber(t *testing.T) {
	client, _ := commander(t, servers.Shared(t, servers.Redis7))
	store := redisstore.NewFrom(single{client}, redisstore.Options{Prefix: newPrefix(), Watch: true})
	defer store.Close()
	err := store.Watch(t.Context(), func(string) {})
	if err == nil || !strings.Contains(err.Error(), "Subscriber") {
		t.Errorf("Watch = %v; want an error that names Subscriber", err)
	}
}

func TestConfirmationNeedsRueidis(t *testing.T) {
	client, _ := commander(t, servers.Shared(t, servers.Redis7))
	store := redisstore.NewFrom(client, redisstore.Options{Prefix: newPrefix(), WaitReplicas: 1})
	defer store.Close()
	for what, err := range map[string]error{
		"Ping":   store.Ping(t.Context()),
		"Create": store.Create(t.Context(), "id", record("{}")),
	} {
		if err == nil || !strings.Contains(err.Error(), "WaitReplicas") {
			t.Errorf("%s = %v; want an error that names WaitReplicas", what, err)
		}
	}
}

// A client that loses the answer to a change must not make it twice: see
// Commander.Do.
func TestGoRedisSendsNothingTwice(t *testing.T) {
	server := servers.Shared(t, servers.Redis7)
	link := servers.Proxy(t, server.Addrs[0])
	client := redis.NewClient(&redis.Options{Addr: link.Addr})
	defer client.Close()
	ctx := context.Background()
	if err := client.Set(ctx, "sent-once", 0, 0).Err(); err != nil {
		t.Fatal(err)
	}
	link.LoseAnswers()
	lost := make(chan error, 1)
	go func() {
		_, err := goRedis{client}.Do(ctx, "INCR", "sent-once")
		lost <- err
	}()
	plain := redis.NewClient(&redis.Options{Addr: server.Addrs[0]})
	defer plain.Close()
	until(t, "the command has been carried out", func() bool { return plain.Get(ctx, "sent-once").Val() != "0" })
	link.Up() // closes the connection: go-redis sees EOF, which it would answer by sending again
	if err := <-lost; err == nil {
		t.Error("a command whose answer was lost = nil; want an error")
	}
	if got := plain.Get(ctx, "sent-once").Val(); got != "1" {
		t.Errorf("it was carried out %s times; want once", got)
	}
}
