package sqlitestore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"sync"
	"time"

	"modernc.org/sqlite"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/prune"
)

// Options configures a [Store]. The zero value of every field is safe.
type Options struct {
	_ [0]func() // keyed literals only

	// PruneEvery is how often a goroutine of the store removes dead records,
	// until Close stops it. The interval varies by a quarter, so that
	// processes do not prune together. Zero means every five minutes;
	// negative means never, for an application that calls [Store.Prune] itself.
	PruneEvery time.Duration

	// Logger is told when that goroutine fails, for which there is nobody
	// else to tell. Nil means [slog.Default].
	Logger *slog.Logger
}

// A Store keeps sessions in a SQLite database. Its methods may be called
// concurrently, and by several processes with a store on the same file. Make
// one with [Open].
//
// It returns [session.ErrNotFound] and the other answers of the contract
// wrapped, and SQLite's failures as a [*sqlite.Error] that [errors.As] finds.
type Store struct {
	path    string
	readers *readers
	writer  *writer

	closing   chan struct{}
	closeOnce sync.Once
	closeErr  error
	pruner    *prune.Pruner

	connector driver.Connector // for app
	appOnce   sync.Once
	app       *sql.DB
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
func (s *Store) Format(f fmt.State, _ rune) { fmt.Fprint(f, "sqlitestore.Store{…}") }

// Open opens the database at path, a plain file name, and creates it if there
// is none, with permission for its owner only (mode 0600) and in a directory
// that must exist. The mode of a file that exists stays what it is.
//
// Open refuses, and leaves as it is, a file that is not a SQLite database, one
// that is damaged, one that belongs to another application and one written by a
// newer version of this package. To find damage it reads the whole file, which
// takes about 0.2 s for 100,000 sessions of 1 kB. If ctx is done before that, or
// while another process has the database locked, Open gives up.
//
// Call [Store.Close] when the store is no longer needed.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	name, err := dsn(path, nil)
	if err != nil {
		return nil, openError(path, err)
	}
	readOnly, err := dsn(path, url.Values{"_pragma": {"query_only(1)"}})
	if err != nil {
		return nil, openError(path, err)
	}
	application, err := dsn(path, url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(10000)", "foreign_keys(1)"},
	})
	if err != nil {
		return nil, openError(path, err)
	}
	connector, err := sqlite.NewConnector(application)
	if err != nil {
		return nil, openError(path, err)
	}
	if err := prepareFile(ctx, path, name); err != nil {
		return nil, openError(path, err)
	}
	s := &Store{path: path, connector: connector, closing: make(chan struct{})}
	s.readers = newReaders(readOnly, max(4, 2*runtime.GOMAXPROCS(0)), s.closing)
	s.writer = newWriter(name, s.closing)
	s.pruner = prune.Start(opts.PruneEvery, opts.Logger, s.Prune)
	return s, nil
}

// Close stops pruning, waits for the calls that are under way, and closes the
// database. Calls that still wait for their turn, and all later ones, return an
// error and do nothing. Closing a closed store does nothing and returns what
// the first call returned.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.pruner.Stop()
		close(s.closing)
		// The last connection to close folds the write-ahead log into the
		// database, which needs one that may write.
		s.closeErr = s.fail("close", errors.Join(s.DB().Close(), s.readers.close(), s.writer.close()))
	})
	return s.closeErr
}

// DB returns a pool of connections to the store's database, for tables that the
// application keeps in the same file. The caller must not close it; Close does.
// Its transactions begin IMMEDIATE, it waits up to ten seconds for a lock, and
// it enforces foreign keys.
//
// The tables sessions and revocations, and the pragmas application_id,
// user_version and journal_mode, belong to the store. A transaction that writes
// holds up every writer of the store: keep it short.
func (s *Store) DB() *sql.DB {
	s.appOnce.Do(func() { s.app = sql.OpenDB(s.connector) })
	return s.app
}
