package sqlitestore_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pillboxgo/pillbox/internal/history"
)

// Whatever parallel clients of two handles on one file do, there is an order of
// their calls that explains all answers, and in it nothing comes back that has
// ended.
func TestHistoriesAreLinearizable(t *testing.T) {
	history.Run(t, history.Config{
		Open: func(t *testing.T) []history.Handle {
			path := inMemory(t)
			return []history.Handle{open(t, path), open(t, path)}
		},
		AtomicRevoke: true,
	})
}

// inMemory returns the name of a file that is not on a disk where the system has
// such files. A disk has to be waited for after each of 35,000 changes, which takes
// a slow one several minutes, and what is on it after a crash is tested elsewhere.
func inMemory(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "pillbox-")
	if err != nil {
		return temp(t)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "sessions.db")
}
