package pgstore

import (
	"cmp"
	"database/sql"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/prune"
	"github.com/pillboxgo/pillbox/store/internal/sqltable"
)

// Options configures a [Store]. The zero value of every field is safe.
type Options struct {
	_ [0]func() // keyed literals only

	// Table is the name of the table, exactly: it is quoted. Empty means
	// "session", as in connect-pg-simple. At most 51 bytes, which leaves
	// room for the names of what belongs to it.
	Table string

	// Schema is the name of the schema that has the table, exactly. Empty
	// means that the connection's search_path finds it.
	Schema string

	// PruneEvery is how often a goroutine of the store removes dead
	// records, until Close stops it. Of several processes one does it at a
	// time. Zero means every five minutes; negative means never, for an
	// application that calls [Store.Prune] itself.
	PruneEvery time.Duration

	// Watch makes every change of a record tell those who listen, by
	// NOTIFY, and so is to be the same in all processes; [Store.Watch]
	// needs it. PostgreSQL commits transactions that notify one at a time,
	// in all of its databases, which costs a busy server throughput.
	Watch bool

	// Logger is told when pruning fails, and of what Ping finds strange but
	// not wrong, for which there is nobody else to tell. Nil means
	// [slog.Default].
	Logger *slog.Logger
}

// Bounds of PostgreSQL on the length of names, and what is left for a table's
// when "_revocations" is appended.
const (
	maxName  = 63
	maxTable = maxName - len("_revocations")
)

// maxData bounds a record's data. PostgreSQL's own bound, for the old data and
// the new together, is 1 GiB.
const maxData = 64 << 20

// A Store keeps sessions in a table of PostgreSQL. Its methods may be called
// concurrently, and by any number of processes with a store on the same table.
// Make one with [New] or [NewSQL].
//
// It returns [session.ErrNotFound] and the other answers of the contract
// wrapped, and the server's failures as a [*pgconn.PgError] that [errors.As]
// finds, without the fields that may quote what is stored.
type Store struct {
	db     db
	schema string // as in Options
	table  string
	watch  bool
	log    *slog.Logger
	bad    error // what is wrong with the options
	pruner *prune.Pruner

	known atomic.Pointer[layout] // what was found at first use
	crowd crowd                  // the Loads that go on
}

var (
	_ session.Store     = (*Store)(nil)
	_ session.UserIndex = (*Store)(nil)
	_ session.Lister    = (*Store)(nil)
	_ session.Counter   = (*Store)(nil)
	_ session.Clearer   = (*Store)(nil)
	_ session.Pruner    = (*Store)(nil)
	_ session.Watcher   = (*Store)(nil)
)

// New returns a store that uses the connections of pool. It does not connect:
// [Store.Ping] tells whether the server can be reached, and [Store.Migrate] makes
// the table. The pool stays the caller's, who closes it after the store.
//
// A table or schema whose name cannot be one makes every method fail.
func New(pool *pgxpool.Pool, opts Options) *Store { return newStore(poolDB{pool}, opts) }

// NewSQL is [New] for an application that has its connections in a [*sql.DB].
// That must use the driver of pgx, github.com/jackc/pgx/v5/stdlib; with another
// one every method fails.
func NewSQL(db *sql.DB, opts Options) *Store { return newStore(sqlDB{db}, opts) }

func newStore(db db, opts Options) *Store {
	s := &Store{
		db:     db,
		schema: opts.Schema,
		table:  cmp.Or(opts.Table, "session"),
		watch:  opts.Watch,
		log:    cmp.Or(opts.Logger, slog.Default()),
	}
	s.bad = sqltable.CheckName("Table", s.table, maxTable)
	if s.bad == nil && s.schema != "" {
		s.bad = sqltable.CheckName("Schema", s.schema, maxName)
	}
	s.crowd.exchange = s.exchange
	s.pruner = prune.Start(opts.PruneEvery, s.log, s.pruneInTurn)
	return s
}

// Close stops pruning, and waits for it to end. It does not close the
// connections, which are the caller's, and so the other methods go on working.
// It may be called more than once.
func (s *Store) Close() error {
	s.pruner.Stop()
	return nil
}

// Format implements [fmt.Formatter]. It writes nothing of what is stored.
func (s *Store) Format(f fmt.State, _ rune) { fmt.Fprint(f, "pgstore.Store{…}") }
