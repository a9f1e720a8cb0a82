package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// goRedis is a go-redis client as a [redisstore.Commander].
type goRedis struct{ redis.UniversalClient }

func (c goRedis) Do(ctx context.Context, args ...any) (any, error) {
	cmd := once{redis.NewCmd(ctx, args...)}
	if err := c.Process(ctx, cmd); err != nil && !errors.Is(err, redis.Nil) {
		return nil, err
	}
	return cmd.Val(), nil
}

// once is a command that go-redis does not send again by itself.
type once struct{ *redis.Cmd }

func (once) NoRetry() bool { return true }

// Subscribe is needed for Store.Watch only.
func (c goRedis) Subscribe(ctx context.Context, channel string, told func(message string)) error {
	s := c.UniversalClient.Subscribe(ctx, channel)
	defer s.Close()
	for {
		switch m, err := s.Receive(ctx); m := m.(type) {
		case *redis.Subscription:
			told("")
		case *redis.Message:
			told(m.Payload)
		default:
			if err != nil {
				return err
			}
		}
	}
}

// goRedisCluster is the same for a Cluster.
type goRedisCluster struct{ goRedis }

func (c goRedisCluster) Masters(ctx context.Context) (all []redisstore.Commander, err error) {
	var mu sync.Mutex
	err = c.UniversalClient.(*redis.ClusterClient).ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, goRedis{master})
		return nil
	})
	return all, err
}

// A program that has a go-redis client already uses it for its sessions too. The
// types goRedis and goRedisCluster above are all that it takes.
func ExampleNewFrom() {
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: servers.ForExample(servers.Redis7).Addrs[0]})
	defer client.Close()

	store := redisstore.NewFrom(goRedis{client}, redisstore.Options{Prefix: "go-redis:"})
	defer store.Close()

	err := store.Create(ctx, "an-id", session.Record{
		Data:     []byte(`{"pills":3}`),
		Deadline: time.Now().Add(30 * time.Minute),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	record, err := store.Load(ctx, "an-id", session.Slide{})
	fmt.Println(string(record.Data), err)
	// Output: {"pills":3} <nil>
}
