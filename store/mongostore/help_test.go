package mongostore_test

import (
	"context"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mongostore"
)

const hour = time.Hour

// in returns the moment d from now as the Manager passes it.
func in(d time.Duration) time.Time { return time.Now().Add(d).Truncate(time.Millisecond) }

func create(t testing.TB, s *mongostore.Store, id, data string) {
	t.Helper()
	if err := s.Create(t.Context(), id, session.Record{Data: []byte(data), Deadline: in(hour)}); err != nil {
		t.Fatalf("Create = %v; want nil", err)
	}
}

func holds(t testing.TB, s *mongostore.Store, id, want string) {
	t.Helper()
	rec, err := s.Load(t.Context(), id, session.Slide{})
	if err != nil || string(rec.Data) != want {
		t.Errorf("Load = %s, %v; want %s", rec.Data, err, want)
	}
}

// raw returns the document under id as it is stored.
func raw(t testing.TB, db *mongo.Database, id string) bson.Raw {
	t.Helper()
	doc, err := db.Collection("sessions").FindOne(t.Context(), bson.D{{Key: "_id", Value: id}}).Raw()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// insert stores a document as a stranger would.
func insert(t testing.TB, db *mongo.Database, id string, fields ...bson.E) {
	t.Helper()
	doc := append(bson.D{{Key: "_id", Value: id}}, fields...)
	if _, err := db.Collection("sessions").InsertOne(context.WithoutCancel(t.Context()), doc); err != nil {
		t.Fatal(err)
	}
}
