package redisstore_test

import (
	"sync"
	"testing"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/session/storetest"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// quiet is a store without Options.Watch, and so without a Watch that works.
type quiet struct {
	session.Store
	session.UserIndex
	session.Lister
	session.Counter
	session.Clearer
}

func TestStore(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) { conform(t, servers.Shared(t, kind), redisstore.Options{}) })
	}
}

func TestStoreWatched(t *testing.T) {
	for _, kind := range differing {
		t.Run(string(kind), func(t *testing.T) { conform(t, servers.Shared(t, kind), redisstore.Options{Watch: true}) })
	}
}

// Redis 6.2 lacks the command that tells a deadline. So does a server that
// forbids it.
func TestStoreWithoutPexpiretime(t *testing.T) {
	server := servers.Start(t, servers.Redis7)
	client := connect(t, direct(server))
	if err := client.Do(t.Context(), client.B().Arbitrary("ACL", "SETUSER", "default", "-pexpiretime").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if err := client.Do(t.Context(), client.B().Pexpiretime().Key("k").Build()).Error(); err == nil {
		t.Fatal("the server still knows PEXPIRETIME")
	}
	conform(t, server, redisstore.Options{})
}

// differing are the kinds of servers that differ in what they are sent: one that
// knows SET … IFEQ, one that does not, and one of several nodes.
var differing = []servers.Kind{servers.Redis7, servers.Valkey, servers.RedisCluster}

func TestStoreConfirmed(t *testing.T) {
	for _, kind := range []servers.Kind{servers.RedisCluster, servers.RedisSentinel} {
		t.Run(string(kind), func(t *testing.T) { conform(t, servers.Shared(t, kind), redisstore.Options{WaitReplicas: 1}) })
	}
}

// conform runs the conformance suite.
func conform(t *testing.T, server *servers.Server, opts redisstore.Options) {
	type handle struct {
		client  rueidis.Client
		network *network
		opts    redisstore.Options
	}
	var mu sync.Mutex
	handles := make(map[session.Store]handle)
	mount := func(t *testing.T, network *network, opts redisstore.Options) session.Store {
		client := connect(t, network.options())
		store := openOn(t, client, opts)
		var s session.Store = store
		if !opts.Watch {
			s = &quiet{store, store, store, store, store}
		}
		mu.Lock()
		defer mu.Unlock()
		handles[s] = handle{client, network, opts}
		return s
	}
	of := func(s session.Store) handle {
		mu.Lock()
		defer mu.Unlock()
		return handles[s]
	}
	storetest.RunConfig(t, storetest.Config{
		Open: func(t *testing.T) session.Store {
			opts := opts
			opts.Prefix = newPrefix()
			return mount(t, newNetwork(t, server), opts)
		},
		Peer:   func(t *testing.T, s session.Store) session.Store { return mount(t, of(s).network, of(s).opts) },
		Reopen: func(t *testing.T, s session.Store) session.Store { return mount(t, of(s).network, of(s).opts) },
		Stall: func(_ *testing.T, s session.Store) func() {
			of(s).network.all((*servers.Link).BlackHole)
			return func() { of(s).network.all((*servers.Link).Up) }
		},
		Break: func(_ *testing.T, s session.Store) { of(s).network.all((*servers.Link).Down) },
	})
}
