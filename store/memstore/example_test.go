package memstore_test

import (
	"context"
	"fmt"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

func ExampleNew() {
	store := memstore.New(memstore.Options{MaxSessions: 10_000})
	defer store.Close()

	ctx := context.Background()
	err := store.Create(ctx, "an-id", session.Record{
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
