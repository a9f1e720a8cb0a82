package mysqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

const password = "a-Secret-pa55word"

// application makes a user as an application has it, whom no privilege exempts
// from the server's limits, and returns cfg with it.
func application(t *testing.T, cfg *mysql.Config) *mysql.Config {
	do(t, pool(t, cfg), "CREATE USER IF NOT EXISTS app@'%' IDENTIFIED BY '"+password+"'", "GRANT ALL ON test.* TO app@'%'")
	cfg = cfg.Clone()
	cfg.User, cfg.Passwd = "app", password
	return cfg
}

// calls are all that a store does, on a table that holds the record "id" of
// alice's with the data "a".
func calls(s *mysqlstore.Store) map[string]func(context.Context) error {
	rec := func(user string) session.Record {
		return session.Record{
			Data: []byte("a"), Deadline: in(time.Hour),
			Owner: session.Owner{User: user, AsOf: time.Now(), Max: 5},
		}
	}
	return map[string]func(context.Context) error{
		"Load": func(ctx context.Context) error { return second(s.Load(ctx, "id", session.Slide{})) },
		"Load with a slide": func(ctx context.Context) error {
			return second(s.Load(ctx, "id", session.Slide{To: in(2 * time.Hour)}))
		},
		"Create":               func(ctx context.Context) error { return s.Create(ctx, "new", rec("")) },
		"Create with an owner": func(ctx context.Context) error { return s.Create(ctx, "newer", rec("alice")) },
		"Update":               func(ctx context.Context) error { return s.Update(ctx, "id", []byte("a"), []byte("a"), in(time.Hour)) },
		"Touch":                func(ctx context.Context) error { return s.Touch(ctx, "id", in(3*time.Hour)) },
		"Delete":               func(ctx context.Context) error { return s.Delete(ctx, "other", nil) },
		"Delete with old":      func(ctx context.Context) error { return s.Delete(ctx, "other", []byte("a")) },
		"UserIDs":              func(ctx context.Context) error { return second(s.UserIDs(ctx, "alice")) },
		"RevokeUser":           func(ctx context.Context) error { return second(s.RevokeUser(ctx, "bob", time.Now())) },
		"List":                 func(ctx context.Context) error { _, _, err := s.List(ctx, "", 10); return err },
		"Count":                func(ctx context.Context) error { return second(s.Count(ctx)) },
		"Clear":                func(ctx context.Context) error { return s.Clear(ctx) },
		"Prune":                func(ctx context.Context) error { return second(s.Prune(ctx, 10)) },
		"Ping":                 func(ctx context.Context) error { return s.Ping(ctx) },
		"Migrate":              func(ctx context.Context) error { return s.Migrate(ctx) },
	}
}

var reads = []string{"Load", "UserIDs", "List", "Count", "Ping", "Migrate"}

// fails checks that each call fails within its time with an error that is a
// failure, and has the text; but those that are named.
func fails(t *testing.T, s *mysqlstore.Store, within time.Duration, text string, but ...string) {
	t.Helper()
	type outcome struct {
		name string
		err  error
		took time.Duration
	}
	all := calls(s)
	for _, name := range but {
		delete(all, name)
	}
	outcomes := make(chan outcome, len(all))
	for name, call := range all {
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			begin := time.Now()
			err := call(ctx)
			outcomes <- outcome{name, err, time.Since(begin)}
		}()
	}
	for range all {
		o := <-outcomes
		switch {
		case o.err == nil || contract.Answers(o.err):
			t.Errorf("%s = %v; want a failure", o.name, o.err)
		case !strings.Contains(o.err.Error(), text):
			t.Errorf("%s = %q; want it to say %q", o.name, o.err, text)
		case strings.Contains(o.err.Error(), password):
			t.Errorf("%s = %q, which has the password", o.name, o.err)
		}
		if o.took > within+3*time.Second {
			t.Errorf("%s returned after %v; its context was done after %v", o.name, o.took, within)
		}
	}
}

