package nearcache_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/nearcache"
)

// A change made on stale data meets a conflict, and what is read then is not stale.
func TestConflictLeadsToWhatIsStored(t *testing.T) {
	fake(t, nearcache.Options{}, func(t *testing.T, s nearcache.Store, below *slow) {
		must(t, s.Create(t.Context(), "id", record("1")))
		must(t, below.Update(t.Context(), "id", []byte("1"), []byte("2"), in(time.Hour))) // another process
		rec, err := s.Load(t.Context(), "id", session.Slide{})
		if err != nil || string(rec.Data) != "1" {
			t.Errorf("Load = %s, %v; want what was there within the lease", rec.Data, err)
		}
		if err := s.Update(t.Context(), "id", rec.Data, []byte("3"), in(time.Hour)); !errors.Is(err, session.ErrConflict) {
			t.Fatalf("Update = %v; want %v", err, session.ErrConflict)
		}
		if rec, err := s.Load(t.Context(), "id", session.Slide{}); err != nil || string(rec.Data) != "2" {
			t.Errorf("Load after the conflict = %s, %v; want 2", rec.Data, err)
		}
	})
}

// A read whose answer was on its way when the record was written is not remembered.
func TestReadThatRacesAWrite(t *testing.T) {
	for name, write := range map[string]func(ctx context.Context, s session.Store) error{
		"Update": func(ctx context.Context, s session.Store) error {
			return s.Update(ctx, "id", []byte("1"), []byte("2"), in(time.Hour))
		},
		"Touch":  func(ctx context.Context, s session.Store) error { return s.Touch(ctx, "id", in(2*time.Hour)) },
		"Delete": func(ctx context.Context, s session.Store) error { return s.Delete(ctx, "id", nil) },
		"RevokeUser": func(ctx context.Context, s session.Store) error {
			return second(s.(session.UserIndex).RevokeUser(ctx, "alice", time.Now()))
		},
		"Clear": func(ctx context.Context, s session.Store) error { return s.(session.Clearer).Clear(ctx) },
	} {
		t.Run(name, func(t *testing.T) {
			fake(t, nearcache.Options{}, func(t *testing.T, s nearcache.Store, below *slow) {
				must(t, below.Create(t.Context(), "id", owned("1", "alice")))
				below.takes = 20 * time.Millisecond
				read := make(chan error)
				go func() { read <- second(s.Load(t.Context(), "id", session.Slide{})) }()
				time.Sleep(10 * time.Millisecond)
				written := make(chan error, 1)
				go func() { written <- write(t.Context(), s) }()
				must(t, <-read)
				below.takes = 0
				got, gotErr := s.Load(t.Context(), "id", session.Slide{})
				rec, err := below.Load(t.Context(), "id", session.Slide{})
				if string(got.Data) != string(rec.Data) || !got.Deadline.Equal(rec.Deadline) || (gotErr == nil) != (err == nil) {
					t.Errorf("Load = %s until %v, %v; want %s until %v, %v", got.Data, got.Deadline, gotErr, rec.Data, rec.Deadline, err)
				}
				must(t, <-written)
			})
		})
	}
}

// Whatever one caller of a process has been told, no later one is told what was before.
func TestReadsNeverGoBack(t *testing.T) {
	moving := func() session.Slide { return session.Slide{To: in(2 * time.Hour)} }
	for _, c := range []struct {
		name string
		do   func(ctx context.Context, s, other session.Store) error
		data string
		err  error
	}{
		{"to what another process has ended", func(ctx context.Context, s, other session.Store) error {
			if err := other.Delete(ctx, "id", nil); err != nil {
				return err
			}
			return want(second(s.Load(ctx, "id", moving())), session.ErrNotFound)
		}, "", session.ErrNotFound},
		{"to what another process has changed", func(ctx context.Context, s, other session.Store) error {
			if err := other.Update(ctx, "id", []byte("1"), []byte("2"), in(time.Hour)); err != nil {
				return err
			}
			return second(s.Load(ctx, "id", moving()))
		}, "2", nil},
		{"behind the newer of two reads at the same time", func(ctx context.Context, s, other session.Store) error {
			time.Sleep(full) // nothing is known
			older := make(chan error, 1)
			go func() { older <- second(s.Load(ctx, "id", session.Slide{})) }()
			time.Sleep(5 * time.Millisecond)
			if err := other.Update(ctx, "id", []byte("1"), []byte("2"), in(time.Hour)); err != nil {
				return err
			}
			return errors.Join(second(s.Load(ctx, "id", session.Slide{})), <-older)
		}, "2", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake(t, nearcache.Options{}, func(t *testing.T, s nearcache.Store, below *slow) {
				must(t, s.Create(t.Context(), "id", record("1")))
				below.takes = 10 * time.Millisecond
				must(t, c.do(t.Context(), s, below.quiet))
				if rec, err := s.Load(t.Context(), "id", session.Slide{}); string(rec.Data) != c.data || !errors.Is(err, c.err) {
					t.Errorf("Load = %s, %v; want %s, %v", rec.Data, err, c.data, c.err)
				}
			})
		})
	}
}
