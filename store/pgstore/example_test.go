package pgstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

func ExampleNew() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, databaseURL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()

	store := pgstore.New(pool, pgstore.Options{Table: "example_sessions"})
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
	record, err := store.Load(ctx, "an-id", session.Slide{})
	fmt.Println(string(record.Data), err)
	// Output: {"pills":3} <nil>
}

// An application that uses database/sql shares its connections with the store.
func ExampleNewSQL() {
	db, err := sql.Open("pgx", databaseURL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()

	store := pgstore.NewSQL(db, pgstore.Options{Table: "example_sql_sessions"})
	defer store.Close()
	fmt.Println(store.Migrate(context.Background()))
	// Output: <nil>
}

// Without Options.Watch nobody is told of changes, and Watch does not wait for
// what never comes.
func ExampleStore_Watch_incorrect() {
	pool, err := pgxpool.New(context.Background(), databaseURL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	store := pgstore.New(pool, pgstore.Options{Table: "example_unwatched"})
	defer store.Close()

	fmt.Println(store.Watch(context.Background(), func(digest string) {}))
	// Output: pillbox: postgres watch sessions: Options.Watch is not set
}

func ExampleStore_Watch() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	pool, err := pgxpool.New(ctx, databaseURL())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	store := pgstore.New(pool, pgstore.Options{Table: "example_watched", Watch: true})
	defer store.Close()
	if err := store.Migrate(ctx); err != nil {
		fmt.Println(err)
		return
	}

	changes := make(chan string)
	go store.Watch(ctx, func(digest string) { changes <- digest })
	<-changes // the empty digest: anything may have changed before

	err = store.Create(ctx, "an-id", session.Record{Data: []byte(`{}`), Deadline: time.Now().Add(time.Minute)})
	if err != nil {
		fmt.Println(err)
		return
	}
	digest := <-changes
	fmt.Println(digest == session.Digest("an-id") || digest == "")
	// Output: true
}

// databaseURL names a database on the server that the tests share. An example has
// no testing.TB to ask for it with.
var databaseURL = sync.OnceValue(func() (url string) {
	testing.Benchmark(func(b *testing.B) { url = database(b, "UTC") })
	return url
})
