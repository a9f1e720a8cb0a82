package mysqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

func ExampleOpen() {
	ctx := context.Background()
	dsn := exampleDSN() // such as app:password@tcp(db.example.com)/shop?tls=true
	store, err := mysqlstore.Open(ctx, dsn, mysqlstore.Options{Table: "open_sessions"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	if err := store.Migrate(ctx); err != nil {
		fmt.Println(err)
		return
	}

	err = store.Create(ctx, "an-id", session.Record{
		Data:     []byte(`{"pills":3}`),
		Deadline: time.Now().Add(30 * time.Minute),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Half an hour from now on, in the same round trip.
	record, err := store.Load(ctx, "an-id", session.Slide{To: time.Now().Add(30 * time.Minute)})
	fmt.Println(string(record.Data), err)
	// Output: {"pills":3} <nil>
}

// An application that has a pool gives it to the store.
func ExampleNew() {
	ctx := context.Background()
	db, err := sql.Open("mysql", exampleDSN())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()

	store := mysqlstore.New(db, mysqlstore.Options{
		Table:   "express_sessions",
		Columns: mysqlstore.Columns{ID: "sid", Data: "session"}, // as in Express's schema.columnNames
	})
	defer store.Close()
	if err := store.Migrate(ctx); err != nil {
		fmt.Println(err)
		return
	}
	err = store.Create(ctx, "an-id", session.Record{
		Data:     []byte(`{"pills":3}`),
		Deadline: time.Now().Add(30 * time.Minute),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// This is all that Express needs.
	var data string
	err = db.QueryRowContext(ctx, "SELECT session FROM express_sessions WHERE sid = 'an-id' AND expires > UNIX_TIMESTAMP()").Scan(&data)
	fmt.Println(data, err)
	// Output: {"pills":3} <nil>
}

// exampleDSN returns the DSN of a server, which an Example has no testing.TB to
// ask for with.
func exampleDSN() (dsn string) {
	testing.Benchmark(func(b *testing.B) {
		dsn = config(b, servers.Shared(b, servers.MariaDB), "").FormatDSN()
	})
	return dsn
}