// recovers checks that everything works, soon, and leaves the record as fails
// expects it.
func recovers(t *testing.T, s *mysqlstore.Store) {
	t.Helper()
	begin := time.Now()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		err := s.Clear(ctx)
		cancel()
		if err == nil {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("20 s after the fault was mended: %v", err)
		}
	}
	seed(t, s)
	for _, name := range append([]string{"Load with a slide", "Create", "Create with an owner", "Update", "Touch", "Delete", "RevokeUser", "Prune"}, reads...) {
		if err := calls(s)[name](t.Context()); err != nil {
			t.Errorf("%s after the fault was mended: %v", name, err)
		}
	}
	if err := errors.Join(s.Delete(t.Context(), "new", nil), s.Delete(t.Context(), "newer", nil)); err != nil {
		t.Error(err)
	}
}

func seed(t *testing.T, s *mysqlstore.Store) {
	t.Helper()
	for _, id := range []string{"id", "other"} {
		err := s.Create(t.Context(), id, session.Record{
			Data: []byte("a"), Deadline: in(time.Hour), Owner: session.Owner{User: "alice", AsOf: time.Now().Add(time.Hour)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// tidy checks, when it is called a second time, that nothing has been left
// behind in between: no goroutine, and no connection at the server.
func tidy(t *testing.T, db *sql.DB) func() {
	connections := func() int { return statements(t, db, "Threads\\_connected")["threads_connected"] }
	connections()
	goroutines, connected := runtime.NumGoroutine(), connections()
	return func() {
		t.Helper()
		eventually(t, fmt.Sprintf("the server has no more than %d connections", connected), func() bool { return connections() <= connected })
		eventually(t, fmt.Sprintf("no more than %d goroutines are left", goroutines), func() bool { return runtime.NumGoroutine() <= goroutines })
	}
}

// The network fails in every way, one after the other, under one store.
func TestNetworkFaults(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		server := servers.Shared(t, k)
		link := servers.Proxy(t, server.Addrs[0])
		admin := pool(t, config(t, server, ""))
		far := config(t, server, "")
		far.Addr = link.Addr
		done := tidy(t, admin)

		link.Down()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		opts := mysqlstore.Options{Table: tableName(), PruneEvery: -1, MaxConns: 8, Logger: quiet}
		if s, err := mysqlstore.OpenConfig(ctx, far, opts); err == nil || !strings.Contains(err.Error(), link.Addr) {
			t.Errorf("Open of a server that is down = %v, %v; want an error that names %s", s, err, link.Addr)
		}
		connector, err := mysql.NewConnector(far)
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(connector)
		early := mysqlstore.New(db, opts)
		fails(t, early, 5*time.Second, link.Addr)
		link.Up()
		if err := early.Migrate(t.Context()); err != nil {
			t.Fatalf("Migrate once the server is up: %v", err)
		}
		recovers(t, early)

		s, err := mysqlstore.OpenConfig(t.Context(), far, opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range []struct {
			name string
			set  func()
			text string
		}{
			{"latency", func() { link.Latency(5 * time.Second) }, context.DeadlineExceeded.Error()},
			{"black hole", link.BlackHole, context.DeadlineExceeded.Error()},
			{"lost answers", link.LoseAnswers, context.DeadlineExceeded.Error()},
			{"reset", link.Reset, ""},
			{"down", link.Down, ""},
		} {
			for _, s := range []*mysqlstore.Store{early, s} {
				recovers(t, s)
			}
			fault.set()
			for _, s := range []*mysqlstore.Store{early, s} {
				fails(t, s, time.Second, fault.text)
			}
			link.Up()
			t.Logf("%s: done", fault.name)
		}
		recovers(t, early)
		recovers(t, s)
		if err := errors.Join(early.Close(), db.Close(), s.Close()); err != nil {
			t.Error(err)
		}
		done()
	})
}

// What is slow works all the same.
func TestSlowNetwork(t *testing.T) {
	server := servers.Shared(t, servers.MariaDB)
	link := servers.Proxy(t, server.Addrs[0])
	cfg := config(t, server, "")
	cfg.Addr = link.Addr
	s := migrated(t, cfg, mysqlstore.Options{Table: tableName()})
	seed(t, s)
	const latency = 200 * time.Millisecond
	link.Latency(latency)
	begin := time.Now()
	if _, err := s.Load(t.Context(), "id", session.Slide{To: in(2 * time.Hour)}); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took >= 2*latency {
		t.Errorf("a Load that moves the deadline took %v where an answer takes %v; want one round trip", took, latency)
	}
}

// The server is killed amid writes, and started again. What it had acknowledged
// is there, and the store goes on.
func TestKilledServer(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		server := servers.Start(t, k)
		s := migrated(t, config(t, server, ""), mysqlstore.Options{MaxConns: 4})
		seed(t, s)
		deleted, updated := 0, 0
		failed := make(chan error)
		go func() {
			for n := 0; ; n++ {
				id, deadline := fmt.Sprint("id", n), in(time.Hour)
				err := s.Create(t.Context(), id, session.Record{Data: []byte("a"), Deadline: deadline})
				if err == nil {
					err = s.Update(t.Context(), id, []byte("a"), []byte("b"), deadline)
				}
				if err == nil && n%2 == 0 {
					err = s.Delete(t.Context(), id, nil)
				}
				if err != nil {
					failed <- err
					return
				}
				if n%2 == 0 {
					deleted = n
				} else {
					updated = n
				}
				if n == 200 {
					go server.Kill(t, 0)
				}
			}
		}()
		if err := <-failed; contract.Answers(err) {
			t.Errorf("a call while the server was killed = %v; want a failure", err)
		}
		fails(t, s, 2*time.Second, server.Addrs[0])
		server.Restart(t, 0)
		for n := range max(deleted, updated) + 1 {
			rec, err := s.Load(t.Context(), fmt.Sprint("id", n), session.Slide{})
			if n%2 == 0 && n <= deleted && !errors.Is(err, session.ErrNotFound) {
				t.Errorf("record %d was deleted; Load = %q, %v", n, rec.Data, err)
			}
			if n%2 == 1 && n <= updated && string(rec.Data) != "b" {
				t.Errorf("record %d was updated; Load = %q, %v", n, rec.Data, err)
			}
		}
		t.Logf("%d records", max(deleted, updated)+1)
		recovers(t, s)
	})
}

// A server that has become read-only, as after a failover, still shows what it
// has.
func TestReadOnlyServer(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		root := config(t, servers.Shared(t, k), "")
		s := migrated(t, application(t, root), mysqlstore.Options{Table: tableName(), MaxConns: 4})
		seed(t, s)
		on, off := "SET GLOBAL read_only = 1", "SET GLOBAL read_only = 0"
		if k == servers.MySQL {
			on = "SET GLOBAL super_read_only = 1"
		}
		admin := pool(t, root)
		defer admin.Exec(off) // for the other tests, if this one fails
		do(t, admin, on)
		// Delete of what is not there, and so on, may find nothing to write.
		fails(t, s, 5*time.Second, "the server is read-only", reads...)
		for _, name := range reads {
			if err := calls(s)[name](t.Context()); err != nil {
				t.Errorf("%s on a read-only server: %v", name, err)
			}
		}
		rec, err := s.Load(t.Context(), "id", session.Slide{To: in(2 * time.Hour), Before: in(time.Minute)})
		if string(rec.Data) != "a" {
			t.Errorf("Load with a slide that is not due on a read-only server = %q, %v", rec.Data, err)
		}
		do(t, admin, off)
		recovers(t, s)
	})
}

