package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

// A record lives until the millisecond before its deadline, for every method.
func TestExpiryToTheMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		methods := map[string]func(s *sqlitestore.Store, id string) error{
			"Load": func(s *sqlitestore.Store, id string) error {
				return second(s.Load(t.Context(), id, session.Slide{}))
			},
			"Load with a slide": func(s *sqlitestore.Store, id string) error {
				return second(s.Load(t.Context(), id, session.Slide{To: time.Now().Add(time.Hour)}))
			},
			"Touch": func(s *sqlitestore.Store, id string) error {
				return s.Touch(t.Context(), id, time.Now().Add(time.Hour))
			},
			"Update": func(s *sqlitestore.Store, id string) error {
				return s.Update(t.Context(), id, []byte("a"), []byte("b"), time.Now().Add(time.Hour))
			},
			"Delete with an old": func(s *sqlitestore.Store, id string) error {
				return s.Delete(t.Context(), id, []byte("a"))
			},
		}
		s := open(t, temp(t))
		for name, method := range methods {
			for after, want := range map[time.Duration]error{
				time.Minute - time.Millisecond: nil,
				time.Minute - 1:                nil,
				time.Minute:                    session.ErrNotFound,
				time.Minute + time.Millisecond: session.ErrNotFound,
			} {
				id := fmt.Sprint(name, after)
				time.Sleep(time.Until(time.Now().Truncate(time.Millisecond).Add(time.Millisecond)))
				if err := s.Create(t.Context(), id, record("a", time.Minute)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(after)
				if err := method(s, id); !errors.Is(err, want) {
					t.Errorf("%s %v after the creation of a record that lives for a minute: %v; want %v", name, after, err, want)
				}
			}
		}
	})
}

// record returns a record that lives for so long.
func record(data string, lifetime time.Duration) session.Record {
	return session.Record{Data: []byte(data), Deadline: time.Now().Add(lifetime)}
}

func TestDeadlineIsRoundedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, temp(t))
		if err := s.Create(t.Context(), "id", record("a", time.Minute+time.Nanosecond)); err != nil {
			t.Fatal(err)
		}
		want := time.Now().Add(time.Minute + time.Millisecond)
		rec, err := s.Load(t.Context(), "id", session.Slide{})
		if err != nil || !rec.Deadline.Equal(want) {
			t.Errorf("deadline in a minute and a nanosecond: Load = %v, %v; want %v", rec.Deadline, err, want)
		}
	})
}

// A deadline that cannot be kept must not become one that is kept for ever.
func TestDeadlineOutOfRange(t *testing.T) {
	s := open(t, temp(t))
	for _, deadline := range []time.Time{{}, time.Now(), time.Unix(0, 0), time.Unix(1<<62, 0), time.Unix(-1<<62, 0)} {
		err := s.Create(t.Context(), "id", session.Record{Data: []byte("a"), Deadline: deadline})
		if err == nil {
			t.Errorf("Create with the deadline %d s = nil; want an error", deadline.Unix())
		}
	}
}

func TestPruneEvery(t *testing.T) {
	rows := func(s *sqlitestore.Store) (n int) {
		if err := s.DB().QueryRow("SELECT count(*) FROM sessions").Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	synctest.Test(t, func(t *testing.T) {
		for every, wants := range map[time.Duration][]int{
			time.Minute: {1000, 500, 0},
			0:           {1000, 1000, 0}, // five minutes, more or less
			-1:          {1000, 1000, 1000},
		} {
			s, err := sqlitestore.Open(t.Context(), temp(t), sqlitestore.Options{PruneEvery: every})
			if err != nil {
				t.Fatal(err)
			}
			for i := range 1000 {
				lifetime := time.Minute
				if i%2 == 0 {
					lifetime = 10 * time.Minute
				}
				if err := s.Create(t.Context(), fmt.Sprint(i), record("a", lifetime)); err != nil {
					t.Fatal(err)
				}
			}
			for i, wait := range []time.Duration{59 * time.Second, 91 * time.Second, 15 * time.Minute} {
				time.Sleep(wait)
				synctest.Wait()
				if got := rows(s); got != wants[i] {
					t.Errorf("PruneEvery %v, look %d: %d rows; want %d", every, i, got, wants[i])
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestPruneFailureIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s, err := sqlitestore.Open(t.Context(), temp(t), sqlitestore.Options{
			PruneEvery: time.Minute,
			Logger:     slog.New(slog.NewTextHandler(&log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.DB().Exec("DROP TABLE revocations"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(75 * time.Second)
		synctest.Wait()
		if got := log.String(); !strings.Contains(got, "level=ERROR") || !strings.Contains(got, "pillbox: sqlite prune sessions: ") {
			t.Errorf("log = %q; want an error of Prune", got)
		}
	})
}

func TestRevocationIsRememberedFor24Hours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, temp(t))
		at := time.Now()
		if _, err := s.RevokeUser(t.Context(), "alice", at); err != nil {
			t.Fatal(err)
		}
		signIn := func(asOf time.Time) error {
			rec := record("a", time.Minute)
			rec.Owner = session.Owner{User: "alice", AsOf: asOf}
			err := s.Create(t.Context(), "id", rec)
			s.Delete(t.Context(), "id", nil)
			return err
		}
		time.Sleep(24 * time.Hour)
		if _, err := s.Prune(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		for asOf, want := range map[time.Time]error{
			{}:              session.ErrRevoked,
			at.Add(-1):      session.ErrRevoked,
			at:              session.ErrRevoked,
			at.Add(1):       nil,
			at.Add(1 << 62): nil,
		} {
			if err := signIn(asOf); !errors.Is(err, want) {
				t.Errorf("a day later, Create as of %v after the revocation = %v; want %v", asOf.Sub(at), err, want)
			}
		}
		time.Sleep(2 * time.Hour)
		if _, err := s.Prune(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		var left int
		if err := s.DB().QueryRowContext(context.Background(), "SELECT count(*) FROM revocations").Scan(&left); err != nil || left != 0 {
			t.Errorf("after 26 hours and a Prune, %d revocations, %v; want none", left, err)
		}
	})
}
