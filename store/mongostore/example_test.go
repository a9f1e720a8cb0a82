package mongostore_test

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mongostore"
)

func ExampleNew() {
	ctx := context.Background()
	client, err := mongo.Connect(options.Client().ApplyURI(servers.ForExample(servers.MongoDB).URL))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Disconnect(ctx)
	db := client.Database("example")
	defer db.Drop(ctx)

	store := mongostore.New(db, mongostore.Options{})
	defer store.Close()
	if err := store.Ping(ctx); err != nil {
		fmt.Println(err)
		return
	}
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

	// This is all that an Express application with connect-mongo needs.
	var doc struct{ Session string }
	err = db.Collection("sessions").FindOne(ctx, bson.D{{Key: "_id", Value: "an-id"}}).Decode(&doc)
	fmt.Println(doc.Session, err)
	// Output: {"pills":3} <nil>
}

// Beside connect-mongo with stringify: false, sessions are subdocuments, and
// dates in them stay dates.
func ExampleOptions() {
	ctx := context.Background()
	client, err := mongo.Connect(options.Client().ApplyURI(servers.ForExample(servers.MongoDB).URL))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Disconnect(ctx)
	db := client.Database("example_subdocuments")
	defer db.Drop(ctx)

	store := mongostore.New(db, mongostore.Options{Object: true})
	defer store.Close()

	_, err = db.Collection("sessions").InsertOne(ctx, bson.D{
		{Key: "_id", Value: "made-by-express"},
		{Key: "session", Value: bson.D{
			{Key: "cookie", Value: bson.D{{Key: "path", Value: "/"}}},
			{Key: "since", Value: time.UnixMilli(1795406335999)},
		}},
		{Key: "expires", Value: time.Now().Add(30 * time.Minute)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	record, err := store.Load(ctx, "made-by-express", session.Slide{})
	fmt.Println(string(record.Data), err)
	// Output: {"cookie":{"path":"/"},"since":"2026-11-23T03:58:55.999Z"} <nil>
}