func TestOutOfConnections(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		root := config(t, servers.Shared(t, k), "")
		cfg, opts := application(t, root), mysqlstore.Options{Table: tableName(), PruneEvery: -1, MaxConns: 4, Logger: quiet}
		s := migrated(t, cfg, opts)
		seed(t, s)
		late := mysqlstore.New(pool(t, cfg), opts)
		defer late.Close()
		admin := pool(t, root)
		var before string
		if err := admin.QueryRow("SELECT @@GLOBAL.max_connections").Scan(&before); err != nil {
			t.Fatal(err)
		}
		defer admin.Exec("SET GLOBAL max_connections = " + before)
		do(t, admin, "SET GLOBAL max_connections = 10")
		others := pool(t, cfg)
		others.SetMaxOpenConns(50)
		var held []*sql.Conn
		for {
			conn, err := others.Conn(t.Context())
			if err != nil {
				break
			}
			held = append(held, conn)
		}
		fails(t, late, 5*time.Second, "max_connections")
		// A store that has a connection goes on with it.
		if _, err := s.Load(t.Context(), "id", session.Slide{}); err != nil {
			t.Errorf("Load over a connection that was open before: %v", err)
		}
		for _, conn := range held {
			conn.Close()
		}
		others.Close()
		recovers(t, late)
		recovers(t, s)
	})
}
