package nearcache_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/session/storetest"
	"github.com/pillboxgo/pillbox/store/dynamostore"
	"github.com/pillboxgo/pillbox/store/memstore"
	"github.com/pillboxgo/pillbox/store/mongostore"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
	"github.com/pillboxgo/pillbox/store/nearcache"
	"github.com/pillboxgo/pillbox/store/pgstore"
	"github.com/pillboxgo/pillbox/store/redisstore"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

const lease = 2 * time.Millisecond

func TestStore(t *testing.T) {
	t.Run("memory, room for two", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) session.Store {
			return open(t, memory(t), nearcache.Options{Lease: lease, MaxRecords: 2})
		})
	})
	for _, watch := range []bool{false, true} {
		t.Run(fmt.Sprint("redis, watched: ", watch), func(t *testing.T) { conform(t, watch) })
	}
}

// conform runs the conformance suite for one process. Handles of others may be
// stale by design.
func conform(t *testing.T, watch bool) {
	var mu sync.Mutex
	links := make(map[session.Store]*servers.Link)
	storetest.RunConfig(t, storetest.Config{
		Open: func(t *testing.T) session.Store {
			link := servers.Proxy(t, servers.Shared(t, servers.Redis7).Addrs[0])
			below := redis(t, link.Addr, redisstore.Options{Watch: watch})
			if !watch {
				below = struct { // its Watch would only say that it is switched off
					session.Store
					session.UserIndex
					session.Lister
					session.Counter
					session.Clearer
				}{below, below.(session.UserIndex), below.(session.Lister), below.(session.Counter), below.(session.Clearer)}
			}
			s := open(t, below, nearcache.Options{Lease: lease})
			mu.Lock()
			defer mu.Unlock()
			links[s] = link
			return s
		},
		Stall: func(_ *testing.T, s session.Store) func() {
			mu.Lock()
			defer mu.Unlock()
			link := links[s]
			link.BlackHole()
			return link.Up
		},
		Break: func(_ *testing.T, s session.Store) {
			mu.Lock()
			defer mu.Unlock()
			links[s].Down()
			time.Sleep(lease) // until then what was read is good
		},
	})
}

// A cache can do what its store can do, and nothing else.
func TestPowers(t *testing.T) {
	powers := func(s session.Store) string {
		var names []string
		for _, power := range []struct {
			name string
			has  bool
		}{
			{"UserIndex", is[session.UserIndex](s)},
			{"Lister", is[session.Lister](s)},
			{"Counter", is[session.Counter](s)},
			{"Clearer", is[session.Clearer](s)},
			{"Pruner", is[session.Pruner](s)},
			{"Watcher", is[session.Watcher](s)},
		} {
			if power.has {
				names = append(names, power.name)
			}
		}
		return strings.Join(names, " ")
	}
	m := memstore.New(memstore.Options{})
	defer m.Close()
	pool, err := pgxpool.New(t.Context(), "postgres://127.0.0.1:1/nobody") // connects when it is used
	must(t, err)
	defer pool.Close()
	for _, store := range []session.Store{
		m,
		redisstore.New(rueidis.Client(nil), redisstore.Options{PruneEvery: -1}),
		pgstore.New(pool, pgstore.Options{PruneEvery: -1}),
		(*mysqlstore.Store)(nil),
		(*sqlitestore.Store)(nil),
		(*mongostore.Store)(nil),
		(*dynamostore.Store)(nil),
		struct{ session.Store }{m},
		struct {
			session.Store
			session.UserIndex
		}{m, m},
		struct {
			session.Store
			session.UserIndex
			session.Watcher
		}{m, m, m},
		struct {
			session.Store
			session.Watcher
		}{m, m},
		struct {
			session.Store
			session.UserIndex
			session.Lister
			session.Counter
			session.Clearer
		}{m, m, m, m, m},
	} {
		s, err := nearcache.New(store, nearcache.Options{})
		if err != nil {
			t.Errorf("%T: %v", store, err)
			continue
		}
		if got, want := powers(s), powers(store); got != want {
			t.Errorf("before %T there is %q; want %q", store, got, want)
		}
		must(t, s.Close())
	}
	if s, err := nearcache.New(struct {
		session.Store
		session.Clearer
	}{m, m}, nearcache.Options{}); err == nil {
		t.Errorf("before a store with Clear alone there is %q; want an error", powers(s))
	}
}

func is[T any](s session.Store) bool { _, ok := s.(T); return ok }

func TestOptionsAreChecked(t *testing.T) {
	for _, c := range []struct {
		name  string
		store session.Store
		opts  nearcache.Options
		wants []string
	}{
		{"no store", nil, nearcache.Options{}, []string{"store is nil"}},
		{"a negative lease", memory(t), nearcache.Options{Lease: -1}, []string{"Options.Lease"}},
		{"a lease that is too long", memory(t), nearcache.Options{Lease: time.Second + 1}, []string{"Options.Lease"}},
		{"both", nil, nearcache.Options{Lease: -1}, []string{"store is nil", "Options.Lease"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := nearcache.New(c.store, c.opts)
			if err == nil || s != nil {
				t.Fatalf("New = %v, %v; want an error", s, err)
			}
			for _, want := range c.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("New = %v; want %q in it", err, want)
				}
			}
		})
	}
}
