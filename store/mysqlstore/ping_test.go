package mysqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// What is wrong is said at once, with the server and a remedy, and without the
// password.
func TestOpenAndPingNameTheRemedy(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		server := servers.Shared(t, k)
		change := func(f func(cfg *mysql.Config)) *mysql.Config {
			cfg := config(t, server, "")
			f(cfg)
			return cfg
		}
		for _, test := range []struct {
			name string
			cfg  *mysql.Config
			want string
		}{
			{"wrong password", change(func(cfg *mysql.Config) { cfg.Passwd = password }), "check the user, the password"},
			{"unknown user", change(func(cfg *mysql.Config) { cfg.User, cfg.Passwd = "nobody-knows", password }), "check the user, the password"},
			{"no such database", change(func(cfg *mysql.Config) { cfg.DBName = "missing" }), "create it"},
			{"no database", change(func(cfg *mysql.Config) { cfg.DBName = "" }), "name one in the DSN"},
			{"no table", change(func(*mysql.Config) {}), "Migrate"},
			{"nobody there", change(func(cfg *mysql.Config) { cfg.Addr, cfg.Passwd = "127.0.0.1:1", password }), "refused"},
			{"no TLS", change(func(cfg *mysql.Config) { cfg.TLSConfig, cfg.Passwd = "true", password }), "TLS"},
		} {
			if test.name == "no TLS" && k == servers.MySQL {
				continue // it has some, with a certificate of its own
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			check := func(what string, err error, addr string) {
				t.Helper()
				if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), addr) {
					t.Errorf("%s: %s = %v; want an error with %q and %q", test.name, what, err, test.want, addr)
				}
				for _, shown := range []string{fmt.Sprint(err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
					if strings.Contains(shown, password) {
						t.Errorf("%s: %s shows the password: %s", test.name, what, shown)
					}
				}
				if errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: %s = %v, which is no answer", test.name, what, err)
				}
			}
			opts := mysqlstore.Options{Table: "there_is_none", PruneEvery: -1, Logger: quiet}
			s, err := mysqlstore.OpenConfig(ctx, test.cfg, opts)
			if err == nil {
				err = errors.Join(s.Ping(ctx), s.Close())
			}
			check("Open, or Ping", err, test.cfg.Addr)
			own := mysqlstore.New(pool(t, test.cfg), opts)
			check("Ping with one's own pool", own.Ping(ctx), "")
			check("Load with one's own pool", second(own.Load(ctx, "id", session.Slide{})), "")
			own.Close()
		}
	})
}

func TestOpenOfABadDSN(t *testing.T) {
	for _, dsn := range []string{
		"app:" + password + "@tcp(127.0.0.1:3306)",
		"app:" + password + "@tcp(127.0.0.1:3306/db",
		"mysql://app:" + password + "@127.0.0.1/db?x=%zz",
		"app:" + password + "@tcp(127.0.0.1:3306)/db?tls=" + password,
		"app:" + password + "@tcp(127.0.0.1:3306)/db?timeout=" + password,
	} {
		s, err := mysqlstore.Open(t.Context(), dsn, mysqlstore.Options{})
		if err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("Open(%q) = %v, %v; want an error without the password", dsn, s, err)
		}
	}
}

// A store says nothing of its password, however it is printed.
func TestFormat(t *testing.T) {
	cfg := application(t, config(t, servers.Shared(t, servers.MariaDB), ""))
	s := migrated(t, cfg, mysqlstore.Options{Table: tableName()})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if got := fmt.Sprintf(verb, s); got != "mysqlstore.Store{…}" {
			t.Errorf("Sprintf(%q) = %.100s", verb, got)
		}
	}
}

func TestBadNames(t *testing.T) {
	cfg := config(t, servers.Shared(t, servers.MariaDB), "")
	opts := mysqlstore.Options{
		Table:      strings.Repeat("x", 60),
		Columns:    mysqlstore.Columns{Data: "a\x00b"},
		PruneEvery: -1,
	}
	s := mysqlstore.New(pool(t, cfg), opts)
	defer s.Close()
	_, opened := mysqlstore.OpenConfig(t.Context(), cfg, opts)
	for name, err := range map[string]error{
		"Ping": s.Ping(t.Context()), "Migrate": s.Migrate(t.Context()), "Open": opened,
		"Load": second(s.Load(t.Context(), "id", session.Slide{})),
	} {
		if err == nil || !strings.Contains(err.Error(), "Table has") || !strings.Contains(err.Error(), "Columns.Data has") {
			t.Errorf("%s = %v; want an error that says what is wrong with both names", name, err)
		}
	}
}

