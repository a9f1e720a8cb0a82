package session_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// A far store is one whose calls take a while.
type far struct {
	session.Store
	takes          time.Duration
	loads, updates atomic.Int64
	failing        atomic.Pointer[error] // what an Update answers after it was done
	panics         atomic.Bool           // Update
}

func (s *far) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	s.loads.Add(1)
	time.Sleep(s.takes)
	return s.Store.Load(ctx, id, slide)
}

func (s *far) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	s.updates.Add(1)
	time.Sleep(s.takes)
	if s.panics.Load() {
		panic("store")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := s.failing.Load(); err != nil {
		return *err
	}
	return s.Store.Update(ctx, id, old, data, deadline)
}

// contended runs a test in a bubble, with a store that takes 10 ms a call and the
// cookie of a visitor.
func contended(t *testing.T, config session.Config, test func(t *testing.T, m *session.Manager, store *far, cookie string)) {
	synctest.Test(t, func(t *testing.T) {
		store := &far{Store: memstore.New(memstore.Options{}), takes: 10 * time.Millisecond}
		config.Store, config.Logger = store, slog.New(slog.DiscardHandler)
		m := newManager(t, config)
		test(t, m, store, begin(t, m))
	})
}

// add returns a change that appends v.
func add(v int) func([]int) []int {
	return func(list []int) []int { return append(list, v) }
}

// stored returns the list that a visitor has.
func stored(t *testing.T, m *session.Manager, cookie string) (list []int) {
	t.Helper()
	var err error
	serve(m, cookie, func(s *session.Session) { list, err = pills.Get(s) })
	if err != nil {
		t.Error(err)
	}
	slices.Sort(list)
	return list
}

// together starts n requests at the same time. Each reads the session and then
// does its part; it returns what that returned.
func together(m *session.Manager, cookie string, n int, part func(i int, s *session.Session) error) []error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			serve(m, cookie, func(s *session.Session) {
				if _, errs[i] = pills.Get(s); errs[i] == nil {
					errs[i] = part(i, s)
				}
			})
		})
	}
	all.Wait()
	return errs
}

func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

func TestContendersShareAWrite(t *testing.T) {
	for _, c := range []struct {
		name string
		part func(i int, s *session.Session) error
	}{
		{"functions", func(i int, s *session.Session) error {
			_, err := pills.Update(s, add(i))
			return err
		}},
		{"constants", func(i int, s *session.Session) error {
			return session.Key[int](string(rune('a'+i))).Set(s, i)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			contended(t, session.Config{}, func(t *testing.T, m *session.Manager, store *far, cookie string) {
				const n = 20
				start := time.Now()
				errs := together(m, cookie, n, c.part)
				if err := errors.Join(errs...); err != nil {
					t.Error(err)
				}
				// Each tries for itself and all but one meet a conflict: of
				// those the first looks again, and stores what all have.
				if took, want := time.Since(start), 4*store.takes; took > want {
					t.Errorf("%d changes took %v; want at most %v", n, took, want)
				}
				if got := store.updates.Load(); got > n+1 {
					t.Errorf("%d changes cost %d writes; want at most %d", n, got, n+1)
				}
				var names []string
				serve(m, cookie, func(s *session.Session) { names, _ = s.Keys() })
				if got := max(len(names)-1, len(stored(t, m, cookie))); got != n {
					t.Errorf("%d of %d changes are kept", got, n)
				}
			})
		})
	}
}

// Who comes while others contend does not try for itself.
func TestContendersWaitForEachOther(t *testing.T) {
	contended(t, session.Config{}, func(t *testing.T, m *session.Manager, store *far, cookie string) {
		const n = 30
		errs := together(m, cookie, n, func(i int, s *session.Session) error {
			if i >= 2 {
				time.Sleep(store.takes + time.Millisecond) // the first two have met by now
			}
			_, err := pills.Update(s, add(i))
			return err
		})
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		if got := store.updates.Load(); got > 4 {
			t.Errorf("%d changes cost %d writes; want at most 4", n, got)
		}
		if got := stored(t, m, cookie); !slices.Equal(got, upTo(n)) {
			t.Errorf("kept are %v", got)
		}
	})
}

// What a change computes takes its time, and nobody else's.
func TestContendersAreNotHeldUp(t *testing.T) {
	contended(t, session.Config{}, func(t *testing.T, m *session.Manager, store *far, cookie string) {
		const slow = 500 * time.Millisecond
		var took [6]time.Duration
		start := time.Now()
		errs := together(m, cookie, len(took), func(i int, s *session.Session) error {
			_, err := pills.Update(s, func(list []int) []int {
				if i == 0 {
					time.Sleep(slow)
				}
				return append(list, i)
			})
			took[i] = time.Since(start)
			return err
		})
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		if got := stored(t, m, cookie); !slices.Equal(got, upTo(len(took))) {
			t.Errorf("kept are %v", got)
		}
		for i, took := range took[1:] {
			if took > slow {
				t.Errorf("request %d took %v: it waited for the slow one", i+1, took)
			}
		}
	})
}

