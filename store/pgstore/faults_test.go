package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// calls has every method with arguments that make it succeed on a table with a
// record under "id", and leave it as it is.
func calls(s *pgstore.Store) map[string]func(ctx context.Context) error {
	until := func() time.Time { return time.Now().Add(time.Hour) }
	return map[string]func(ctx context.Context) error{
		"Load":            func(ctx context.Context) error { return second(s.Load(ctx, "id", session.Slide{})) },
		"Load that moves": func(ctx context.Context) error { return second(s.Load(ctx, "id", session.Slide{To: until()})) },
		"Update":          func(ctx context.Context) error { return s.Update(ctx, "id", []byte(bob), []byte(bob), until()) },
		"Touch":           func(ctx context.Context) error { return s.Touch(ctx, "id", until()) },
		"Delete":          func(ctx context.Context) error { return s.Delete(ctx, "other", nil) },
		"Create with an owner": func(ctx context.Context) error {
			rec := signIn(3)
			return s.Create(ctx, fmt.Sprint("new", tables.Add(1)), rec)
		},
		"UserIDs":    func(ctx context.Context) error { return second(s.UserIDs(ctx, "alice")) },
		"RevokeUser": func(ctx context.Context) error { return second(s.RevokeUser(ctx, "bob", time.Now())) },
		"Count":      func(ctx context.Context) error { return second(s.Count(ctx)) },
		"Prune":      func(ctx context.Context) error { return second(s.Prune(ctx, 10)) },
		"Ping":       s.Ping,
	}
}

// failing checks that all methods, called at once, fail within the context's
// deadline, with no answer of the contract, and with texts that have want in them.
func failing(t *testing.T, what string, s *pgstore.Store, patience time.Duration, want string, but ...string) {
	t.Helper()
	var wg sync.WaitGroup
	for name, call := range calls(s) {
		if strings.Contains(strings.Join(but, ","), name) {
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			begun := time.Now()
			err := call(ctx)
			if late := time.Since(begun) - patience; late > 2*time.Second {
				t.Errorf("%s: %s returned %v after its deadline", what, name, late)
			}
			for _, answer := range []error{nil, session.ErrNotFound, session.ErrConflict, session.ErrExists, session.ErrDamaged} {
				if errors.Is(err, answer) {
					t.Errorf("%s: %s = %v; want a failure", what, name, err)
				}
			}
			if err != nil && (!strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "pillbox: postgres ")) {
				t.Errorf("%s: %s = %v; want an error with %q", what, name, err, want)
			}
			if err != nil && (strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "bob")) {
				t.Errorf("%s: %s shows a secret: %v", what, name, err)
			}
		})
	}
	wg.Wait()
}

// recovers checks that within a short time all methods succeed again, and that
// what is stored is what was.
func recovers(t *testing.T, what string, s *pgstore.Store) {
	t.Helper()
	until(t, what+": the store to recover", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := s.Load(ctx, "id", session.Slide{})
		if errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: Load = %v; the record is there", what, err)
		}
		return err == nil
	})
	// Connections that broke unnoticed may each cost one more call.
	for name, call := range calls(s) {
		var err error
		for range 12 {
			if err = call(t.Context()); err == nil {
				break
			}
		}
		if err != nil {
			t.Errorf("%s: %s = %v after the store had recovered", what, name, err)
		}
	}
	holds(t, s, "id", bob, time.Time{})
}

