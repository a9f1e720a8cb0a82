package pgstore_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// On the table that Migrate makes, a moved deadline touches no index: the new
// version of the row finds room on the same page.
func TestTouchesAreHOT(t *testing.T) {
	// In a database of its own, where no other test's transaction keeps old
	// versions of rows from being cleared away.
	to, name := database(t, "UTC"), table()
	pool := connect(t, with(t, to, "pool_max_conns", "1"))
	s := open(t, pool, pgstore.Options{Table: name})
	const records, rounds = 200, 10
	for i := range records {
		rec := signIn(0)
		rec.Owner.User = fmt.Sprint("user", i%20)
		if err := s.Create(t.Context(), fmt.Sprint("id", i), rec); err != nil {
			t.Fatal(err)
		}
	}
	later := time.Now().Add(time.Hour)
	for range rounds {
		for i := range records {
			later = later.Add(2 * time.Second)
			if i%2 == 0 {
				if err := s.Touch(t.Context(), fmt.Sprint("id", i), later); err != nil {
					t.Fatal(err)
				}
			} else if _, err := s.Load(t.Context(), fmt.Sprint("id", i), session.Slide{To: later}); err != nil {
				t.Fatal(err)
			}
		}
	}
	scan[string](t, pool, "SELECT pg_stat_force_next_flush()::text")
	updates := scan[int](t, pool, "SELECT n_tup_upd::int FROM pg_stat_user_tables WHERE relname = $1", name)
	hot := scan[int](t, pool, "SELECT n_tup_hot_upd::int FROM pg_stat_user_tables WHERE relname = $1", name)
	t.Logf("%d touches, of which %d HOT", updates, hot)
	if updates != records*rounds || hot < updates*97/100 {
		t.Errorf("%d updates, of which %d HOT; want %d, nearly all HOT", updates, hot, records*rounds)
	}
}

// A Load that waits for another change sees what that has left, and not the
// state before it: neither a record that is gone, nor a deadline that is no
// longer in force.
func TestLoadSeesWhatItWaitedFor(t *testing.T) {
	to, name := shared(t), table()
	s := open(t, connect(t, to), pgstore.Options{Table: name})
	soon, later, latest := in(time.Hour), in(2*time.Hour), in(3*time.Hour)
	for _, test := range []struct {
		name, change string
		data         string
		deadline     time.Time
		err          error
	}{
		{"a deadline moved further", "UPDATE %s SET expire = to_timestamp($1) WHERE sid = 'id'", bob, latest, nil},
		{"other data", `UPDATE %s SET sess = '{"a":1}', expire = to_timestamp($1 - 5400) WHERE sid = 'id'`, `{"a":1}`, later, nil},
		{"a deletion", "DELETE FROM %s WHERE sid = 'id' AND $1 > 0", "", time.Time{}, session.ErrNotFound},
	} {
		create(t, s, "id", bob, soon)
		tx := hold(t, to)
		if _, err := tx.Exec(t.Context(), fmt.Sprintf(test.change, name), float64(latest.UnixMilli())/1000); err != nil {
			t.Fatal(err)
		}
		var rec session.Record
		var err error
		var wg sync.WaitGroup
		wg.Go(func() { rec, err = s.Load(t.Context(), "id", session.Slide{To: later}) })
		awaitWaiting(t, to, name, 1)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if !errors.Is(err, test.err) || string(rec.Data) != test.data || !rec.Deadline.Equal(test.deadline) {
			t.Errorf("Load that waited for %s = %q until %v, %v; want %q until %v, %v",
				test.name, rec.Data, rec.Deadline, err, test.data, test.deadline, test.err)
		}
		if err := s.Delete(t.Context(), "id", nil); err != nil {
			t.Fatal(err)
		}
	}
}

// The same for a compare-and-swap: that the data were as expected when it began
// tells nothing about when it is done.
func TestVerdictsAfterWaiting(t *testing.T) {
	to, name := shared(t), table()
	s := open(t, connect(t, to), pgstore.Options{Table: name})
	methods := map[string]func() error{
		"Update": func() error { return s.Update(t.Context(), "id", []byte(bob), []byte(`{"b":2}`), in(time.Hour)) },
		"Delete": func() error { return s.Delete(t.Context(), "id", []byte(bob)) },
	}
	for change, want := range map[string]error{
		`UPDATE %s SET sess = '{"a":1}' WHERE sid = 'id'`:                                              session.ErrConflict,
		`DELETE FROM %s WHERE sid = 'id'`:                                                              session.ErrNotFound,
		`UPDATE %s SET expire = now() - interval '1 minute' WHERE sid = 'id'`:                          session.ErrNotFound,
		`UPDATE %s SET expire = expire + interval '1 minute' WHERE sid = 'id'`:                         nil,
		`UPDATE %s SET sess = (' ' || sess::text)::json WHERE sid = 'id'`:                              session.ErrConflict,
		`SELECT sid FROM %s WHERE sid = 'id' FOR UPDATE`:                                               nil,
		`WITH d AS (DELETE FROM %s RETURNING *) INSERT INTO %[1]s SELECT 'other', sess, expire FROM d`: session.ErrNotFound,
	} {
		for method, call := range methods {
			create(t, s, "id", bob, in(time.Hour))
			tx := hold(t, to)
			if _, err := tx.Exec(t.Context(), fmt.Sprintf(change, name)); err != nil {
				t.Fatal(err)
			}
			var err error
			var wg sync.WaitGroup
			wg.Go(func() { err = call() })
			awaitWaiting(t, to, name, 1)
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			if !errors.Is(err, want) {
				t.Errorf("%s that waited for %s = %v; want %v", method, change, err, want)
			}
			if err := s.Clear(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A deadlock has a victim, and that is no failure: the call is made again.
func TestDeadlockIsNoFailure(t *testing.T) {
	to, name := shared(t), table()
	s := open(t, connect(t, with(t, to, "deadlock_timeout", "50ms")), pgstore.Options{Table: name})
	for _, id := range []string{"a", "b"} {
		if err := s.Create(t.Context(), id, signIn(0)); err != nil {
			t.Fatal(err)
		}
	}
	tx := hold(t, to)
	// The last row first, while RevokeUser takes them as they come.
	if _, err := tx.Exec(t.Context(), "SELECT FROM "+name+" WHERE sid = 'b' FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	var n int
	var err error
	var wg sync.WaitGroup
	wg.Go(func() { n, err = s.RevokeUser(t.Context(), "alice", time.Now()) })
	awaitWaiting(t, to, name, 1)
	if _, err := tx.Exec(t.Context(), "SELECT FROM "+name+" WHERE sid = 'a' FOR UPDATE"); err != nil {
		t.Fatalf("the other one was the victim: %v", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if n != 2 || err != nil {
		t.Errorf("RevokeUser after a deadlock = %d, %v; want 2", n, err)
	}
}

// in returns the moment d from now, in whole milliseconds.
func in(d time.Duration) time.Time { return time.UnixMilli(time.Now().Add(d).UnixMilli()) }

// hold begins a transaction that others have to wait for.
func hold(t *testing.T, to string) pgx.Tx {
	t.Helper()
	c, err := pgx.Connect(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { hangUp(c) })
	tx, err := c.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// awaitWaiting returns when n statements on the table wait for a lock.
func awaitWaiting(t *testing.T, to, table string, n int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	defer hangUp(c)
	until(t, "statements to wait for a lock", func() bool {
		var waiting int
		err := c.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE wait_event_type = 'Lock' AND query LIKE '%"' || $1 || '"%'`, table).Scan(&waiting)
		return err == nil && waiting >= n
	})
}
