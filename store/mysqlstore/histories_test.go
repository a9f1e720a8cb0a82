package mysqlstore_test

import (
	"testing"

	"github.com/pillboxgo/pillbox/internal/history"
	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// Whatever parallel clients of two pools do, there is an order of their calls
// that explains all answers, and in it nothing comes back that has ended.
func TestHistoriesAreLinearizable(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		history.Run(t, history.Config{
			Open: func(t *testing.T) []history.Handle {
				cfg, opts := config(t, servers.Shared(t, k), ""), mysqlstore.Options{Table: tableName()}
				return []history.Handle{migrated(t, cfg, opts), migrated(t, cfg, opts)}
			},
			AtomicRevoke: true,
		})
	})
}
