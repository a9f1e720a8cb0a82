package mongostore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mongostore"
)

// Prune goes over several batches, and takes neither more than it may nor what
// lives.
func TestPruneInBatches(t *testing.T) {
	db := database(t)
	s := open(t, db, forms[0].Options)
	const dead = 300
	var docs []any
	for i := range dead + 50 {
		expires := in(-hour)
		if i >= dead {
			expires = in(hour)
		}
		docs = append(docs, bson.D{{Key: "_id", Value: fmt.Sprintf("%03d", i)}, {Key: "session", Value: "{}"}, {Key: "expires", Value: expires}})
	}
	docs = append(docs, bson.D{{Key: "_id", Value: 17}, {Key: "expires", Value: in(-hour)}}) // a stranger's
	if _, err := db.Collection("sessions").InsertMany(t.Context(), docs); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ limit, want int }{{1, 1}, {140, 140}, {1000, dead + 1 - 141}, {1000, 0}} {
		if n, err := s.Prune(t.Context(), step.limit); n != step.want || err != nil {
			t.Errorf("Prune(%d) = %d, %v; want %d", step.limit, n, err, step.want)
		}
	}
	if n, err := db.Collection("sessions").CountDocuments(t.Context(), bson.D{}); n != 50 || err != nil {
		t.Errorf("%d documents are left, %v; want the 50 that live", n, err)
	}
}

