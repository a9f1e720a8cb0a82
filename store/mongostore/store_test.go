package mongostore_test

import (
	"context"
	"crypto/rand"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/session/storetest"
	"github.com/pillboxgo/pillbox/store/mongostore"
)

// forms are the two ways in which sessions are stored.
var forms = []struct {
	name string
	mongostore.Options
}{
	{"text", mongostore.Options{PruneEvery: -1}},
	{"subdocument", mongostore.Options{PruneEvery: -1, Object: true}},
}

// connect returns a client of the server at url that the test disconnects.
func connect(t testing.TB, url string, more ...*options.ClientOptions) *mongo.Client {
	t.Helper()
	client, err := mongo.Connect(append([]*options.ClientOptions{options.Client().ApplyURI(url)}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Disconnect(context.Background()) })
	return client
}

// database returns an empty database that no other test uses.
func database(t testing.TB) *mongo.Database {
	t.Helper()
	db := connect(t, servers.Shared(t, servers.MongoDB).URL).Database("pillbox_" + rand.Text())
	t.Cleanup(func() { db.Drop(context.Background()) })
	return db
}

// open returns a store that the test closes.
func open(t testing.TB, db *mongo.Database, opts mongostore.Options) *mongostore.Store {
	t.Helper()
	s := mongostore.New(db, opts)
	t.Cleanup(func() { s.Close() })
	return s
}

// A located store knows its database, and how it was opened.
type located struct {
	*mongostore.Store
	db   *mongo.Database
	opts mongostore.Options
	link *servers.Link
}

func TestContract(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			t.Parallel()
			again := func(t *testing.T, s session.Store) session.Store {
				l := s.(located)
				client := connect(t, servers.Shared(t, servers.MongoDB).URL)
				l.db = client.Database(l.db.Name())
				l.Store = open(t, l.db, l.opts)
				return l
			}
			storetest.RunConfig(t, storetest.Config{
				Open: func(t *testing.T) session.Store {
					db := database(t)
					return located{Store: open(t, db, form.Options), db: db, opts: form.Options}
				},
				Peer:   again,
				Reopen: again, // TestRestart kills the server in earnest
				Break: func(t *testing.T, s session.Store) {
					if err := s.(located).db.Client().Disconnect(t.Context()); err != nil {
						t.Fatal(err)
					}
				},
				MaxBytes: 4 << 20,
			})
		})
	}
}

// Nothing answers, and every method gives up when its context does.
func TestContextDoneBehindABlackHole(t *testing.T) {
	server := servers.Shared(t, servers.MongoDB)
	storetest.RunConfig(t, storetest.Config{
		Open: func(t *testing.T) session.Store {
			link := servers.Proxy(t, server.Addrs[0])
			db := connect(t, "mongodb://"+link.Addr).Database("pillbox_" + rand.Text())
			t.Cleanup(func() {
				link.Up()
				db.Drop(context.Background())
			})
			return located{Store: open(t, db, forms[0].Options), db: db, link: link}
		},
		Stall: func(_ *testing.T, s session.Store) func() {
			s.(located).link.BlackHole()
			return s.(located).link.Up
		},
	})
}

// Whoever switches between the two forms, in either direction, finds every
// session again, and the next change of one brings it into the new form.
func TestBothFormsAreRead(t *testing.T) {
	for i, from := range forms {
		to := forms[1-i]
		t.Run("from "+from.name, func(t *testing.T) {
			t.Parallel()
			db := database(t)
			before, after := open(t, db, from.Options), open(t, db, to.Options)
			const data, next = `{"cookie":{"expires":null}, "n":1.0}`, `{"cookie":{"expires":null},"n":2}`
			create(t, before, "id", data)
			holds(t, after, "id", data)
			if err := after.Update(t.Context(), "id", []byte(data), []byte(next), in(hour)); err != nil {
				t.Fatalf("Update of a session in the other form: %v", err)
			}
			holds(t, after, "id", next)
			holds(t, before, "id", next)
			isText := raw(t, db, "id").Lookup("session").Type == bson.TypeString
			if want := !to.Object; isText != want {
				t.Errorf("after Update in the form %q the session is text: %t; want %t", to.name, isText, want)
			}
			if err := before.Delete(t.Context(), "id", []byte(next)); err != nil {
				t.Errorf("Delete of a session in the other form: %v", err)
			}
		})
	}
}