// The network between the store and its server does what networks do.
func TestNetworkFaults(t *testing.T) {
	server := servers.Shared(t, servers.Postgres)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range []struct {
		name  string
		begin func(l *servers.Link)
	}{
		{"slow", func(l *servers.Link) { l.Latency(2 * time.Second) }},
		{"reset", (*servers.Link).Reset},
		{"black hole", (*servers.Link).BlackHole},
		{"answers lost", (*servers.Link).LoseAnswers},
		{"down", (*servers.Link).Down},
	} {
		t.Run(fault.name, func(t *testing.T) {
			link := servers.Proxy(t, server.Addrs[0])
			u := *u
			u.User, u.Host = url.UserPassword("postgres", password), link.Addr
			name := table()
			for kind, s := range both(t, u.String(), pgstore.Options{Table: name, PruneEvery: -1}) {
				if err := s.Migrate(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := s.Clear(t.Context()); err != nil {
					t.Fatal(err)
				}
				create(t, s, "id", bob, time.Now().Add(time.Hour))
				recovers(t, kind+" before", s)
				fault.begin(link)
				failing(t, kind, s, 300*time.Millisecond, "")
				failing(t, kind+" again", s, 300*time.Millisecond, "")
				link.Up()
				recovers(t, kind, s)
			}
		})
	}
}

// A server that is slow, but not too slow, is no failure.
func TestLatencyIsNoFailure(t *testing.T) {
	server := servers.Shared(t, servers.Postgres)
	link := servers.Proxy(t, server.Addrs[0])
	s := open(t, connect(t, strings.Replace(server.URL, server.Addrs[0], link.Addr, 1)), pgstore.Options{Table: table()})
	create(t, s, "id", bob, time.Now().Add(time.Hour))
	link.Latency(30 * time.Millisecond)
	for name, call := range calls(s) {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s over a slow network = %v", name, err)
		}
	}
}

// The server is not there when the application starts, comes, goes for some time,
// hangs, and is started anew.
func TestServerComesAndGoes(t *testing.T) {
	server := servers.Start(t, servers.Postgres)
	server.Kill(t, 0)
	stores := both(t, server.URL, pgstore.Options{PruneEvery: -1})
	for kind, s := range stores {
		failing(t, kind+", down at the start", s, 2*time.Second, server.Addrs[0])
	}
	server.Restart(t, 0)
	for _, s := range stores {
		until(t, "Migrate", func() bool { return s.Migrate(t.Context()) == nil })
	}
	create(t, stores["pgxpool"], "id", bob, time.Now().Add(time.Hour))
	for kind, s := range stores {
		recovers(t, kind+", started", s)
	}
	server.Kill(t, 0)
	for kind, s := range stores {
		failing(t, kind+", killed", s, time.Second, "")
	}
	server.Restart(t, 0)
	for kind, s := range stores {
		recovers(t, kind+", started again", s)
	}
	server.Restart(t, 0) // and no call noticed that it was away
	for kind, s := range stores {
		recovers(t, kind+", restarted", s)
	}
	server.Pause(t, 0)
	for kind, s := range stores {
		failing(t, kind+", hanging", s, 300*time.Millisecond, "")
	}
	server.Resume(t, 0)
	for kind, s := range stores {
		recovers(t, kind+", no longer hanging", s)
	}
}

