package pgstore_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// expressTable makes the table as connect-pg-simple's documentation has it made.
func expressTable(t testing.TB, to, name string) {
	t.Helper()
	quoted := pgx.Identifier{name}.Sanitize()
	execute(t, to, fmt.Sprintf(`
		CREATE TABLE %[1]s ("sid" varchar NOT NULL COLLATE "default", "sess" json NOT NULL, "expire" timestamp(6) NOT NULL);
		ALTER TABLE %[1]s ADD CONSTRAINT %[2]s PRIMARY KEY ("sid") NOT DEFERRABLE INITIALLY IMMEDIATE;
		CREATE INDEX ON %[1]s ("expire")`, quoted, pgx.Identifier{name + "_pkey"}.Sanitize()))
}

// An express uses a table with the SQL of connect-pg-simple.
type express struct {
	t     testing.TB
	conn  *pgx.Conn
	table string
}

func newExpress(t testing.TB, to, table string) express {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	return express{t, conn, pgx.Identifier{table}.Sanitize()}
}

// ceilSeconds is how connect-pg-simple rounds.
func ceilSeconds(at time.Time) int64 { return (at.UnixMilli() + 999) / 1000 }

func (e express) run(text string, args ...any) int64 {
	e.t.Helper()
	tag, err := e.conn.Exec(e.t.Context(), strings.ReplaceAll(text, "session", e.table), args...)
	if err != nil {
		e.t.Fatal(err)
	}
	return tag.RowsAffected()
}

func (e express) set(sid, sess string, expires time.Time) {
	e.t.Helper()
	e.run(`INSERT INTO session (sess, expire, sid) SELECT $1, to_timestamp($2), $3
		ON CONFLICT (sid) DO UPDATE SET sess=$1, expire=to_timestamp($2) RETURNING sid`, sess, ceilSeconds(expires), sid)
}

// get returns a session as it is now, or "".
func (e express) get(sid string, now time.Time) (sess string) {
	e.t.Helper()
	err := e.conn.QueryRow(e.t.Context(), `SELECT sess::text FROM `+e.table+` WHERE sid = $1 AND expire >= to_timestamp($2)`,
		sid, ceilSeconds(now)).Scan(&sess)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		e.t.Fatal(err)
	}
	return sess
}

func (e express) touch(sid string, expires time.Time) {
	e.t.Helper()
	e.run(`UPDATE session SET expire = to_timestamp($1) WHERE sid = $2 RETURNING sid`, ceilSeconds(expires), sid)
}

func (e express) destroy(sid string) {
	e.t.Helper()
	e.run(`DELETE FROM session WHERE sid = $1`, sid)
}