// Where each change takes long, they follow one another, and none is computed
// more than three times.
func TestContendersWhoAreAllSlow(t *testing.T) {
	contended(t, session.Config{}, func(t *testing.T, m *session.Manager, store *far, cookie string) {
		const n, slow = 10, 50 * time.Millisecond
		var runs [n]int
		start := time.Now()
		errs := together(m, cookie, n, func(i int, s *session.Session) error {
			_, err := pills.Update(s, func(list []int) []int {
				runs[i]++
				time.Sleep(slow)
				return append(list, i)
			})
			return err
		})
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		if got := stored(t, m, cookie); !slices.Equal(got, upTo(n)) {
			t.Errorf("kept are %v", got)
		}
		if took, want := time.Since(start), (n+2)*(slow+store.takes); took > want {
			t.Errorf("took %v; want at most %v", took, want)
		}
		if most := slices.Max(runs[:]); most > 3 {
			t.Errorf("a change ran %d times", most)
		}
	})
}

// One who fails, panics, goes away or asks for too much keeps no others from
// being stored, and leaves nothing of its own.
func TestContendersWhoDropOut(t *testing.T) {
	config := session.Config{MaxBytes: 2000}
	contended(t, config, func(t *testing.T, m *session.Manager, store *far, cookie string) {
		const n = 24
		errs := together(m, cookie, n, func(i int, s *session.Session) (err error) {
			first := true
			defer func() {
				if p := recover(); p != nil {
					err = errors.New("panic")
				}
			}()
			_, err = pills.Update(s, func(list []int) []int {
				switch {
				case first || i%4 == 0:
				case i%4 == 1:
					panic("second thoughts")
				case i%4 == 2:
					return make([]int, 2000)
				}
				first = false
				return append(list, i)
			})
			return err
		})
		got := stored(t, m, cookie)
		kept := 0
		for i, err := range errs {
			if there := slices.Contains(got, i); there != (err == nil) {
				t.Errorf("request %d: error %v, and stored: %t", i, err, there)
			}
			if err == nil {
				kept++
			}
			if i%4 == 2 && err != nil && !errors.Is(err, session.ErrTooLarge) {
				t.Errorf("request %d: %v; want %v", i, err, session.ErrTooLarge)
			}
		}
		if writes := store.updates.Load(); writes > n+3 {
			t.Errorf("%d requests cost %d writes: who drops out is waited for", n, writes)
		}
		if kept != len(got) || kept < n/2 || kept > n/2+2 {
			t.Errorf("%d were told that they are kept, %d are, of %d that could be", kept, len(got), n/2)
		}
	})
}

func TestContendersWhoGoAway(t *testing.T) {
	contended(t, session.Config{}, func(t *testing.T, m *session.Manager, store *far, cookie string) {
		const n = 20
		errs := make([]error, n)
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				ctx := t.Context()
				if i%2 == 1 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Duration(15+2*i)*time.Millisecond)
					defer cancel()
				}
				r := httptest.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/", nil)
				r.Header.Set("Cookie", cookie)
				m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					s := session.From(r.Context())
					if _, errs[i] = pills.Get(s); errs[i] == nil {
						_, errs[i] = pills.Update(s, add(i))
					}
				})).ServeHTTP(httptest.NewRecorder(), r)
			})
		}
		all.Wait()
		got := stored(t, m, cookie)
		for i, err := range errs {
			if there := slices.Contains(got, i); err == nil && !there {
				t.Errorf("request %d was told that it is stored, and is not", i)
			} else if i%2 == 0 && err != nil {
				t.Errorf("request %d, which was not in a hurry: %v", i, err)
			}
		}
		if len(slices.Compact(slices.Clone(got))) != len(got) {
			t.Errorf("a change is there twice: %v", got)
		}
	})
}

// The deadline of the request that writes is not that of those who joined.
func TestContendersHaveTheirOwnDeadlines(t *testing.T) {
	contended(t, session.Config{}, func(t *testing.T, m *session.Manager, store *far, cookie string) {
		const n = 5
		errs := make([]error, n)
		other := newManager(t, session.Config{Store: store.Store})
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				r := httptest.NewRequest(http.MethodPost, "http://localhost/", nil)
				r.Header.Set("Cookie", cookie)
				if i == 0 {
					// Comes first, and has its conflict at 2, reads until 3, and
					// is writing for all when its time is over.
					ctx, cancel := context.WithTimeout(t.Context(), 7*store.takes/2)
					defer cancel()
					r = r.WithContext(ctx)
				}
				m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					s := session.From(r.Context())
					_, _ = pills.Get(s)
					if i > 0 {
						time.Sleep(store.takes / 10)
					}
					_, errs[i] = pills.Update(s, add(i))
				})).ServeHTTP(httptest.NewRecorder(), r)
			})
		}
		time.Sleep(store.takes * 3 / 2)
		serve(other, cookie, func(s *session.Session) { _ = pills.Set(s, nil) })
		serve(other, cookie, func(s *session.Session) { _ = session.Key[bool]("met").Set(s, true) })
		all.Wait()
		if err := errors.Join(errs[1:]...); err != nil {
			t.Error(err)
		}
		if got := stored(t, m, cookie); len(got) < n-1 {
			t.Errorf("kept are %v", got)
		}
		if got := store.updates.Load(); got != n+1 {
			t.Errorf("%d writes; want %d that meet a conflict and one for all", got, n)
		}
	})
}

