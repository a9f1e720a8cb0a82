package memstore_test

import (
	"testing"

	"github.com/pillboxgo/pillbox/internal/history"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// Whatever parallel clients do, there is an order of their calls that explains
// all answers, and in it nothing comes back that has ended.
func TestHistoriesAreLinearizable(t *testing.T) {
	history.Run(t, history.Config{
		Open: func(t *testing.T) []history.Handle {
			s := memstore.New(memstore.Options{})
			t.Cleanup(func() { s.Close() })
			return []history.Handle{s}
		},
		AtomicRevoke: true,
		Clients:      8,
		Worlds:       1,
	})
}
