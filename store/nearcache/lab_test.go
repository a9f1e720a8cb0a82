package nearcache_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
	"github.com/pillboxgo/pillbox/store/nearcache"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// open returns a cache before store, which is closed when the test ends.
func open(t testing.TB, store session.Store, opts nearcache.Options) nearcache.Store {
	t.Helper()
	s, err := nearcache.New(store, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// memory returns a store in memory that does not tell of changes, as most stores
// behind a network do not.
func memory(t testing.TB) session.Store {
	s := memstore.New(memstore.Options{})
	t.Cleanup(func() { s.Close() })
	return quiet{s, s, s, s, s, s}
}

type quiet struct {
	session.Store
	session.UserIndex
	session.Lister
	session.Counter
	session.Clearer
	session.Pruner
}

var prefixes atomic.Int64

// newPrefix returns a prefix that no other test uses.
func newPrefix() string { return fmt.Sprintf("t%d:", prefixes.Add(1)) }

// connect returns a client that is closed when the test ends.
func connect(t testing.TB, addr string) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{addr}, DisableCache: true, ReadBufferEachConn: 16 << 10, WriteBufferEachConn: 16 << 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// redis returns a store as a process opens it.
func redis(t testing.TB, addr string, opts redisstore.Options) session.Store {
	t.Helper()
	if opts.Prefix == "" {
		opts.Prefix = newPrefix()
	}
	opts.PruneEvery = -1
	s := redisstore.New(connect(t, addr), opts)
	t.Cleanup(func() { s.Close() })
	return s
}

// A shared store is one that several processes use.
var shared = []struct {
	name string
	// open returns a function that opens it as another process does.
	open func(t *testing.T) func() session.Store
}{
	{"memory", func(t *testing.T) func() session.Store {
		s := memory(t)
		return func() session.Store { return s }
	}},
	{"redis", func(t *testing.T) func() session.Store {
		addr, opts := servers.Shared(t, servers.Redis7).Addrs[0], redisstore.Options{Prefix: newPrefix()}
		return func() session.Store { return redis(t, addr, opts) }
	}},
	{"redis, watched", func(t *testing.T) func() session.Store {
		addr, opts := servers.Shared(t, servers.Redis7).Addrs[0], redisstore.Options{Prefix: newPrefix(), Watch: true}
		return func() session.Store { return redis(t, addr, opts) }
	}},
}

// in returns the moment d from now in whole milliseconds.
func in(d time.Duration) time.Time { return time.UnixMilli(time.Now().Add(d).UnixMilli()) }

func record(data string) session.Record {
	return session.Record{Data: []byte(data), Deadline: in(time.Hour)}
}

func owned(data, user string) session.Record {
	rec := record(data)
	rec.Owner = session.Owner{User: user, AsOf: in(0)}
	return rec
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func second[T any](_ T, err error) error { return err }
