package sqlitestore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	ctx := context.Background()
	store, err := sqlitestore.Open(ctx, filepath.Join(dir, "sessions.db"), sqlitestore.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

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

// An application that needs a table or two of its own keeps them in the same
// file.
func ExampleStore_DB() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	store, err := sqlitestore.Open(context.Background(), filepath.Join(dir, "app.db"), sqlitestore.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	db := store.DB()
	if _, err := db.Exec("CREATE TABLE IF NOT EXISTS users (name TEXT PRIMARY KEY, password TEXT NOT NULL) STRICT"); err != nil {
		fmt.Println(err)
		return
	}
	_, err = db.Exec("INSERT INTO users VALUES (?, ?)", "alice", "a hash")
	fmt.Println(err)
	// Output: <nil>
}