// The index by user does not keep what has ended, nor users who have nothing.
func TestPruneTidiesTheIndexByUser(t *testing.T) {
	db := database(t)
	s := open(t, db, forms[0].Options)
	for i := range 150 { // more than one call looks at
		rec := session.Record{Data: []byte(`{}`), Deadline: in(hour), Owner: session.Owner{User: fmt.Sprint("user", i), AsOf: time.Now()}}
		if err := s.Create(t.Context(), fmt.Sprint("id", i), rec); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			if err := s.Delete(t.Context(), fmt.Sprint("id", i), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 {
		if _, err := s.Prune(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := db.Collection("sessions_users").CountDocuments(t.Context(), bson.D{}); n != 1 || err != nil {
		t.Errorf("the index has %d users, %v; want the one who has a session", n, err)
	}
}

// The store's own goroutine removes the dead, until Close.
func TestPruneEvery(t *testing.T) {
	db := database(t)
	insert(t, db, "dead", bson.E{Key: "session", Value: "{}"}, bson.E{Key: "expires", Value: in(-hour)})
	s := mongostore.New(db, mongostore.Options{PruneEvery: 20 * time.Millisecond})
	eventually(t, "the dead to be removed", func() error {
		n, err := db.Collection("sessions").CountDocuments(t.Context(), bson.D{})
		if err == nil && n > 0 {
			err = fmt.Errorf("%d documents are left", n)
		}
		return err
	})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v; want nil", err)
		}
	}
}

// New neither connects nor, with a negative PruneEvery, starts a goroutine.
func TestNewDoesNothing(t *testing.T) {
	db := connect(t, "mongodb://127.0.0.1:1/").Database("none")
	before := runtime.NumGoroutine()
	const stores = 100
	for range stores {
		mongostore.New(db, mongostore.Options{PruneEvery: -1})
	}
	if n := runtime.NumGoroutine() - before; n >= stores {
		t.Errorf("%d stores started %d goroutines; want none", stores, n)
	}
}

// Two stores in one database, by the names of their collections.
func TestCollectionsAreApart(t *testing.T) {
	db := database(t)
	one := open(t, db, forms[0].Options)
	two := open(t, db, mongostore.Options{Collection: "visits", PruneEvery: -1})
	owner := session.Owner{User: "ada", AsOf: time.Now()}
	for _, s := range []*mongostore.Store{one, two} {
		if err := s.Create(t.Context(), "id", session.Record{Data: []byte(`{}`), Deadline: in(hour), Owner: owner}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := one.RevokeUser(t.Context(), "ada", time.Now()); n != 1 || err != nil {
		t.Errorf("RevokeUser = %d, %v; want 1", n, err)
	}
	holds(t, two, "id", `{}`)
}

func TestPing(t *testing.T) {
	db := database(t)
	s := open(t, db, forms[0].Options)
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping before there is a collection = %v; want nil", err)
	}
	create(t, s, "id", `{}`)
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping = %v; want nil", err)
	}
}

// FerretDB forgets the collation that a collection is made with. This is how
// MongoDB's listCollections tells of one.
func TestPingRefusesACollation(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"name":"sessions","type":"collection","options":{}}`:                                       true,
		`{"name":"sessions","type":"collection","options":{"collation":{"locale":"simple"}}}`:        true,
		`{"name":"sessions","options":{"collation":{"locale":"en","caseLevel":false,"strength":2}}}`: false,
	} {
		var info bson.Raw
		if err := bson.UnmarshalExtJSON([]byte(text), false, &info); err != nil {
			t.Fatal(err)
		}
		if err := mongostore.CheckCollation(info); (err == nil) != ok {
			t.Errorf("of %s Ping says %v; want it to pass: %t", text, err, ok)
		}
	}
}

// Nobody listens. The error says where, and what to do; not the password.
func TestPingNamesTheHost(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	client := connect(t, "mongodb://pharmacist:hunter2@"+addr+"/?authSource=admin")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begun := time.Now()
	err = open(t, client.Database("app"), forms[0].Options).Ping(ctx)
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("Ping took %v; its context had 300ms", took)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ping = %v; want one that is %v", err, context.DeadlineExceeded)
	}
	text := fmt.Sprintf("%v %+v", err, err)
	for _, part := range []string{"pillbox: mongodb ping: ", addr, "check that the server runs"} {
		if !strings.Contains(text, part) {
			t.Errorf("Ping = %s; want %q in it", text, part)
		}
	}
	if strings.Contains(text, "hunter2") {
		t.Errorf("Ping = %s; want no password in it", text)
	}
}

// What the server says may quote what the command held. The code does not.
func TestServersWordsAreNotShown(t *testing.T) {
	db := connect(t, servers.Shared(t, servers.MongoDB).URL).Database("pillbox secretName")
	s := open(t, db, forms[0].Options)
	err := s.Create(t.Context(), "SecretId", session.Record{Data: []byte(`{}`), Deadline: in(hour)})
	if err == nil {
		t.Fatal("Create in a database whose name is not allowed = nil; want an error")
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err), fmt.Sprintf("%#v", errors.Unwrap(err))} {
		if strings.Contains(text, "secretName") || strings.Contains(text, "SecretId") {
			t.Errorf("the error shows what the server says: %s", text)
		}
	}
	var command mongo.CommandError
	if !strings.Contains(err.Error(), "the server answered") || !errors.As(err, &command) && !errors.As(err, new(mongo.WriteException)) {
		t.Errorf("Create = %v; want the server's code, and the driver's error within", err)
	}
}

// Invalid UTF-8 is refused, before it is stored as something else.
func TestInvalidUTF8IsRefused(t *testing.T) {
	db := database(t)
	for _, form := range forms {
		s := open(t, db, form.Options)
		if err := s.Create(t.Context(), "bad", session.Record{Data: []byte("{\"a\":\"\xff\"}"), Deadline: in(hour)}); err == nil {
			t.Errorf("%s: Create of invalid UTF-8 = nil; want an error", form.name)
		}
		create(t, s, form.name, `{"a":"\ufffd"}`)
		if err := s.Update(t.Context(), form.name, []byte("{\"a\":\"\xff\"}"), []byte(`{}`), in(hour)); !errors.Is(err, session.ErrConflict) {
			t.Errorf("%s: Update from invalid UTF-8 = %v; want %v", form.name, err, session.ErrConflict)
		}
	}
}

// A formatted store shows nothing of the client, which knows the password.
func TestFormat(t *testing.T) {
	client := connect(t, "mongodb://pharmacist:hunter2@127.0.0.1:1/")
	s := open(t, client.Database("app"), forms[0].Options)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, s); text != "mongostore.Store{…}" {
			t.Errorf("%s of a store = %s", verb, text)
		}
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("started", "store", s)
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("a log line shows the password: %s", &log)
	}
}