// Names that have to be quoted.
func TestStrangeNames(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		ctx, cfg := t.Context(), config(t, servers.Shared(t, k), "")
		s := migrated(t, cfg, mysqlstore.Options{
			Table:   "order `by` 'group'; -- " + tableName()[20:],
			Columns: mysqlstore.Columns{ID: "select", Expires: "`", Data: `"ä'`},
		})
		if err := s.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		err := errors.Join(
			s.Create(ctx, "id", session.Record{Data: []byte("a"), Deadline: in(time.Hour), Owner: session.Owner{User: "'", AsOf: time.Now(), Max: 1}}),
			second(s.Load(ctx, "id", session.Slide{To: in(2 * time.Hour)})),
			s.Update(ctx, "id", []byte("a"), []byte("b"), in(time.Hour)),
			s.Touch(ctx, "id", in(3*time.Hour)),
			s.Delete(ctx, "id", []byte("b")),
			second(s.RevokeUser(ctx, "'", time.Now())),
			second(s.Prune(ctx, 1)), second(s.Count(ctx)), s.Clear(ctx),
		)
		if err != nil {
			t.Error(err)
		}
	})
}

// With autocommit off nothing would be kept, and nobody would notice.
func TestAutocommitIsNeeded(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		server, opts := servers.Shared(t, k), mysqlstore.Options{Table: tableName(), PruneEvery: -1}
		s := mysqlstore.New(pool(t, config(t, server, "autocommit=0")), opts)
		defer s.Close()
		err := s.Create(t.Context(), "id", session.Record{Data: []byte("a"), Deadline: in(time.Hour)})
		if err == nil || !strings.Contains(err.Error(), "autocommit") {
			t.Errorf("Create with autocommit=0 = %v; want an error that names it", err)
		}
		// Open has it its own way.
		own := migrated(t, config(t, server, "autocommit=0&multiStatements=false&sql_mode=%27%27"), opts)
		if err := own.Create(t.Context(), "id", session.Record{Data: []byte("a"), Deadline: in(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if n, err := migrated(t, config(t, server, ""), opts).Count(t.Context()); n != 1 {
			t.Errorf("Count over another connection = %d, %v; want 1", n, err)
		}
	})
}

// The servers of the tests do not force commits to the disk. Ping says so.
func TestPingWarns(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		root := config(t, servers.Shared(t, k), "")
		defer pool(t, root).Exec("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
		var log strings.Builder
		s := migrated(t, root, mysqlstore.Options{Table: tableName(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for value, warned := range map[string]bool{"0": true, "2": true, "1": false} {
			do(t, pool(t, root), "SET GLOBAL innodb_flush_log_at_trx_commit = "+value)
			log.Reset()
			if err := s.Ping(t.Context()); err != nil {
				t.Error(err)
			}
			if got := strings.Contains(log.String(), "innodb_flush_log_at_trx_commit"); got != warned {
				t.Errorf("with innodb_flush_log_at_trx_commit = %s Ping logs %q; want a warning: %t", value, log.String(), warned)
			}
		}
	})
}

func TestTooOld(t *testing.T) {
	for version, want := range map[string]bool{
		"9.7.4-2": false, "8.0.11": false, "8.4.0": false, "5.7.44-log": true, "5.6.1": true, "10.0.0": false,
		"10.6.1-MariaDB": false, "10.11.19-MariaDB-0+deb12u1": false, "11.8.2-MariaDB": false, "10.5.28-MariaDB": true, "10.1.0-MariaDB": true,
		"5.5.5-10.11.19-MariaDB-log": false, "5.5.5-10.3.39-MariaDB": true, "5.5.60-MariaDB": true,
		"": false, "unknown": false,
	} {
		if got := mysqlstore.TooOld(version); got != want {
			t.Errorf("TooOld(%q) = %t; want %t", version, got, want)
		}
	}
}

// The server quotes ids and data in its messages. The store does not pass them on.
func TestErrorsQuoteNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		ctx, cfg, table := t.Context(), config(t, servers.Shared(t, k), ""), tableName()
		s := migrated(t, cfg, mysqlstore.Options{Table: table})
		db := pool(t, cfg)
		// A rule of the application's, which the server names along with the row.
		do(t, db, "ALTER TABLE "+table+" ADD UNIQUE (data(20)), ADD CONSTRAINT short CHECK (CHAR_LENGTH(session_id) < 12)")
		rec := session.Record{Data: []byte("SecretData"), Deadline: in(time.Hour)}
		if err := s.Create(ctx, "first", rec); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"another key": s.Create(within(t, ctx, time.Second), "SecretId", rec),
			"a check":     s.Create(ctx, "SecretId-that-is-long", session.Record{Data: []byte("SecretData2"), Deadline: in(time.Hour)}),
		} {
			if err == nil {
				t.Errorf("%s: Create = nil; want an error", what)
			}
			for _, shown := range []string{fmt.Sprint(err), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
				if strings.Contains(shown, "Secret") {
					t.Errorf("%s: the error shows the row: %s", what, shown)
				}
			}
		}
		err := s.Create(ctx, "SecretId-that-is-long", session.Record{Data: []byte("other"), Deadline: in(time.Hour)})
		if _, ok := errors.AsType[*mysql.MySQLError](err); !ok {
			t.Errorf("Create = %v; want an error that is a *mysql.MySQLError", err)
		}
	})
}

func within(t *testing.T, ctx context.Context, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(ctx, d)
	t.Cleanup(cancel)
	return ctx
}
