package pgstore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// A server that commits asynchronously by default, and lets its log lie in memory
// for ten seconds, is killed right after a method has returned nil. What the method
// did is there when it is back; what was committed as the default has it is lost,
// which shows that the kill came in time.
func TestKilledServer(t *testing.T) {
	server := servers.Start(t, servers.Postgres)
	for _, setting := range []string{"synchronous_commit = off", "wal_writer_delay = '10s'", "autovacuum = off", "bgwriter_delay = '10s'"} {
		execute(t, server.URL, "ALTER SYSTEM SET "+setting)
	}
	server.Restart(t, 0)
	open := func() (*pgstore.Store, *pgxpool.Pool) {
		pool, err := pgxpool.New(t.Context(), server.URL)
		if err != nil {
			t.Fatal(err)
		}
		s := pgstore.New(pool, pgstore.Options{PruneEvery: -1})
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s, pool
	}
	load := func(s *pgstore.Store, id string) string {
		rec, err := s.Load(t.Context(), id, session.Slide{})
		switch {
		case errors.Is(err, session.ErrNotFound):
			return "nothing"
		case err != nil:
			t.Errorf("Load = %v", err)
		}
		return string(rec.Data) + " until " + rec.Deadline.UTC().Format(time.RFC3339)
	}
	soon, later := time.Now().Add(time.Hour).Truncate(time.Second), time.Now().Add(2*time.Hour).Truncate(time.Second)
	first, moved := bob+" until "+soon.UTC().Format(time.RFC3339), bob+" until "+later.UTC().Format(time.RFC3339)
	second := strings.Replace(moved, bob, `{"a":1}`, 1)
	owned := signIn(0)
	owned.Deadline = soon
	for _, test := range []struct {
		name string
		do   func(s *pgstore.Store, pool *pgxpool.Pool) error
		id   string
		want []string // one of them
	}{
		{"Create", func(s *pgstore.Store, _ *pgxpool.Pool) error {
			return s.Create(t.Context(), "new", session.Record{Data: []byte(bob), Deadline: soon})
		}, "new", []string{first}},
		{"Create with an owner", func(s *pgstore.Store, _ *pgxpool.Pool) error {
			return s.Create(t.Context(), "new", owned)
		}, "new", []string{first}},
		{"Update", func(s *pgstore.Store, _ *pgxpool.Pool) error {
			return s.Update(t.Context(), "id", []byte(bob), []byte(`{"a":1}`), later)
		}, "id", []string{second}},
		{"Delete", func(s *pgstore.Store, _ *pgxpool.Pool) error {
			return s.Delete(t.Context(), "id", nil)
		}, "id", []string{"nothing"}},
		{"Delete with an old", func(s *pgstore.Store, _ *pgxpool.Pool) error {
			return s.Delete(t.Context(), "id", []byte(bob))
		}, "id", []string{"nothing"}},
		{"RevokeUser", func(s *pgstore.Store, _ *pgxpool.Pool) error {
			_, err := s.RevokeUser(t.Context(), "alice", time.Now())
			return err
		}, "id", []string{"nothing"}},
		{"Clear", func(s *pgstore.Store, _ *pgxpool.Pool) error {
			return s.Clear(t.Context())
		}, "id", []string{"nothing"}},
		{"Touch", func(s *pgstore.Store, _ *pgxpool.Pool) error {
			return s.Touch(t.Context(), "id", later)
		}, "id", []string{first, moved}},
		{"Load that moves", func(s *pgstore.Store, _ *pgxpool.Pool) error {
			_, err := s.Load(t.Context(), "id", session.Slide{To: later})
			return err
		}, "id", []string{first, moved}},
		{"a DELETE of somebody else", func(_ *pgstore.Store, pool *pgxpool.Pool) error {
			_, err := pool.Exec(t.Context(), "DELETE FROM session WHERE sid = 'id'")
			return err
		}, "id", []string{first}},
	} {
		s, pool := open()
		if err := s.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		owned.Owner.AsOf = time.Now()
		if err := s.Create(t.Context(), "id", owned); err != nil {
			t.Fatal(err)
		}
		if err := test.do(s, pool); err != nil {
			t.Errorf("%s = %v", test.name, err)
		}
		server.Kill(t, 0)
		pool.Close()
		server.Restart(t, 0)
		s, pool = open()
		got := load(s, test.id)
		matches := false
		for _, want := range test.want {
			matches = matches || got == want
		}
		if !matches {
			t.Errorf("%s, then the server was killed: %s; want %s", test.name, got, strings.Join(test.want, " or "))
		}
		if len(test.want) > 1 {
			t.Logf("%s, then the server was killed: moved %t", test.name, got == moved)
		}
		pool.Close()
	}
}

// A moved deadline is not worth waiting for the disk; everything else is.
func TestOnlyTouchesDoNotWaitForTheDisk(t *testing.T) {
	server := servers.Start(t, servers.Postgres)
	for _, setting := range []string{"wal_writer_delay = '10s'", "autovacuum = off", "bgwriter_delay = '10s'"} {
		execute(t, server.URL, "ALTER SYSTEM SET "+setting)
	}
	server.Restart(t, 0)
	pool := connect(t, server.URL)
	s := open(t, pool, pgstore.Options{})
	create(t, s, "id", bob, time.Now().Add(time.Hour))
	for _, test := range []struct {
		name  string
		do    func() error
		waits bool
	}{
		{"Touch", func() error { return s.Touch(t.Context(), "id", time.Now().Add(2*time.Hour)) }, false},
		{"Update", func() error {
			return s.Update(t.Context(), "id", []byte(bob), []byte(bob), time.Now().Add(time.Hour))
		}, true},
		{"Load that moves", func() error {
			_, err := s.Load(t.Context(), "id", session.Slide{To: time.Now().Add(3 * time.Hour)})
			return err
		}, false},
		{"Delete", func() error { return s.Delete(t.Context(), "id", nil) }, true},
	} {
		if err := test.do(); err != nil {
			t.Fatal(err)
		}
		if written := scan[bool](t, pool, "SELECT pg_current_wal_flush_lsn() = pg_current_wal_insert_lsn()"); written != test.waits {
			t.Errorf("after %s the log is on the disk: %t; want %t", test.name, written, test.waits)
		}
	}
}
