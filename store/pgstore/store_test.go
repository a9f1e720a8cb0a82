package pgstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/session/storetest"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// shared returns the URL of the server that the tests share.
func shared(t testing.TB) string { return servers.Shared(t, servers.Postgres).URL }

var (
	process = rand.Uint32()
	tables  atomic.Int64
)

// table returns the name of a table, or of a database, that nobody else uses.
func table() string { return fmt.Sprintf("session_%08x_%d", process, tables.Add(1)) }

// with returns a connection URL with more parameters.
func with(t testing.TB, to string, params ...string) string {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	for i := 0; i < len(params); i += 2 {
		query.Set(params[i], params[i+1])
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// connect returns a pool of connections that is closed when the test is over.
func connect(t testing.TB, to string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(context.Background(), to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// migrated returns a store on a table of its own.
func migrated(t testing.TB, pool *pgxpool.Pool) *pgstore.Store {
	t.Helper()
	return open(t, pool, pgstore.Options{Table: table()})
}

// open returns a store whose table is there, and closes it when the test is
// over.
func open(t testing.TB, pool *pgxpool.Pool, opts pgstore.Options) *pgstore.Store {
	t.Helper()
	opts.PruneEvery = -1
	s := pgstore.New(pool, opts)
	t.Cleanup(func() { s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// execute runs SQL as somebody else would.
func execute(t testing.TB, to, text string, args ...any) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if _, err := c.Exec(t.Context(), text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// lock keeps everybody from using a table until the function that it returns is
// called.
func lock(t testing.TB, to, table string) (release func()) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "BEGIN; LOCK TABLE "+pgx.Identifier{table}.Sanitize()); err != nil {
		t.Fatal(err)
	}
	return func() { c.Close(context.Background()) }
}

// A handle is a store that knows its table and its connections.
type handle struct {
	*pgstore.Store
	table string
	close func()
}

// contract runs the conformance suite over stores that connect returns.
func contract(t *testing.T, connect func(t *testing.T, opts pgstore.Options) handle) {
	again := func(t *testing.T, s session.Store) session.Store {
		return connect(t, pgstore.Options{Table: s.(handle).table, PruneEvery: -1, Watch: true})
	}
	storetest.RunConfig(t, storetest.Config{
		Open: func(t *testing.T) session.Store {
			h := connect(t, pgstore.Options{Table: table(), PruneEvery: -1, Watch: true})
			if err := h.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			return h
		},
		Peer:     again,
		Reopen:   again, // TestKilledServer ends the server in earnest
		Stall:    func(t *testing.T, s session.Store) func() { return lock(t, shared(t), s.(handle).table) },
		Break:    func(t *testing.T, s session.Store) { s.(handle).close() },
		MaxBytes: 16 << 20,
	})
}

func TestContract(t *testing.T) {
	for name, params := range map[string][]string{
		"prepared":        nil,
		"simple protocol": {"default_query_exec_mode", "simple_protocol"},
		"another database": {
			"default_query_exec_mode", "exec",
			"timezone", "Europe/Stockholm",
			"default_transaction_isolation", "serializable",
			"synchronous_commit", "off",
			"datestyle", "German",
		},
	} {
		t.Run(name, func(t *testing.T) {
			to := with(t, shared(t), append(params, "pool_max_conns", "20")...)
			contract(t, func(t *testing.T, opts pgstore.Options) handle {
				pool := connect(t, to)
				return handle{pgstore.New(pool, opts), opts.Table, pool.Close}
			})
		})
	}
}

func TestContractOverDatabaseSQL(t *testing.T) {
	contract(t, func(t *testing.T, opts pgstore.Options) handle {
		db := openSQL(t, shared(t))
		db.SetMaxOpenConns(20)
		db.SetMaxIdleConns(20)
		return handle{pgstore.NewSQL(db, opts), opts.Table, func() { db.Close() }}
	})
}
