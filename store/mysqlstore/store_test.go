package mysqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/session/storetest"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// onBoth runs a test on a MariaDB and on a MySQL.
func onBoth(t *testing.T, test func(t *testing.T, k servers.Kind)) {
	for _, k := range []servers.Kind{servers.MariaDB, servers.MySQL} {
		t.Run(string(k), func(t *testing.T) { test(t, k) })
	}
}

// config returns the driver's configuration for a server, with parameters as a
// DSN has them.
func config(t testing.TB, s *servers.Server, params string) *mysql.Config {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := mysql.ParseDSN(u.User.Username() + "@tcp(" + u.Host + ")" + u.Path + "?" + params)
	if err != nil {
		t.Fatal(err)
	}
	if password, ok := u.User.Password(); ok {
		cfg.Passwd = password
	}
	cfg.Logger = &mysql.NopLogger{}
	return cfg
}

// pool returns connections that are closed when the test is over.
func pool(t testing.TB, cfg *mysql.Config) *sql.DB {
	t.Helper()
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(12)
	db.SetMaxIdleConns(12)
	t.Cleanup(func() { db.Close() })
	return db
}

// quiet is for stores whose warnings are another test's business.
var quiet = slog.New(slog.DiscardHandler)

var tables atomic.Int64

// tableName returns the name of a table that nobody else uses.
func tableName() string {
	return fmt.Sprintf("sessions_%d_%d", time.Now().UnixMicro(), tables.Add(1))
}

// open opens a store, and closes it when the test is over.
func open(t testing.TB, cfg *mysql.Config, opts mysqlstore.Options) *mysqlstore.Store {
	t.Helper()
	if opts.PruneEvery == 0 {
		opts.PruneEvery = -1
	}
	if opts.MaxConns == 0 {
		opts.MaxConns = 12
	}
	if opts.Logger == nil {
		opts.Logger = quiet
	}
	s, err := mysqlstore.OpenConfig(context.Background(), cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v; want nil", err)
		}
	})
	return s
}

// migrated opens a store whose table is there.
func migrated(t testing.TB, cfg *mysql.Config, opts mysqlstore.Options) *mysqlstore.Store {
	t.Helper()
	s := open(t, cfg, opts)
	if err := s.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	return s
}

// do runs SQL as somebody else would.
func do(t testing.TB, db *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			t.Fatalf("%.200s: %v", statement, err)
		}
	}
}

func in(d time.Duration) time.Time { return time.Now().Add(d).Truncate(time.Millisecond) }

// A handle is a store that knows its table and its connections.
type handle struct {
	*mysqlstore.Store
	table string
	close func()
}

// conform runs the conformance suite over stores that connect returns.
func conform(t *testing.T, admin *sql.DB, connect func(t *testing.T, opts mysqlstore.Options) handle) {
	again := func(t *testing.T, s session.Store) session.Store {
		return connect(t, mysqlstore.Options{Table: s.(handle).table, PruneEvery: -1})
	}
	storetest.RunConfig(t, storetest.Config{
		Open: func(t *testing.T) session.Store {
			h := connect(t, mysqlstore.Options{Table: tableName(), PruneEvery: -1})
			if err := h.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			return h
		},
		Peer:   again,
		Reopen: again, // TestKilledServer ends the server in earnest
		Stall: func(t *testing.T, s session.Store) func() {
			conn, err := admin.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			name := s.(handle).table
			_, err = conn.ExecContext(t.Context(), "LOCK TABLES "+name+" WRITE, "+name+"_revocations WRITE")
			if err != nil {
				t.Fatal(err)
			}
			return func() {
				conn.ExecContext(context.Background(), "UNLOCK TABLES")
				conn.Close()
			}
		},
		Break:       func(t *testing.T, s session.Store) { s.(handle).close() },
		Granularity: time.Second,
		MaxBytes:    4 << 20,
	})
}

func TestContract(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		server := servers.Shared(t, k)
		conform(t, pool(t, config(t, server, "")), func(t *testing.T, opts mysqlstore.Options) handle {
			s := open(t, config(t, server, ""), opts)
			return handle{s, opts.Table, func() { s.Close() }}
		})
	})
}

// dsns are what applications have in their DSNs that could make a difference.
var dsns = map[string]string{
	"plain": "",
	"several": "multiStatements=true&clientFoundRows=true&interpolateParams=true&parseTime=true" +
		"&columnsWithAlias=true&charset=utf8mb4&collation=utf8mb4_general_ci&rejectReadOnly=true",
	"another world": "charset=latin1&sql_mode=%27ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT%27" +
		"&time_zone=%27%2B05:30%27&loc=Europe%2FStockholm&clientFoundRows=true",
}

func TestContractWithOnesOwnPool(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		server := servers.Shared(t, k)
		for name, params := range dsns {
			if k == servers.MySQL && name != "another world" {
				continue // the driver is the same, and TestContract has the server
			}
			t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
				conform(t, pool(t, config(t, server, "")), func(t *testing.T, opts mysqlstore.Options) handle {
					db := pool(t, config(t, server, params))
					s := mysqlstore.New(db, opts)
					t.Cleanup(func() { s.Close() })
					return handle{s, opts.Table, func() { db.Close() }}
				})
			})
		}
	})
}

func second[T any](_ T, err error) error { return err }
