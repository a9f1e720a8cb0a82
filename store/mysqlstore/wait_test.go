package mysqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// waiting waits until n transactions wait for a lock. The table that tells is made
// anew only when nobody has read it for a tenth of a second.
func waiting(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	eventually(t, "transactions wait for the lock", func() bool {
		var got int
		err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'").Scan(&got)
		if err != nil {
			t.Fatal(err)
		}
		return got >= n
	})
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for begin := time.Now(); !ok(); time.Sleep(200 * time.Millisecond) {
		if time.Since(begin) > 30*time.Second {
			t.Fatalf("after 30 s it is not true that %s", what)
		}
	}
}

// The row is locked by somebody else when the call comes. What becomes of the
// record until the lock is gone decides, not what it was when the call began.
func TestWhatHappensWhileACallWaits(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		ctx, cfg, name := t.Context(), config(t, servers.Shared(t, k), ""), tableName()
		s := migrated(t, cfg, mysqlstore.Options{Table: name})
		plain := mysqlstore.New(pool(t, cfg), mysqlstore.Options{Table: name, PruneEvery: -1})
		defer plain.Close()
		db := pool(t, cfg)
		one, two := []byte(`{"n":1}`), []byte(`{"n":2}`)
		all := map[string]func(id string, to time.Time) error{
			"load": func(id string, to time.Time) error { return second(s.Load(ctx, id, session.Slide{To: to})) },
			"load-in-two": func(id string, to time.Time) error {
				return second(plain.Load(ctx, id, session.Slide{To: to}))
			},
			"touch":  func(id string, to time.Time) error { return s.Touch(ctx, id, to) },
			"update": func(id string, to time.Time) error { return s.Update(ctx, id, one, two, to) },
			"same":   func(id string, to time.Time) error { return s.Update(ctx, id, one, one, to) },
			"delete": func(id string, _ time.Time) error { return s.Delete(ctx, id, one) },
		}
		for _, test := range []struct {
			name      string
			meanwhile string // what the holder of the lock does
			outlive   bool
			want      map[string]error
		}{
			{"dies", "UPDATE " + name + " SET expires = UNIX_TIMESTAMP() + 1", true, map[string]error{
				"load": session.ErrNotFound, "load-in-two": session.ErrNotFound, "touch": session.ErrNotFound,
				"update": session.ErrNotFound, "same": session.ErrNotFound, "delete": session.ErrNotFound,
			}},
			{"is deleted", "DELETE FROM " + name, false, map[string]error{
				"load": session.ErrNotFound, "load-in-two": session.ErrNotFound, "touch": session.ErrNotFound,
				"update": session.ErrNotFound, "same": session.ErrNotFound, "delete": session.ErrNotFound,
			}},
			{"is changed", "UPDATE " + name + " SET data = '{}'", false, map[string]error{
				"update": session.ErrConflict, "same": session.ErrConflict, "delete": session.ErrConflict,
			}},
			{"is locked and no more", "DO 0", false, map[string]error{}},
		} {
			do(t, db, "DELETE FROM "+name)
			deadline := in(time.Hour)
			for id := range all {
				if err := s.Create(ctx, id, session.Record{Data: one, Deadline: deadline}); err != nil {
					t.Fatal(err)
				}
			}
			holder, err := db.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := holder.ExecContext(ctx, "UPDATE "+name+" SET data = CONCAT(data, ' ')"); err != nil {
				t.Fatal(err)
			}
			if _, err := holder.ExecContext(ctx, "UPDATE "+name+" SET data = TRIM(data)"); err != nil {
				t.Fatal(err)
			}
			type outcome struct {
				id  string
				err error
			}
			outcomes := make(chan outcome, len(all))
			for id, call := range all {
				go func() { outcomes <- outcome{id, call(id, deadline.Add(time.Hour))} }()
			}
			waiting(t, db, len(all))
			if _, err := holder.ExecContext(ctx, test.meanwhile); err != nil {
				t.Fatal(err)
			}
			if test.outlive {
				time.Sleep(2100 * time.Millisecond)
			}
			if err := holder.Commit(); err != nil {
				t.Fatal(err)
			}
			for range all {
				if got := <-outcomes; !errors.Is(got.err, test.want[got.id]) {
					t.Errorf("%s of a record that %s meanwhile = %v; want %v", got.id, test.name, got.err, test.want[got.id])
				}
			}
		}
	})
}

// The server gives up a wait long before the caller does.
func TestLockTimeoutIsTriedAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		cfg, name := config(t, servers.Shared(t, k), "innodb_lock_wait_timeout=1"), tableName()
		db := pool(t, cfg)
		s := mysqlstore.New(db, mysqlstore.Options{Table: name, PruneEvery: -1})
		defer s.Close()
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Create(t.Context(), "id", session.Record{Data: []byte("a"), Deadline: in(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		holder, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := holder.ExecContext(t.Context(), "SELECT * FROM "+name+" FOR UPDATE"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		err = s.Update(ctx, "id", []byte("a"), []byte("b"), in(time.Hour))
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Update while the row is locked for longer than the caller waits = %v; want %v", err, context.DeadlineExceeded)
		}
		done := make(chan error)
		go func() { done <- s.Update(t.Context(), "id", []byte("a"), []byte("b"), in(time.Hour)) }()
		time.AfterFunc(2500*time.Millisecond, func() { holder.Rollback() })
		if err := <-done; err != nil && !errors.Is(err, session.ErrConflict) { // the first may still have waited at the server
			t.Errorf("Update while the row is locked for longer than the server waits = %v; want it to be tried again", err)
		}
		if rec, err := s.Load(t.Context(), "id", session.Slide{}); string(rec.Data) != "b" {
			t.Errorf("Load = %q, %v; want what Update stored", rec.Data, err)
		}
	})
}
