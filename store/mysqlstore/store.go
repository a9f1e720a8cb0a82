package mysqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/prune"
	"github.com/pillboxgo/pillbox/store/internal/sqltable"
)

// Options configures a [Store]. The zero value of every field is safe, and
// suits a table that express-mysql-session has made with its own defaults.
type Options struct {
	_ [0]func() // keyed literals only

	// Table is the name of the table with the records, in the database that
	// the connections use. Empty means "sessions". A second table, whose
	// name has "_revocations" at its end, remembers who was revoked.
	Table string

	// Columns names the table's columns, where they have other names than
	// express-mysql-session gives them.
	Columns Columns

	// MaxConns bounds the connections that a store made by [Open] has at
	// the same time; further calls wait for one. Zero or less means 32. New
	// ignores it: the pool is the caller's. All processes together need to
	// stay below the server's max_connections.
	MaxConns int

	// PruneEvery is how often a goroutine of the store removes dead records,
	// until Close stops it. Zero means every five minutes; negative means
	// never, for an application that calls [Store.Prune] itself or leaves
	// it to Express.
	PruneEvery time.Duration

	// Logger is told when that goroutine fails, what [Store.Ping] has to
	// warn of, and, by a store made by [Open], at level debug what the
	// driver says. Nil means [slog.Default].
	Logger *slog.Logger
}

// Columns names the columns of express-mysql-session, as its option
// schema.columnNames does. An empty field means the usual name.
type Columns struct {
	_ [0]func() // keyed literals only

	ID      string // "session_id"
	Expires string // "expires", in whole seconds since 1970
	Data    string // "data"
}

// A Store keeps sessions in a table of MySQL or MariaDB. Its methods may be
// called concurrently, and by any number of processes with a store on the same
// table. Make one with [Open] or [New].
//
// It returns [session.ErrNotFound] and the other answers of the contract
// wrapped, and the server's failures as a [*mysql.MySQLError] that [errors.As]
// finds. Its Message is this package's own, since the server's may quote the
// row.
//
// [*mysql.MySQLError]: https://pkg.go.dev/github.com/go-sql-driver/mysql#MySQLError
type Store struct {
	db    *sql.DB
	own   bool   // the pool is the store's, with what open.go sets up
	addr  string // of the server; empty if only the pool knows
	idle  int    // connections that the store's own pool keeps
	table table
	bad   error // what is wrong with the Options
	log   *slog.Logger

	known  atomic.Pointer[layout] // once it was looked at
	pruner *prune.Pruner

	closeOnce sync.Once
	closeErr  error
}

var (
	_ session.Store     = (*Store)(nil)
	_ session.UserIndex = (*Store)(nil)
	_ session.Lister    = (*Store)(nil)
	_ session.Counter   = (*Store)(nil)
	_ session.Clearer   = (*Store)(nil)
	_ session.Pruner    = (*Store)(nil)
)

// New returns a store that uses the caller's pool, which stays the caller's to
// configure and to close. It does not connect: what is wrong with the server,
// the table or opts is an error of the first call, and of [Store.Ping].
//
// Every DSN will do. With multiStatements=true in it, what the store does takes as
// many round trips as with [Open]; without, a Load that moves the deadline takes
// two, a sign-in seven or eight instead of two, and [Store.RevokeUser] six instead
// of three.
func New(db *sql.DB, opts Options) *Store {
	s := newStore(db, opts)
	s.startPruning(opts)
	return s
}

func newStore(db *sql.DB, opts Options) *Store {
	s := &Store{db: db, log: opts.Logger}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.table, s.bad = newTable(opts)
	return s
}

func (s *Store) startPruning(opts Options) {
	s.pruner = prune.Start(opts.PruneEvery, s.log, func(ctx context.Context, limit int) (int, error) {
		// A network that swallows everything would hold it for ever.
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return s.Prune(ctx, limit)
	})
}

// Close stops pruning and, if the store was made by [Open], closes its
// connections once they are done with what they do. Calls after that fail. A
// pool that was given to [New] stays open, and the store usable. Closing a
// closed store does nothing and returns what the first call returned.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.pruner.Stop()
		if s.own {
			s.closeErr = s.fail("close", s.db.Close())
		}
	})
	return s.closeErr
}

// Format implements [fmt.Formatter]. It writes nothing of what is stored, and no
// password.
func (s *Store) Format(f fmt.State, _ rune) { fmt.Fprint(f, "mysqlstore.Store{…}") }

// newTable checks the names, all of them, and quotes them.
func newTable(opts Options) (table, error) {
	name := cmp.Or(opts.Table, "sessions")
	id := cmp.Or(opts.Columns.ID, "session_id")
	expires := cmp.Or(opts.Columns.Expires, "expires")
	data := cmp.Or(opts.Columns.Data, "data")

	const longest = 64 // characters in fact; bytes are on the safe side
	err := errors.Join(
		sqltable.CheckName("Table", name, longest-len(revocationsSuffix)),
		sqltable.CheckName("Columns.ID", id, longest),
		sqltable.CheckName("Columns.Expires", expires, longest),
		sqltable.CheckName("Columns.Data", data, longest),
	)
	return table{
		plain:       name,
		columns:     [3]string{id, expires, data},
		name:        quote(name),
		revocations: quote(name + revocationsSuffix),
		id:          quote(id),
		expires:     quote(expires),
		data:        quote(data),
	}, err
}

const revocationsSuffix = "_revocations"

func quote(name string) string { return sqltable.Quote('`', name) }
