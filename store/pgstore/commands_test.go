package pgstore_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// A counter knows what a server of its own was asked to do.
type counter struct {
	own  string    // URL of the database that is counted
	conn *pgx.Conn // to another one
	mu   sync.Mutex
	sent int // how often a client turned from listening to speaking
}

// newCounter starts a server that keeps a record of statements.
func newCounter(t *testing.T) *counter {
	t.Helper()
	server := servers.Start(t, servers.Postgres)
	execute(t, server.URL, "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
	server.Restart(t, 0)
	execute(t, server.URL, "CREATE EXTENSION pg_stat_statements")
	execute(t, server.URL, "CREATE DATABASE counted")
	conn, err := pgx.Connect(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return &counter{own: strings.Replace(server.URL, "/postgres?", "/counted?", 1), conn: conn}
}

// pool returns connections whose round trips are counted.
func (c *counter) pool(t *testing.T, params ...string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(with(t, c.own, append(params, "pool_max_conns", "1")...))
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &countedConn{Conn: conn, counter: c}, err
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

type countedConn struct {
	net.Conn
	counter *counter
	speaks  bool // whether the last thing was a write
}

func (c *countedConn) Write(b []byte) (int, error) {
	c.counter.mu.Lock()
	if !c.speaks {
		c.speaks = true
		c.counter.sent++
	}
	c.counter.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.counter.mu.Lock()
		c.speaks = false
		c.counter.mu.Unlock()
	}
	return n, err
}

// during returns how many statements the server runs, and how many round trips
// there are, while do runs. BEGIN and COMMIT are left out: the server counts
// them unless they are prepared.
func (c *counter) during(t *testing.T, do func()) (statements, trips int) {
	t.Helper()
	if _, err := c.conn.Exec(t.Context(), "SELECT pg_stat_statements_reset()"); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	before := c.sent
	c.mu.Unlock()
	do()
	err := c.conn.QueryRow(t.Context(), `SELECT coalesce(sum(calls), 0)::int FROM pg_stat_statements s
		JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = 'counted'
			AND s.query NOT LIKE 'BEGIN%' AND s.query <> 'COMMIT'`).Scan(&statements)
	if err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return statements, c.sent - before
}

// One statement, and one way there and back, for each method, once a connection
// has met its statement. A sign-in takes a lock first, in the same piece.
func TestStatementsOfEachMethod(t *testing.T) {
	c := newCounter(t)
	for _, mode := range []string{"cache_statement", "exec", "simple_protocol"} {
		pool := c.pool(t, "default_query_exec_mode", mode)
		s := open(t, pool, pgstore.Options{Table: mode})
		later := time.Now().Add(time.Hour)
		move := func() session.Slide {
			later = later.Add(time.Minute)
			return session.Slide{To: later}
		}
		record := session.Record{Data: []byte(`{}`), Deadline: later}
		number := 0
		for _, method := range []struct {
			name              string
			do                func(ctx context.Context) error
			statements, trips int
		}{
			{"Create", func(ctx context.Context) error { return s.Create(ctx, "id", record) }, 1, 1},
			{"Load", func(ctx context.Context) error { return second(s.Load(ctx, "id", session.Slide{})) }, 1, 1},
			{"Load that moves", func(ctx context.Context) error { return second(s.Load(ctx, "id", move())) }, 1, 1},
			{"Load that does not move", func(ctx context.Context) error {
				return second(s.Load(ctx, "id", session.Slide{To: later.Add(time.Hour), Before: time.Now()}))
			}, 1, 1},
			{"Update", func(ctx context.Context) error { return s.Update(ctx, "id", []byte(`{}`), []byte(`{}`), later) }, 1, 1},
			{"Touch", func(ctx context.Context) error { return s.Touch(ctx, "id", move().To) }, 1, 1},
			{"UserIDs", func(ctx context.Context) error { return second(s.UserIDs(ctx, "alice")) }, 1, 1},
			{"Count", func(ctx context.Context) error { return second(s.Count(ctx)) }, 1, 1},
			{"Delete", func(ctx context.Context) error { return s.Delete(ctx, "id", []byte(`{}`)) }, 1, 1},
			{"Delete of anything", func(ctx context.Context) error { return s.Delete(ctx, "id", nil) }, 1, 1},
			{"Create with an owner", func(ctx context.Context) error {
				number++
				return s.Create(ctx, string(rune('a'+number)), signIn(3))
			}, 2, 1},
			{"RevokeUser", func(ctx context.Context) error {
				return second(s.RevokeUser(ctx, "alice", time.Now().Add(-time.Hour)))
			}, 2, 1},
		} {
			for _, warm := range []bool{false, true} {
				if method.name == "Create" || method.name == "Delete" {
					// Again on the same ground, for the connection to know it.
					s.Delete(t.Context(), "id", nil)
					if method.name == "Delete" {
						s.Create(t.Context(), "id", record)
					}
				}
				statements, trips := c.during(t, func() {
					if err := method.do(t.Context()); err != nil {
						t.Errorf("%s = %v", method.name, err)
					}
				})
				if warm && (statements != method.statements || trips != method.trips) {
					t.Errorf("%s, %s: %d statements in %d round trips; want %d in %d",
						mode, method.name, statements, trips, method.statements, method.trips)
				}
			}
		}
	}
}

// A request that reads its session costs one statement, sliding expiry
// included; one that changes it costs two.
func TestStatementsOfARequest(t *testing.T) {
	c := newCounter(t)
	pool := c.pool(t)
	s := open(t, pool, pgstore.Options{})
	a := newApplication(t, s)
	for _, method := range []string{"POST", "GET", "POST", "GET"} {
		a.visit(method)
	}
	for _, test := range []struct {
		method string
		want   int
	}{{"GET", 1}, {"POST", 2}} {
		for _, moves := range []bool{true, false} {
			if moves {
				// So old that the deadline is due to be moved.
				execute(t, c.own, "UPDATE session SET expire = now() + interval '1 minute'")
			}
			before := scan[time.Time](t, pool, "SELECT expire FROM session")
			statements, trips := c.during(t, func() {
				if status := a.visit(test.method); status != 200 {
					t.Errorf("%s = %d; want 200", test.method, status)
				}
			})
			if statements != test.want || trips != test.want {
				t.Errorf("%s, deadline due to be moved %t: %d statements in %d round trips; want %d",
					test.method, moves, statements, trips, test.want)
			}
			after := scan[time.Time](t, pool, "SELECT expire FROM session")
			if moved := after.After(before); moved != moves && test.method == "GET" {
				t.Errorf("%s: the deadline was moved: %t; want %t", test.method, moved, moves)
			}
		}
	}
	a.cookie = ""
	if statements, _ := c.during(t, func() { a.visit("GET") }); statements != 0 {
		t.Errorf("a visitor without a session costs %d statements; want none", statements)
	}
}
