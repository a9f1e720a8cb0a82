package pgstore_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite"

	"github.com/pillboxgo/pillbox/store/pgstore"
)

// until waits for something to hold.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 30 s for %s", what)
		}
	}
}

// hangUp closes a connection that the test may have left in any state.
func hangUp(c *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c.Close(ctx)
}

// both returns a store for each way to have connections.
func both(t testing.TB, to string, opts pgstore.Options) map[string]*pgstore.Store {
	t.Helper()
	stores := map[string]*pgstore.Store{
		"pgxpool":      pgstore.New(connect(t, to), opts),
		"database/sql": pgstore.NewSQL(openSQL(t, to), opts),
	}
	for _, s := range stores {
		t.Cleanup(func() { s.Close() })
	}
	return stores
}

// openSQL returns connections of database/sql.
func openSQL(t testing.TB, to string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// foreignDB returns a database of another kind.
func foreignDB(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}