// database makes a database with a TimeZone of its own and returns its URL.
func database(t testing.TB, zone string) string {
	t.Helper()
	name := table()
	execute(t, shared(t), "CREATE DATABASE "+name)
	execute(t, shared(t), fmt.Sprintf("ALTER DATABASE %s SET timezone = '%s'", name, zone))
	u, err := url.Parse(shared(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = name
	return u.String()
}

const bob = `{"cookie":{"originalMaxAge":60000,"expires":"2026-11-23T03:52:27.118Z","httpOnly":true,"path":"/"},"user":"bob","n":9007199254740993,"s":"\ud800\u0000"}`

// Each side finds, changes, extends and ends the sessions of the other, on a table
// that either has made, whatever the database's time zone.
func TestExpressSharesTheTable(t *testing.T) {
	for zone, to := range map[string]string{
		"UTC":                            shared(t),
		"a database in Europe/Stockholm": database(t, "Europe/Stockholm"),
		"connections of Newfoundland":    with(t, shared(t), "timezone", "America/St_Johns"),
	} {
		for _, maker := range []string{"Express", "Express, then Migrate", "Migrate"} {
			t.Run(zone+"/"+maker, func(t *testing.T) {
				name := table()
				if strings.HasPrefix(maker, "Express") {
					expressTable(t, to, name)
				}
				s := pgstore.New(connect(t, to), pgstore.Options{Table: name, PruneEvery: -1})
				defer s.Close()
				if strings.HasSuffix(maker, "Migrate") {
					if err := s.Migrate(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				e := newExpress(t, to, name)
				now := time.Now()
				expires := now.Add(time.Hour).Truncate(time.Millisecond)

				e.set("express", bob, expires)
				holds(t, s, "express", bob, time.Unix(ceilSeconds(expires), 0))
				e.touch("express", expires.Add(time.Hour))
				holds(t, s, "express", bob, time.Unix(ceilSeconds(expires.Add(time.Hour)), 0))
				later := expires.Add(90 * time.Minute)
				if err := s.Update(t.Context(), "express", []byte(bob), []byte(`{"cookie":{},"a":1}`), later); err != nil {
					t.Errorf("Update of Express's session = %v", err)
				}
				if got := e.get("express", later.Truncate(time.Second)); got != `{"cookie":{},"a":1}` {
					t.Errorf("Express gets %q after Update", got)
				}
				if got := e.get("express", later.Add(time.Second)); got != "" {
					t.Errorf("Express gets %q a second after the deadline; want nothing", got)
				}
				e.set("express", bob, expires)
				if err := s.Update(t.Context(), "express", []byte(`{"cookie":{},"a":1}`), []byte(`{}`), later); !errors.Is(err, session.ErrConflict) {
					t.Errorf("Update over a change of Express's = %v; want %v", err, session.ErrConflict)
				}
				if err := s.Delete(t.Context(), "express", []byte(bob)); err != nil {
					t.Errorf("Delete of Express's session = %v", err)
				}
				if got := e.get("express", now); got != "" {
					t.Errorf("Express gets %q after Delete; want nothing", got)
				}

				create(t, s, "ours", bob, expires)
				if got := e.get("ours", expires.Truncate(time.Second)); got != bob {
					t.Errorf("Express gets %q; want %q", got, bob)
				}
				e.set("ours", `{"cookie":{},"b":2}`, later)
				holds(t, s, "ours", `{"cookie":{},"b":2}`, time.Unix(ceilSeconds(later), 0))
				e.destroy("ours")
				if err := s.Update(t.Context(), "ours", []byte(`{"cookie":{},"b":2}`), []byte(bob), later); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("Update of a session that Express has destroyed = %v; want %v", err, session.ErrNotFound)
				}

				// The very same moment lies in the table whoever wrote it.
				at := time.Unix(ceilSeconds(later), 0)
				e.set("a", bob, at)
				create(t, s, "b", bob, at)
				var n int
				if err := e.conn.QueryRow(t.Context(), "SELECT count(DISTINCT expire) FROM "+e.table+" WHERE sid IN ('a', 'b')").Scan(&n); err != nil || n != 1 {
					t.Errorf("the same deadline lies there in %d ways, %v; want one", n, err)
				}
			})
		}
	}
}

// In a zone with summer time the clock on the wall reads the same twice in
// autumn. A deadline in that hour is taken for the later of its two meanings:
// no session ends early.
func TestHourThatComesTwice(t *testing.T) {
	to := database(t, "Europe/Stockholm")
	s := open(t, connect(t, to), pgstore.Options{Table: "session"})
	e := newExpress(t, to, "session")
	end := time.Date(2027, 10, 31, 1, 0, 0, 0, time.UTC) // of summer time
	for offset := -2 * time.Hour; offset <= 2*time.Hour; offset += 10 * time.Minute {
		deadline := end.Add(offset)
		want := deadline
		if offset < 0 && offset >= -time.Hour {
			want = deadline.Add(time.Hour)
		}
		id := fmt.Sprint(offset)
		create(t, s, id, bob, deadline)
		holds(t, s, id, bob, want)
		if e.get(id, want) == "" || e.get(id, want.Add(time.Second)) != "" {
			t.Errorf("%v from the end of summer time, Express sees another deadline than the store", offset)
		}
	}
	// And the hour in spring that does not come.
	for offset := -2 * time.Hour; offset <= 2*time.Hour; offset += 10 * time.Minute {
		deadline := time.Date(2028, 3, 26, 1, 0, 0, 0, time.UTC).Add(offset)
		create(t, s, "spring"+fmt.Sprint(offset), bob, deadline)
		holds(t, s, "spring"+fmt.Sprint(offset), bob, deadline)
	}
}

// With connections of two time zones neither side can know. The rows give it
// away, and Ping says so.
func TestPingTellsOfAnotherTimeZone(t *testing.T) {
	to := shared(t)
	for _, test := range []struct {
		name      string
		go_, node string
		warns     bool
	}{
		{"the same", "Europe/Stockholm", "Europe/Stockholm", false},
		{"two", "UTC", "Europe/Stockholm", true},
		{"half an hour", "UTC", "Asia/Kolkata", true},
		{"two names for one", "UTC", "Etc/UTC", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			name := table()
			expressTable(t, to, name)
			e := newExpress(t, with(t, to, "timezone", test.node), name)
			for i := range 5 {
				expires := time.Now().Add(24*time.Hour + time.Duration(i)*time.Minute).UTC()
				e.set(fmt.Sprint(i), fmt.Sprintf(`{"cookie":{"originalMaxAge":86400000,"expires":"%s","httpOnly":true,"path":"/"},"s":"\u0000"}`,
					expires.Format("2006-01-02T15:04:05.000Z")), expires)
			}
			e.touch("4", time.Now().Add(40*time.Hour))
			e.set("foreign", `[]`, time.Now().Add(time.Hour))
			var log strings.Builder
			s := pgstore.New(connect(t, with(t, to, "timezone", test.go_)), pgstore.Options{
				Table: name, PruneEvery: -1, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			})
			defer s.Close()
			if err := s.Ping(t.Context()); err != nil {
				t.Errorf("Ping() = %v", err)
			}
			if warned := strings.Contains(log.String(), "TimeZone"); warned != test.warns {
				t.Errorf("log %q; want a warning: %t", log.String(), test.warns)
			}
		})
	}
}

// Express's pruning and ours agree on what is dead.
func TestExpressPrunes(t *testing.T) {
	to := shared(t)
	pool := connect(t, to)
	name := table()
	s := open(t, pool, pgstore.Options{Table: name})
	e := newExpress(t, to, name)
	create(t, s, "lives", bob, time.Now().Add(time.Hour))
	e.set("dead", bob, time.Now().Add(-2*time.Second))
	if n := e.run(`DELETE FROM session WHERE expire < to_timestamp($1)`, ceilSeconds(time.Now())); n != 1 {
		t.Errorf("Express prunes %d sessions; want the dead one", n)
	}
	e.set("dead", bob, time.Now().Add(-2*time.Second))
	if n, err := s.Prune(t.Context(), 10); n != 1 || err != nil {
		t.Errorf("Prune = %d, %v; want 1", n, err)
	}
	holds(t, s, "lives", bob, time.Time{})
}

// In a partitioned table a row's place is the same in each partition: what is
// dead must not take with it what lives there.
func TestPrunesPartitions(t *testing.T) {
	to, name := shared(t), table()
	execute(t, to, `CREATE TABLE `+name+` (sid varchar PRIMARY KEY COLLATE "default", sess json NOT NULL, `+
		`expire timestamp(6) NOT NULL) PARTITION BY HASH (sid)`)
	for i := range 4 {
		execute(t, to, fmt.Sprintf(`CREATE TABLE %s_%d PARTITION OF %[1]s FOR VALUES WITH (MODULUS 4, REMAINDER %[2]d)`, name, i))
	}
	s := open(t, connect(t, to), pgstore.Options{Table: name})
	execute(t, to, `INSERT INTO `+name+` (sid, sess, expire) SELECT 'dead' || n, '{}', to_timestamp(0) FROM generate_series(1, 10) n`)
	for i := range 100 {
		create(t, s, fmt.Sprint("lives", i), bob, time.Now().Add(time.Hour))
	}
	if n, err := s.Prune(t.Context(), 1000); n != 10 || err != nil {
		t.Errorf("Prune = %d, %v; want 10", n, err)
	}
	if n, err := s.Count(t.Context()); n != 100 || err != nil {
		t.Errorf("afterwards Count = %d, %v; want 100", n, err)
	}
}

// create stores a record that nobody owns.
func create(t testing.TB, s *pgstore.Store, id, data string, deadline time.Time) {
	t.Helper()
	if err := s.Create(t.Context(), id, session.Record{Data: []byte(data), Deadline: deadline}); err != nil {
		t.Fatalf("Create = %v", err)
	}
}

// holds checks what is stored, and the deadline too unless it is zero.
func holds(t testing.TB, s *pgstore.Store, id, data string, deadline time.Time) {
	t.Helper()
	rec, err := s.Load(t.Context(), id, session.Slide{})
	if err != nil || string(rec.Data) != data {
		t.Errorf("Load(%q) = %.80q, %v; want %.80q", id, rec.Data, err, data)
	} else if !deadline.IsZero() && !rec.Deadline.Equal(deadline) {
		t.Errorf("Load(%q) = deadline %v; want %v", id, rec.Deadline.UTC(), deadline.UTC())
	}
}

// scan runs a query for one value.
func scan[T any](t testing.TB, pool *pgxpool.Pool, text string, args ...any) (value T) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), text, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return value
}
