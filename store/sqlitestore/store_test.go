package sqlitestore_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/session/storetest"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

// open opens a store, and closes it when the test is over.
func open(t testing.TB, path string) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(context.Background(), path, sqlitestore.Options{PruneEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v; want nil", err)
		}
	})
	return s
}

func temp(t testing.TB) string {
	return filepath.Join(t.TempDir(), "sessions.db")
}

// lock begins a transaction that keeps every other writer out, as another
// process would, until the function that it returns is called.
func lock(t testing.TB, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path+"?_txlock=immediate&_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		tx.Rollback()
		db.Close()
	}
}

// A located store knows its file.
type located struct {
	*sqlitestore.Store
	path string
}

func TestContract(t *testing.T) {
	again := func(t *testing.T, s session.Store) session.Store {
		path := s.(located).path
		return located{open(t, path), path}
	}
	storetest.RunConfig(t, storetest.Config{
		Open: func(t *testing.T) session.Store {
			path := temp(t)
			return located{open(t, path), path}
		},
		Peer:     again,
		Reopen:   again, // TestKill ends processes in earnest
		Break:    func(t *testing.T, s session.Store) { s.(located).Close() },
		MaxBytes: 16 << 20,
	})
}
