package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

// writes are the calls that need the write lock, for a store with a record "a"
// under "id" that belongs to alice.
var writes = map[string]func(ctx context.Context, s *sqlitestore.Store) error{
	"Create": func(ctx context.Context, s *sqlitestore.Store) error {
		return s.Create(ctx, "new", record("a", time.Hour))
	},
	"Update": func(ctx context.Context, s *sqlitestore.Store) error {
		return s.Update(ctx, "id", []byte("a"), []byte("b"), time.Now().Add(time.Hour))
	},
	"Touch": func(ctx context.Context, s *sqlitestore.Store) error {
		return s.Touch(ctx, "id", time.Now().Add(2*time.Hour))
	},
	"Load with a slide": func(ctx context.Context, s *sqlitestore.Store) error {
		return second(s.Load(ctx, "id", session.Slide{To: time.Now().Add(2 * time.Hour)}))
	},
	"Delete": func(ctx context.Context, s *sqlitestore.Store) error { return s.Delete(ctx, "id", nil) },
	"RevokeUser": func(ctx context.Context, s *sqlitestore.Store) error {
		return second(s.RevokeUser(ctx, "alice", time.Now()))
	},
	"Clear": func(ctx context.Context, s *sqlitestore.Store) error { return s.Clear(ctx) },
	"Prune": func(ctx context.Context, s *sqlitestore.Store) error { return second(s.Prune(ctx, 10)) },
}

func withRecord(t *testing.T, path string) *sqlitestore.Store {
	t.Helper()
	s := open(t, path)
	rec := record("a", time.Hour)
	rec.Owner = session.Owner{User: "alice", AsOf: time.Now()}
	if err := s.Create(t.Context(), "id", rec); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestWritersWaitForALock(t *testing.T) {
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := temp(t)
			s := withRecord(t, path)
			release := lock(t, path)
			time.AfterFunc(300*time.Millisecond, release)
			begun := time.Now()
			if err := write(t.Context(), s); err != nil {
				t.Errorf("with the database locked for 300 ms: %v; want nil", err)
			}
			if took := time.Since(begun); took < 250*time.Millisecond {
				t.Errorf("took %v; want 300 ms, so the test locks nothing", took)
			}
		})
	}
}

func TestWritersGiveUpWithTheirContext(t *testing.T) {
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := temp(t)
			s := withRecord(t, path)
			before, err := s.Load(t.Context(), "id", session.Slide{})
			if err != nil {
				t.Fatal(err)
			}
			release := lock(t, path)
			defer release()
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			begun := time.Now()
			if err := write(ctx, s); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("with the database locked: %v; want %v", err, context.DeadlineExceeded)
			}
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("gave up after %v; want 100 ms", took)
			}
			release()
			after, err := s.Load(t.Context(), "id", session.Slide{})
			if err != nil || string(after.Data) != "a" || !after.Deadline.Equal(before.Deadline) {
				t.Errorf("Load after that = %v, %v; want what was there before, %v", after, err, before)
			}
		})
	}
}

func TestReadersDoNotWaitForALock(t *testing.T) {
	path := temp(t)
	s := withRecord(t, path)
	defer lock(t, path)()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	begun := time.Now()
	_, err := s.Load(ctx, "id", session.Slide{})
	_, countErr := s.Count(ctx)
	_, _, listErr := s.List(ctx, "", 10)
	_, idsErr := s.UserIDs(ctx, "alice")
	if err := errors.Join(err, countErr, listErr, idsErr); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("reading while another process writes took %v", took)
	}
}

// The first to wait is the one that polls the lock; the others, too, must hear
// of their contexts, and go on waiting when the first has given up.
func TestWaitingWritersGiveUpEachOnItsOwn(t *testing.T) {
	path := temp(t)
	s := withRecord(t, path)
	release := lock(t, path)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if i%2 == 0 {
				ctx, cancel = context.WithTimeout(ctx, time.Duration(20+i)*time.Millisecond)
			}
			defer cancel()
			err := s.Create(ctx, fmt.Sprint(i), record("a", time.Hour))
			if i%2 == 0 && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Create with %d ms while the database is locked = %v; want %v", 20+i, err, context.DeadlineExceeded)
			}
			if i%2 != 0 && err != nil {
				t.Errorf("Create without a limit = %v; want nil", err)
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	release()
	wg.Wait()
	if n, err := s.Count(t.Context()); err != nil || n != 51 {
		t.Errorf("Count = %d, %v; want the first record and the 50 that waited", n, err)
	}
}

func TestThousandParallelUpdates(t *testing.T) {
	s := withRecord(t, temp(t))
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			id := fmt.Sprint(i)
			if err := s.Create(t.Context(), id, record("a", time.Hour)); err != nil {
				t.Error(err)
			}
			if err := s.Update(t.Context(), id, []byte("a"), []byte(id), time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 1000 {
		if rec, err := s.Load(t.Context(), fmt.Sprint(i), session.Slide{}); string(rec.Data) != fmt.Sprint(i) {
			t.Errorf("Load(%d) = %q, %v", i, rec.Data, err)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	path := temp(t)
	s, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DB().Ping(); err != nil {
		t.Fatal(err)
	}
	release := lock(t, path)
	result := make(chan error)
	for _, write := range writes {
		go func() { result <- write(t.Context(), s) }()
	}
	time.Sleep(50 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Errorf("Close = %v; want nil", err)
	}
	for range writes {
		// Load with a slide has found no record before the store was closed.
		if err := <-result; err == nil || !strings.Contains(err.Error(), "closed") && !errors.Is(err, session.ErrNotFound) {
			t.Errorf("a call that waited when the store was closed = %v; want an error that says so", err)
		}
	}
	release()
	if err := s.Close(); err != nil {
		t.Errorf("the second Close = %v; want nil", err)
	}
	for name, write := range writes {
		if err := write(t.Context(), s); err == nil || !strings.Contains(err.Error(), "the store is closed") {
			t.Errorf("%s after Close = %v; want an error that says so", name, err)
		}
	}
	if _, err := s.Load(t.Context(), "id", session.Slide{}); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load after Close = %v; want an error other than %v", err, session.ErrNotFound)
	}
	if err := s.DB().Ping(); err == nil {
		t.Error("DB().Ping() after Close = nil; want an error")
	}
	deadline := time.Now().Add(5 * time.Second)
	for runtime.NumGoroutine() > before && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if now := runtime.NumGoroutine(); now > before {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines before Open, %d after Close:\n%s", before, now, stacks[:runtime.Stack(stacks, true)])
	}
}
