package pgstore_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

const password = "geheim-und-lang"

// What keeps the application from its table is said with the server's address and
// what to do, and without the password.
func TestPingSaysWhatIsWrong(t *testing.T) {
	server := servers.Start(t, servers.Postgres)
	for _, text := range []string{
		"CREATE ROLE app LOGIN PASSWORD '" + password + "'",
		"CREATE ROLE reader LOGIN PASSWORD '" + password + "'",
		`CREATE TABLE binary_sessions (sid varchar PRIMARY KEY, sess jsonb NOT NULL, expire timestamp(6) NOT NULL);
			GRANT ALL ON binary_sessions TO app`,
		`CREATE TABLE session (sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp(6) NOT NULL);
			GRANT SELECT ON session TO reader; GRANT ALL ON session TO app`,
		"ALTER ROLE reader SET default_transaction_read_only = on",
		// From now on a password is asked for.
		`DO $$ BEGIN EXECUTE format('COPY (SELECT ''host all all all scram-sha-256'') TO %L', current_setting('hba_file')); END $$`,
		"SELECT pg_reload_conf()",
	} {
		execute(t, server.URL, text)
	}
	address := server.Addrs[0]
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	listener.Close()
	for _, test := range []struct {
		name               string
		user, pass, at, db string
		table              string
		want               []string
	}{
		{"in order", "app", password, address, "postgres", "session", nil},
		{"nobody listens", "app", password, nobody, "postgres", "session", []string{nobody, "refused"}},
		{"no such host", "app", password, "no-such-host.invalid:5432", "postgres", "session", []string{"no-such-host.invalid"}},
		{"wrong password", "app", "falsch", address, "postgres", "session", []string{address, "refuses user or password"}},
		{"no such user", "nemo", password, address, "postgres", "session", []string{address, "refuses user or password"}},
		{"no such database", "app", password, address, "nowhere", "session", []string{address, "no such database"}},
		{"no such table", "app", password, address, "postgres", "missing", []string{address, "Migrate"}},
		{"jsonb", "app", password, address, "postgres", "binary_sessions", []string{address, "jsonb", "ALTER TABLE"}},
		{"read-only", "reader", password, address, "postgres", "session", []string{address, "connect to the primary"}},
	} {
		u := url.URL{Scheme: "postgres", User: url.UserPassword(test.user, test.pass), Host: test.at, Path: test.db, RawQuery: "sslmode=disable"}
		for kind, s := range both(t, u.String(), pgstore.Options{Table: test.table, PruneEvery: -1}) {
			err := s.Ping(t.Context())
			if (err == nil) != (test.want == nil) {
				t.Errorf("%s, %s: Ping = %v; want an error: %t", kind, test.name, err, test.want != nil)
				continue
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s, %s: Ping = %v; want it to say %q", kind, test.name, err, want)
				}
			}
			if all := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(all, password) || strings.Contains(all, "falsch") {
				t.Errorf("%s, %s: Ping shows the password: %s", kind, test.name, all)
			}
		}
	}
}

// The server's errors quote what they refuse, in fields that somebody may log.
func TestErrorsQuoteNothing(t *testing.T) {
	s := migrated(t, connect(t, shared(t)))
	create(t, s, "id", bob, time.Now().Add(time.Hour))
	broken := []byte(`{"cookie":{}, Zolpidem`)
	owned := signIn(3)
	owned.Data = broken
	for name, err := range map[string]error{
		"Create":               s.Create(t.Context(), "new", session.Record{Data: broken, Deadline: time.Now().Add(time.Hour)}),
		"Create with an owner": s.Create(t.Context(), "new", owned),
		"Update":               s.Update(t.Context(), "id", []byte(bob), broken, time.Now().Add(time.Hour)),
	} {
		server, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || server.Code != "22P02" {
			t.Errorf("%s of what is no JSON = %v; want the server's error", name, err)
			continue
		}
		if all := fmt.Sprintf("%+v", *server); strings.Contains(all, "Zolpidem") || strings.Contains(all, "cookie") {
			t.Errorf("%s of what is no JSON quotes it: %s", name, all)
		}
	}
	if err := s.Create(t.Context(), "new", signIn(3)); err != nil {
		t.Errorf("Create thereafter = %v", err)
	}
}

// A *sql.DB of another driver is found out.
func TestForeignDriver(t *testing.T) {
	s := pgstore.NewSQL(foreignDB(t), pgstore.Options{PruneEvery: -1})
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "pgx/v5/stdlib") {
		t.Errorf("Ping over another driver = %v; want an error that names the right one", err)
	}
}

// On a table that Express has made an application could sign users in whom nobody
// can then sign out. Ping says so, until Migrate was there.
func TestPingTellsOfAMissingIndex(t *testing.T) {
	to, name := shared(t), table()
	expressTable(t, to, name)
	var log strings.Builder
	s := pgstore.New(connect(t, to), pgstore.Options{Table: name, PruneEvery: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer s.Close()
	for _, warns := range []bool{true, false} {
		log.Reset()
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(log.String(), "call Migrate"); got != warns {
			t.Errorf("Ping warns of a missing index: %v; want %v:\n%s", got, warns, &log)
		}
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
