package nearcache_test

import (
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/history"
	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/store/memstore"
	"github.com/pillboxgo/pillbox/store/nearcache"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// Whatever parallel clients of one process do, there is an order of their calls that
// explains all answers, as there is without the cache. Clients of several
// processes may read what was true a lease before: see
// TestEndedIsFinalAcrossCaches for what holds among them.
func TestHistoriesAreLinearizable(t *testing.T) {
	const lease = time.Millisecond
	for name, cfg := range map[string]history.Config{
		"memory": {
			Open: func(t *testing.T) []history.Handle {
				return []history.Handle{open(t, memory(t), nearcache.Options{Lease: lease}).(history.Handle)}
			},
			Operations: 10_000, AtomicRevoke: true, Clients: 8, Worlds: 1,
		},
		"memory, watched": {
			Open: func(t *testing.T) []history.Handle {
				s := memstore.New(memstore.Options{})
				t.Cleanup(func() { s.Close() })
				return []history.Handle{open(t, s, nearcache.Options{Lease: lease}).(history.Handle)}
			},
			Operations: 10_000, AtomicRevoke: true, Clients: 8, Worlds: 1,
		},
		"redis": {
			Open: func(t *testing.T) []history.Handle {
				below := redis(t, servers.Shared(t, servers.Redis7).Addrs[0], redisstore.Options{})
				return []history.Handle{open(t, below, nearcache.Options{Lease: lease}).(history.Handle)}
			},
			Operations: 6000,
		},
		"redis, watched": {
			Open: func(t *testing.T) []history.Handle {
				below := redis(t, servers.Shared(t, servers.Redis7).Addrs[0], redisstore.Options{Watch: true})
				return []history.Handle{open(t, below, nearcache.Options{Lease: lease}).(history.Handle)}
			},
			Operations: 6000,
		},
	} {
		t.Run(name, func(t *testing.T) { history.Run(t, cfg) })
	}
}