// What becomes of a write is told to everybody whose changes were in it.
func TestContendersLearnWhatBecameOfThem(t *testing.T) {
	down := errors.New("down")
	for _, c := range []struct {
		name   string
		breaks func(*far)
	}{
		{"error", func(s *far) { s.failing.Store(&down) }},
		{"panic", func(s *far) { s.panics.Store(true) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			contended(t, session.Config{}, func(t *testing.T, m *session.Manager, store *far, cookie string) {
				const n = 10
				errs := together(m, cookie, n, func(i int, s *session.Session) (err error) {
					defer func() {
						if p := recover(); p != nil {
							err = errors.New("panic")
						}
					}()
					if i == 0 {
						// All have their conflict, and the first of them reads.
						time.AfterFunc(2*store.takes+time.Millisecond, func() { c.breaks(store) })
					}
					if _, err = pills.Update(s, add(i)); err != nil {
						if list, gerr := pills.Get(s); gerr != nil || len(list) > 1 {
							t.Errorf("after the failure the request has %v, %v; want what was stored", list, gerr)
						}
					}
					return err
				})
				failed := 0
				for _, err := range errs {
					if err != nil {
						failed++
					}
				}
				if failed != n-1 {
					t.Errorf("%d of %d changes failed; want all but the first", failed, n)
				}
				store.failing.Store(nil)
				store.panics.Store(false)
				if got := stored(t, m, cookie); len(got) != 1 {
					t.Errorf("kept are %v; want one", got)
				}
				errs = together(m, cookie, n, func(i int, s *session.Session) error {
					_, err := pills.Update(s, add(i))
					return err
				})
				if err := errors.Join(errs...); err != nil {
					t.Errorf("afterwards: %v", err)
				}
				if got := stored(t, m, cookie); len(got) != n+1 {
					t.Errorf("afterwards %d are kept; want %d", len(got), n+1)
				}
			})
		})
	}
}

// Two processes contend with many requests each, and a third one ends the session.
func TestContendersOfSeveralProcesses(t *testing.T) {
	contended(t, session.Config{}, func(t *testing.T, m *session.Manager, store *far, cookie string) {
		const n = 25
		other := newManager(t, session.Config{Store: store})
		var mine, theirs []error
		append100 := func(m *session.Manager, from int) []error {
			return together(m, cookie, n, func(i int, s *session.Session) error {
				for j := range 4 {
					if _, err := pills.Update(s, add(from+4*i+j)); err != nil {
						return err
					}
				}
				return nil
			})
		}
		var both sync.WaitGroup
		both.Go(func() { mine = append100(m, 0) })
		both.Go(func() { theirs = append100(other, 4*n) })
		both.Wait()
		if err := errors.Join(append(mine, theirs...)...); err != nil {
			t.Error(err)
		}
		if got := stored(t, m, cookie); !slices.Equal(got, upTo(8*n)) {
			t.Errorf("%d of %d are kept", len(got), 8*n)
		}
		both.Go(func() { mine = append100(m, 0) })
		both.Go(func() { serve(other, cookie, func(s *session.Session) { _ = s.Destroy() }) })
		both.Wait()
		for i, err := range mine {
			if err != nil && !errors.Is(err, session.ErrEnded) {
				t.Errorf("request %d: %v; want %v", i, err, session.ErrEnded)
			}
		}
		if got := stored(t, m, cookie); len(got) != 0 {
			t.Errorf("an ended session has %d values", len(got))
		}
	})
}

// A request in the middle of renewing the id lets nobody join, and loses nothing.
func TestContendersBesideARenewal(t *testing.T) {
	contended(t, session.Config{RenewGrace: time.Minute}, func(t *testing.T, m *session.Manager, store *far, cookie string) {
		const n = 10
		renewed := ""
		var all sync.WaitGroup
		all.Go(func() {
			renewed = serve(m, cookie, func(s *session.Session) {
				if err := s.Renew(); err != nil {
					t.Error(err)
				}
			})
		})
		errs := together(m, cookie, n, func(i int, s *session.Session) error {
			_, err := pills.Update(s, add(i))
			return err
		})
		all.Wait()
		got := stored(t, m, renewed)
		for i, err := range errs {
			if there := slices.Contains(got, i); there != (err == nil) {
				t.Errorf("request %d: error %v, and kept: %t", i, err, there)
			}
		}
	})
}
