package sqlitestore_test

import (
	"testing"

	"github.com/pillboxgo/pillbox/internal/history"
)

// Whatever parallel clients of two handles on one file do, there is an order of
// their calls that explains all answers, and in it nothing comes back that has
// ended.
func TestHistoriesAreLinearizable(t *testing.T) {
	history.Run(t, history.Config{
		Open: func(t *testing.T) []history.Handle {
			path := temp(t)
			return []history.Handle{open(t, path), open(t, path)}
		},
		AtomicRevoke: true,
	})
}
