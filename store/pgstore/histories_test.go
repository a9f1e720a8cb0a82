package pgstore_test

import (
	"testing"

	"github.com/pillboxgo/pillbox/internal/history"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// Whatever parallel clients of two pools do, there is an order of their calls
// that explains all answers, and in it nothing comes back that has ended.
func TestHistoriesAreLinearizable(t *testing.T) {
	history.Run(t, history.Config{
		Open: func(t *testing.T) []history.Handle {
			opts := pgstore.Options{Table: table()}
			to := with(t, shared(t), "pool_max_conns", "10")
			return []history.Handle{open(t, connect(t, to), opts), open(t, connect(t, to), opts)}
		},
		AtomicRevoke: true,
	})
}