// The server works, but not for us.
func TestServerRefuses(t *testing.T) {
	server := servers.Start(t, servers.Postgres)
	execute(t, server.URL, "ALTER SYSTEM SET max_connections = 12")
	server.Restart(t, 0)
	stores := both(t, with(t, server.URL, "connect_timeout", "2"), pgstore.Options{PruneEvery: -1})
	for _, s := range stores {
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	create(t, stores["pgxpool"], "id", bob, time.Now().Add(time.Hour))

	set := func(text string) {
		admin := with(t, server.URL, "default_transaction_read_only", "off")
		execute(t, admin, text)
		execute(t, admin, "SELECT pg_reload_conf()")
	}
	reads := []string{"Load", "UserIDs", "Count"}
	set("ALTER SYSTEM SET default_transaction_read_only = on")
	for kind, s := range stores {
		until(t, "the setting to reach the server", func() bool { return s.Touch(t.Context(), "id", time.Now().Add(2*time.Hour)) != nil })
		failing(t, kind+", read-only", s, 5*time.Second, "connect to the primary", append(reads, "Load that moves")...)
		holds(t, s, "id", bob, time.Time{})
		if _, err := s.Load(t.Context(), "id", session.Slide{To: time.Now().Add(9 * time.Hour)}); err == nil || !strings.Contains(err.Error(), "connect to the primary") {
			t.Errorf("%s: Load that moves on a read-only server = %v", kind, err)
		}
	}
	set("ALTER SYSTEM RESET default_transaction_read_only")
	for kind, s := range stores {
		recovers(t, kind+", no longer read-only", s)
	}

	execute(t, server.URL, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
	var held []*pgx.Conn
	for {
		c, err := pgx.Connect(t.Context(), server.URL)
		if err != nil {
			break
		}
		held = append(held, c)
	}
	for kind, s := range stores {
		// The pool still has the connections that were ended.
		until(t, "the store to have no connection", func() bool {
			err := s.Touch(t.Context(), "id", time.Now().Add(time.Hour))
			return err != nil && strings.Contains(err.Error(), "max_connections")
		})
		failing(t, kind+", no connection left", s, 3*time.Second, "max_connections")
	}
	for _, c := range held {
		hangUp(c)
	}
	for kind, s := range stores {
		recovers(t, kind+", connections to be had", s)
	}
}

// A connection to a server that became a standby is of no use any more, though it
// works: the pool makes another one, which may find the primary.
func TestReadOnlyConnectionIsGivenUp(t *testing.T) {
	pool := connect(t, with(t, shared(t), "pool_max_conns", "1"))
	s := open(t, pool, pgstore.Options{Table: table()})
	create(t, s, "id", bob, time.Now().Add(time.Hour))
	for name, call := range map[string]func() error{
		"a statement": func() error { return s.Touch(t.Context(), "id", time.Now().Add(2*time.Hour)) },
		"a batch":     func() error { return s.Create(t.Context(), "new", signIn(1)) },
	} {
		if _, err := pool.Exec(t.Context(), "SET default_transaction_read_only = on"); err != nil {
			t.Fatal(err)
		}
		if err := call(); err == nil || !strings.Contains(err.Error(), "connect to the primary") {
			t.Errorf("%s on a read-only connection = %v; want an error that names the remedy", name, err)
		}
		if err := call(); err != nil {
			t.Errorf("%s thereafter = %v; want nil, over another connection", name, err)
		}
	}
}

// All connections of the pool are busy elsewhere: the error says so.
func TestPoolExhausted(t *testing.T) {
	to := with(t, shared(t), "pool_max_conns", "1")
	pool := connect(t, to)
	s := open(t, pool, pgstore.Options{Table: table()})
	create(t, s, "id", bob, time.Now().Add(time.Hour))
	c, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	failing(t, "pgxpool", s, 200*time.Millisecond, "all 1 connections of the pool are in use")
	c.Release()
	recovers(t, "pgxpool", s)

	db := openSQL(t, shared(t))
	db.SetMaxOpenConns(1)
	s = pgstore.NewSQL(db, pgstore.Options{Table: table(), PruneEvery: -1})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	create(t, s, "id", bob, time.Now().Add(time.Hour))
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	failing(t, "database/sql", s, 200*time.Millisecond, "all 1 connections of the pool are in use")
	conn.Close()
	recovers(t, "database/sql", s)
}

// Calls that are given up, thousands of them, leave neither goroutines nor
// connections behind.
func TestNothingIsLeftBehind(t *testing.T) {
	to, name := shared(t), table()
	before := runtime.NumGoroutine()
	pool := connect(t, with(t, to, "application_name", name, "pool_max_conns", "4"))
	s := pgstore.New(pool, pgstore.Options{Table: name, Watch: true})
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	create(t, s, "id", bob, time.Now().Add(time.Hour))
	connections := func() int {
		c, err := pgx.Connect(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		defer hangUp(c)
		var n int
		if err := c.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1", name).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	release := lock(t, to, name)
	for range 10 {
		var wg sync.WaitGroup
		for _, call := range calls(s) {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				defer cancel()
				call(ctx)
			})
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			s.Watch(ctx, func(string) {})
		})
		wg.Wait()
	}
	release()
	recovers(t, "after calls that were given up", s)
	until(t, "connections to be closed", func() bool { return connections() <= 4 })
	s.Close()
	pool.Close()
	until(t, "all connections to be closed", func() bool { return connections() == 0 })
	until(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}
