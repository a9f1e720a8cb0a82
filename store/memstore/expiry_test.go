package memstore_test

import (
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// A record is live one millisecond before its deadline and dead at it, to
// every method.
func TestDeadline(t *testing.T) {
	const id, life = "id", time.Hour
	data := small("Ibuprofen")
	ctx := t.Context()
	for _, c := range []struct {
		method string
		do     func(s *memstore.Store) error
		dead   error
	}{
		{"Load", func(s *memstore.Store) error {
			_, err := s.Load(ctx, id, session.Slide{})
			return err
		}, session.ErrNotFound},
		{"Load with a slide", func(s *memstore.Store) error {
			_, err := s.Load(ctx, id, session.Slide{To: time.Now().Add(life)})
			return err
		}, session.ErrNotFound},
		{"Update", func(s *memstore.Store) error {
			return s.Update(ctx, id, data, data, time.Now().Add(life))
		}, session.ErrNotFound},
		{"Touch", func(s *memstore.Store) error {
			return s.Touch(ctx, id, time.Now().Add(life))
		}, session.ErrNotFound},
		{"Delete with an old", func(s *memstore.Store) error {
			return s.Delete(ctx, id, data)
		}, session.ErrNotFound},
		{"Create over it", func(s *memstore.Store) error {
			err := s.Create(ctx, id, session.Record{Data: data, Deadline: time.Now().Add(life)})
			if err == nil {
				return session.ErrNotFound
			}
			if errors.Is(err, session.ErrExists) {
				return nil
			}
			return err
		}, session.ErrNotFound},
		{"Count", func(s *memstore.Store) error {
			n, err := s.Count(ctx)
			if n == 0 && err == nil {
				return session.ErrNotFound
			}
			return err
		}, session.ErrNotFound},
	} {
		for _, at := range []struct {
			after time.Duration
			want  error
		}{
			{0, nil},
			{life - time.Millisecond, nil},
			{life - 1, nil},
			{life, c.dead},
			{life + time.Millisecond, c.dead},
			{life + time.Hour, c.dead},
		} {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New(memstore.Options{})
				defer s.Close()
				if err := s.Create(ctx, id, session.Record{Data: data, Deadline: time.Now().Add(life)}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(at.after)
				if err := c.do(s); !errors.Is(err, at.want) {
					t.Errorf("%s %v after the creation of a record that lives for %v: %v; want %v", c.method, at.after, life, err, at.want)
				}
			})
		}
	}
}

// A deadline between two milliseconds is rounded up, and one that is in the
// future by less than a millisecond is in the future.
func TestDeadlineRoundsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		deadline := time.Now().Add(1)
		if err := s.Create(t.Context(), "id", session.Record{Data: small("a"), Deadline: deadline}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond - 1)
		if _, err := s.Load(t.Context(), "id", session.Slide{}); err != nil {
			t.Errorf("Load within the millisecond of the deadline: %v; want a record", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := s.Load(t.Context(), "id", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load after the millisecond of the deadline: %v; want %v", err, session.ErrNotFound)
		}
	})
}

// An idle store gives back the room of dead records, and then stops its timer.
func TestIdleStoreGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		empty := heapInUse()
		const n = 100_000
		fill(t, s, n, time.Hour)
		full := heapInUse()
		time.Sleep(time.Hour + time.Minute)
		if held, _ := s.Held(); held != 0 {
			t.Errorf("an idle store holds %d records a minute after they have died; want none", held)
		}
		left := heapInUse() - empty
		t.Logf("%d sessions took %d bytes; %d are left", n, full-empty, left)
		if !raceEnabled && left > (full-empty)/20 {
			t.Errorf("a store of %d bytes has %d left after all records have died; want no more than a twentieth", full-empty, left)
		}
		time.Sleep(2 * time.Second)
		if s.Sweeping() {
			t.Error("the timer of an empty store runs")
		}
		fill(t, s, 1, time.Hour)
		if !s.Sweeping() {
			t.Error("the timer does not run though there is a record")
		}
		time.Sleep(2 * time.Hour)
		if held, _ := s.Held(); held != 0 || s.Sweeping() {
			t.Errorf("the timer was not started again: %d records are held", held)
		}
	})
}

// Records that outlive the others do not keep the memory of those.
func TestSparseStoreGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		defer s.Close()
		empty := heapInUse()
		const n = 200_000
		for range n / 20 {
			fill(t, s, 19, time.Hour)
			fill(t, s, 1, 3*time.Hour)
		}
		full := heapInUse()
		time.Sleep(2 * time.Hour)
		sparse := heapInUse() - empty
		t.Logf("%d sessions took %d bytes, a twentieth of them %d", n, full-empty, sparse)
		if !raceEnabled && sparse > (full-empty)/5 {
			t.Errorf("a twentieth of the sessions take %d bytes of %d; want no more than a fifth", sparse, full-empty)
		}
		if err := s.Check(); err != nil {
			t.Error(err)
		}
		runtime.KeepAlive(s)
	})
}

// A store that is closed or forgotten leaves no timer that keeps it.
func TestForgottenStoreIsGarbage(t *testing.T) {
	freed := make(chan struct{})
	func() {
		s := memstore.New(memstore.Options{})
		fill(t, s, 100, time.Hour)
		runtime.AddCleanup(s, func(freed chan struct{}) { close(freed) }, freed)
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-freed:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("a store with records that nobody refers to is not garbage")
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New(memstore.Options{})
		fill(t, s, 100, time.Hour)
		for range 2 {
			if err := s.Close(); err != nil {
				t.Errorf("Close() = %v", err)
			}
		}
		if held, _ := s.Held(); held != 0 || s.Sweeping() {
			t.Errorf("a closed store holds %d records", held)
		}
		if _, err := s.Load(t.Context(), "id", session.Slide{}); err == nil || errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load after Close = %v; want an error of its own", err)
		}
	})
}
