package interop_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mongostore"
)

// twoWeeks is how long connect-mongo keeps a session whose cookie has no
// lifetime. Pillbox has to be told.
const twoWeeks = 14 * 24 * time.Hour

func TestMongo(t *testing.T) {
	t.Parallel()
	newHouse(t, newMongo(t, "text_", false), servers.Shared(t, servers.MongoDB), twoWeeks).test()
}

// Sessions as connect-mongo stores them with stringify: false.
func TestMongoObjects(t *testing.T) {
	t.Parallel()
	newHouse(t, newMongo(t, "object_", true), servers.Shared(t, servers.MongoDB), twoWeeks).test()
}

type mongoBackend struct {
	server *servers.Server
	db     *mongo.Database
	prefix string // of the collections
	object bool
}

func newMongo(t *testing.T, prefix string, object bool) *mongoBackend {
	t.Helper()
	b := &mongoBackend{server: servers.Shared(t, servers.MongoDB), prefix: prefix, object: object}
	b.db = b.connect(t, b.server.URL)
	return b
}

func (b *mongoBackend) connect(t *testing.T, url string) *mongo.Database {
	t.Helper()
	client, err := mongo.Connect(options.Client().ApplyURI(url))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Disconnect(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("disconnect: %v", err)
		}
	})
	return client.Database("test")
}

func (b *mongoBackend) express(url, place string) map[string]any {
	return map[string]any{"kind": "mongo", "url": url, "collectionName": b.prefix + place, "stringify": !b.object}
}

func (b *mongoBackend) open(t *testing.T, url, place string) session.Store {
	store := mongostore.New(b.connect(t, url), mongostore.Options{Collection: b.prefix + place, Object: b.object})
	t.Cleanup(func() { store.Close() })
	migrate(t, store)
	return store
}

func (b *mongoBackend) read(ctx context.Context, place, id string) (r row, err error) {
	var doc bson.D
	err = b.db.Collection(b.prefix+place).FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Decode(&doc)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return row{}, nil
	}
	rest := bson.D{}
	for _, field := range doc {
		switch value := field.Value.(type) {
		case string:
			if field.Key == "session" {
				r.data = value
				continue
			}
		case bson.D:
			if field.Key == "session" {
				text, extErr := bson.MarshalExtJSON(value, true, false)
				r.data, err = string(text), errors.Join(err, extErr)
				continue
			}
		case bson.DateTime:
			if field.Key == "expires" {
				r.expires = value.Time()
				continue
			}
		}
		// Pillbox's own: the text of a session that BSON cannot hold exactly.
		if field.Key != "_id" && field.Key != "pillbox" {
			rest = append(rest, field)
		}
	}
	text, extErr := bson.MarshalExtJSON(rest, true, false)
	r.rest = string(text)
	return r, errors.Join(err, extErr)
}

func (b *mongoBackend) age(ctx context.Context, place, id string, d time.Duration) error {
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "expires", Value: time.Now().Add(d)}}}}
	_, err := b.db.Collection(b.prefix+place).UpdateByID(ctx, id, set)
	return err
}

// end deletes a row. See [ender].
func (b *mongoBackend) end(ctx context.Context, place, id string) error {
	_, err := b.db.Collection(b.prefix+place).DeleteMany(ctx, bson.D{{Key: "_id", Value: id}})
	return err
}

// tap lets commands that may write to the server one at a time, and looks at the
// row after each.
func (b *mongoBackend) tap(t *testing.T, place string) tap {
	n := &notes{backend: b, place: place}
	return n.tap(t, replaceHost(t, b.server.URL, n.proxy(t, b.server.Addrs[0], protocol{mongoMessage, mongoWrites})))
}

// The MongoDB wire protocol: a header of four 32-bit numbers, the first of which
// is the message's length and the last its kind. OP_MSG has flags and then its
// sections, of which drivers put the one with the command first: a byte for its
// kind, and BSON.
const (
	mongoHeader = 16
	mongoMsg    = 2013
	mongoName   = mongoHeader + 4 + 1 + 4 + 1 // flags, kind, length, type of the first element
)

func mongoMessage(client io.Reader) ([]byte, error) {
	header := make([]byte, mongoHeader)
	if _, err := io.ReadFull(client, header); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(header)
	if n < mongoHeader || n > 64<<20 {
		return nil, errors.New("not a message")
	}
	message := slices.Grow(header, int(n)-mongoHeader)[:n]
	_, err := io.ReadFull(client, message[mongoHeader:])
	return message, err
}

func mongoWrites(message []byte) bool {
	if len(message) < mongoName || binary.LittleEndian.Uint32(message[12:]) != mongoMsg {
		return false
	}
	name, _, _ := bytes.Cut(message[mongoName:], []byte{0})
	return slices.Contains([]string{"insert", "update", "delete", "findAndModify", "bulkWrite"}, string(name))
}
