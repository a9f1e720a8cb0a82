package mongostore

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/prune"
	"github.com/pillboxgo/pillbox/store/internal/roster"
)

// Options configures a [Store]. The zero value of every field is safe.
type Options struct {
	_ [0]func() // keyed literals only

	// Collection is the name of the collection, and with "_users" appended
	// that of the index by user. Empty means "sessions", as in connect-mongo.
	Collection string

	// Object stores each session as a subdocument, as connect-mongo does with
	// stringify: false. False stores the JSON text, which is connect-mongo's
	// default and takes less work. Whatever it says, sessions of both forms
	// are read; the next change of a session writes it in this form.
	Object bool

	// PruneEvery is how often a goroutine of the store removes dead records,
	// until Close stops it. Zero means every five minutes: it finds little
	// to do where the server removes them by the index of [Store.Migrate].
	// Negative means never.
	PruneEvery time.Duration

	// Logger is told when that goroutine fails, for which there is nobody
	// else to tell. Nil means [slog.Default].
	Logger *slog.Logger
}

// A Store keeps sessions in a MongoDB collection. Its methods may be called
// concurrently, and by any number of processes with a store on the same
// collection. Make one with [New].
//
// It returns [session.ErrNotFound] and the other answers of the contract
// wrapped. Of the server's failures its errors show the code and its name only,
// since the server's own words may quote a session; [errors.As] finds the
// driver's error, a [mongo.CommandError] or [mongo.WriteException], which had
// better not be logged.
type Store struct {
	database *mongo.Database
	sessions *mongo.Collection
	users    *mongo.Collection
	object   bool

	roster *roster.Roster
	walk   walk
	pruner *prune.Pruner
}

var (
	_ session.Store     = (*Store)(nil)
	_ session.UserIndex = (*Store)(nil)
	_ session.Lister    = (*Store)(nil)
	_ session.Counter   = (*Store)(nil)
	_ session.Clearer   = (*Store)(nil)
	_ session.Pruner    = (*Store)(nil)
)

// Format implements [fmt.Formatter]. It writes nothing of what is stored.
func (s *Store) Format(f fmt.State, _ rune) { fmt.Fprint(f, "mongostore.Store{…}") }

// New returns a store in the given database. It does not connect: [Store.Ping]
// tells whether the server can be used, and [Store.Migrate] prepares it.
//
// The store reads from the primary and waits for the majority of a replica set,
// whatever the client's own preferences are. It does not disconnect the client.
// Call [Store.Close] when the store is no longer needed.
func New(db *mongo.Database, opts Options) *Store {
	name := opts.Collection
	if name == "" {
		name = "sessions"
	}
	journal := true // a standalone server would acknowledge from memory
	handle := func(name string) *mongo.Collection {
		return db.Collection(name, options.Collection().
			SetReadPreference(readpref.Primary()).
			SetReadConcern(readconcern.Majority()).
			SetWriteConcern(&writeconcern.WriteConcern{W: writeconcern.WCMajority, Journal: &journal}).
			// A client may be told to write Go's types in ways of its own.
			SetRegistry(bson.NewRegistry()).
			SetBSONOptions(&options.BSONOptions{}))
	}
	s := &Store{
		database: db,
		sessions: handle(name),
		users:    handle(name + "_users"),
		object:   opts.Object,
	}
	s.roster = roster.New(backend{s}, maxRoster)
	s.pruner = prune.Start(opts.PruneEvery, opts.Logger, s.Prune)
	return s
}

// Close stops pruning and waits for what is under way of it. The client stays
// connected: it is the caller's. Close may be called more than once, and
// returns nil.
func (s *Store) Close() error {
	s.pruner.Stop()
	return nil
}

// Ping reports whether the sessions can be used: that the primary answers, and
// that the collection compares texts byte for byte. Its error names the hosts
// and what to do about them, and no password. It gives up when ctx is done, or
// after the driver's server selection timeout, which is 30 seconds unless the
// client was given another.
func (s *Store) Ping(ctx context.Context) error {
	return s.fail(ctx, "ping", s.ping(ctx))
}

func (s *Store) ping(ctx context.Context) error {
	if err := s.database.Client().Ping(ctx, readpref.Primary()); err != nil {
		return err
	}
	cursor, err := s.database.ListCollections(ctx, bson.D{{Key: "name", Value: s.sessions.Name()}})
	if err != nil {
		return err
	}
	defer cursor.Close(context.WithoutCancel(ctx))
	for cursor.Next(ctx) {
		if err := checkCollation(cursor.Current); err != nil {
			return err
		}
	}
	return cursor.Err()
}

// checkCollation looks at what listCollections says of a collection. Under a
// collation of its own, ids and data that differ by case could pass for each
// other.
func checkCollation(info bson.Raw) error {
	locale, ok := info.Lookup("options", "collation", "locale").StringValueOK()
	if ok && locale != "simple" {
		return errCollation
	}
	return nil
}

// Migrate makes the indexes by which the server removes dead records, and may
// be called at each start: what is there already is left alone. The one on the
// sessions is the index that connect-mongo makes, by the same name. Without
// them, everything works, and removing dead records takes longer.
func (s *Store) Migrate(ctx context.Context) error {
	for _, index := range []struct {
		collection *mongo.Collection
		field      string
	}{{s.sessions, fieldExpires}, {s.users, fieldUntil}} {
		_, err := index.collection.Indexes().CreateOne(ctx, mongo.IndexModel{
			Keys:    bson.D{{Key: index.field, Value: int32(1)}},
			Options: options.Index().SetName(index.field + "_1").SetExpireAfterSeconds(0),
		})
		if err != nil {
			return s.fail(ctx, "make index "+index.field+"_1 of "+index.collection.Name(), err)
		}
	}
	return nil
}
