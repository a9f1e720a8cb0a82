package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// A subject is the store that a case examines.
type subject struct {
	session.Store
	Config
	handles []session.Store // all handles onto the same records, Store first
	reopen  func()          // nil if Config.Reopen is
	stall   func() func()   // nil if Config.Stall is
	fail    func()          // nil if Config.Break is
}

// handle returns a handle for the i-th of several goroutines.
func (s *subject) handle(i int) session.Store { return s.handles[i%len(s.handles)] }

func (s *subject) maxBytes() int {
	if s.MaxBytes > 0 {
		return s.MaxBytes
	}
	return 1 << 20
}

// in returns the moment d from now, in whole milliseconds as the Manager
// passes it.
func in(d time.Duration) time.Time {
	return time.UnixMilli(time.Now().Add(d).UnixMilli())
}

// sameDeadline reports whether a store may return got where want was asked.
func (s *subject) sameDeadline(got, want time.Time) bool {
	if s.Granularity <= time.Millisecond {
		return got.Equal(want)
	}
	return !got.Before(want) && got.Sub(want) < s.Granularity
}

// create stores data under id, to live for an hour.
func (s *subject) create(ctx context.Context, id, data string) error {
	return s.createUntil(ctx, id, data, in(time.Hour))
}

func (s *subject) createUntil(ctx context.Context, id, data string, deadline time.Time) error {
	err := s.Create(ctx, id, session.Record{Data: []byte(data), Deadline: deadline})
	if err != nil {
		return failf("Create of a new record: %w", err)
	}
	return nil
}

// dead leaves a record under the id that it returns which has died of age, if
// prepare, which may be nil, is done with it before that.
func (s *subject) dead(ctx context.Context, rec session.Record, prepare func(id string) error) (string, error) {
	return s.brief(ctx, func(id string, deadline time.Time) error {
		rec.Deadline = deadline
		err := s.Create(ctx, id, rec)
		if err == nil && prepare != nil {
			err = prepare(id)
		}
		return err
	})
}

// brief runs do, which is to leave a record under id with a deadline that is
// near, and returns the id when that has passed. If do fails, and the deadline
// had passed by then, the machine may have been too slow; then do runs again
// with another id and a longer life.
func (s *subject) brief(ctx context.Context, do func(id string, deadline time.Time) error) (string, error) {
	life := s.Lifetime
	if life <= 0 {
		life = 100 * time.Millisecond
	}
	for try := 1; ; try++ {
		id, deadline := fmt.Sprintf("brief%d", try), in(life)
		err := do(id, deadline)
		if err == nil {
			return id, s.outlive(ctx, deadline)
		}
		if try == 6 || time.Now().Before(deadline) {
			return id, err
		}
		life *= 3
	}
}

// outlive waits until a record with this deadline is dead.
func (s *subject) outlive(ctx context.Context, deadline time.Time) error {
	if g := s.Granularity; g > time.Millisecond {
		deadline = deadline.Add(g)
	}
	// The clock of an engine may lag a little behind this process's own.
	return sleep(ctx, time.Until(deadline)+5*time.Millisecond)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// holds returns an error unless a live record under id holds data.
func (s *subject) holds(ctx context.Context, id, data string) error {
	return s.holdsUntil(ctx, id, data, time.Time{})
}

// holdsUntil is holds, and checks the deadline too unless it is zero.
func (s *subject) holdsUntil(ctx context.Context, id, data string, deadline time.Time) error {
	rec, err := s.Load(ctx, id, session.Slide{})
	if err != nil {
		return failf("Load(%q) = %w; want %.80s", id, err, data)
	}
	if string(rec.Data) != data {
		return failf("Load(%q) = %s; want %.80s", id, difference(rec.Data, []byte(data)), data)
	}
	if !deadline.IsZero() && !s.sameDeadline(rec.Deadline, deadline) {
		return failf("Load(%q).Deadline = %v; want %v", id, rec.Deadline, deadline)
	}
	return nil
}

// gone returns an error if there is a live record under id.
func (s *subject) gone(ctx context.Context, id string) error {
	_, err := s.Load(ctx, id, session.Slide{})
	return want(fmt.Sprintf("Load(%q)", id), err, session.ErrNotFound)
}

var sentinels = []error{
	session.ErrNotFound, session.ErrExists, session.ErrConflict,
	session.ErrRevoked, session.ErrTooManySessions,
	context.Canceled, context.DeadlineExceeded,
}

// want returns an error unless err is expected, and nothing else.
func want(what string, err, expected error) error {
	if !errors.Is(err, expected) {
		return failf("%s = %v; want %v", what, err, expected)
	}
	for _, other := range sentinels {
		if other != expected && errors.Is(err, other) {
			return failf("%s = %v, which is also %q; want %v alone", what, err, other, expected)
		}
	}
	return nil
}

// refused returns an error if err is nil, or one that stands for an answer.
func refused(what string, err error) error {
	if err == nil {
		return failf("%s = nil; want an error", what)
	}
	for _, other := range sentinels {
		if errors.Is(err, other) {
			return failf("%s = %v, which is %q; want an error of its own", what, err, other)
		}
	}
	return nil
}

// difference shows where got leaves want, without the megabyte around it.
func difference(got, want []byte) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	if i < 40 {
		i = 0
	}
	end := min(len(got), i+80)
	return fmt.Sprintf("%q… (%d bytes; %d wanted; shown from byte %d)", got[i:end], len(got), len(want), i)
}

// together runs do(0) to do(n-1) at the same time.
func together(n int, do func(i int) error) error {
	var (
		wg    sync.WaitGroup
		start = make(chan struct{})
		errs  = make([]error, n)
	)
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = do(i)
		})
	}
	close(start)
	wg.Wait()
	return errors.Join(errs...)
}

// firstError runs checks in order and returns the first error.
func firstError(checks ...func() error) error {
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func clone(s string) []byte { return bytes.Clone([]byte(s)) }

// failf makes the error of a case: the message of a failed test, which begins
// with what was called, and so with a capital.
func failf(format string, args ...any) error { return fmt.Errorf(format, args...) }
