package nearcache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
	"github.com/pillboxgo/pillbox/store/nearcache"
)

// A slow store answers some time after it has done its work, and counts what it is
// asked for.
type slow struct {
	quiet
	takes time.Duration
	loads int
}

func (s *slow) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	s.loads++
	rec, err := s.quiet.Load(ctx, id, slide)
	time.Sleep(s.takes)
	return rec, err
}

// fake runs a test on a fake clock, with a cache that has the default lease of 100
// milliseconds before a slow store.
func fake(t *testing.T, opts nearcache.Options, test func(t *testing.T, s nearcache.Store, below *slow)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		below := &slow{quiet: memory(t).(quiet)}
		test(t, open(t, below, opts), below)
	})
}

// asked returns how often the store below is asked when a record is loaded.
func asked(t *testing.T, s session.Store, below *slow, id string, slide session.Slide) int {
	t.Helper()
	before := below.loads
	must(t, second(s.Load(t.Context(), id, slide)))
	return below.loads - before
}

const (
	full   = 100 * time.Millisecond
	almost = full - 1
)

func TestWhatWasReadIsGoodForALease(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes time.Duration // until the answer is here
		after time.Duration // it was asked for
		want  int
	}{
		{"at once", 0, 0, 0},
		{"just before the end", 0, almost, 0},
		{"at the end", 0, full, 1},
		{"long after", 0, time.Hour / 2, 1},
		{"counted from before it was asked for, just before the end", 60 * time.Millisecond, almost, 0},
		{"counted from before it was asked for, at the end", 60 * time.Millisecond, full, 1},
		{"too late to be of any use", full, full, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake(t, nearcache.Options{}, func(t *testing.T, s nearcache.Store, below *slow) {
				must(t, below.Create(t.Context(), "id", record("1")))
				below.takes = c.takes
				must(t, second(s.Load(t.Context(), "id", session.Slide{})))
				time.Sleep(c.after - c.takes)
				if got := asked(t, s, below, "id", session.Slide{}); got != c.want {
					t.Errorf("the store is asked %d times; want %d", got, c.want)
				}
			})
		})
	}
}

func TestWhatWasWrittenIsGoodForALease(t *testing.T) {
	for _, c := range []struct {
		name  string
		write func(ctx context.Context, s session.Store) error
		want  int
		data  string
	}{
		{"Create", func(ctx context.Context, s session.Store) error { return s.Create(ctx, "new", record("3")) }, 0, "3"},
		{"Update", func(ctx context.Context, s session.Store) error {
			return s.Update(ctx, "id", []byte("1"), []byte("3"), in(time.Hour))
		}, 0, "3"},
		{"an Update that meets a conflict", func(ctx context.Context, s session.Store) error {
			return want(s.Update(ctx, "id", []byte("2"), []byte("3"), in(time.Hour)), session.ErrConflict)
		}, 1, "1"},
		{"a Create that meets a record", func(ctx context.Context, s session.Store) error {
			return want(s.Create(ctx, "id", record("3")), session.ErrExists)
		}, 1, "1"},
		{"a Delete that meets a conflict", func(ctx context.Context, s session.Store) error {
			return want(s.Delete(ctx, "id", []byte("2")), session.ErrConflict)
		}, 1, "1"},
		{"Touch", func(ctx context.Context, s session.Store) error { return s.Touch(ctx, "id", in(2*time.Hour)) }, 1, "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake(t, nearcache.Options{}, func(t *testing.T, s nearcache.Store, below *slow) {
				must(t, s.Create(t.Context(), "id", record("1")))
				must(t, c.write(t.Context(), s))
				id := map[bool]string{true: "new", false: "id"}[c.name == "Create"]
				if got := asked(t, s, below, id, session.Slide{}); got != c.want {
					t.Errorf("the store is asked %d times; want %d", got, c.want)
				}
				rec, err := s.Load(t.Context(), id, session.Slide{})
				direct, belowErr := below.Load(t.Context(), id, session.Slide{})
				if err != nil || belowErr != nil || string(rec.Data) != c.data || !rec.Deadline.Equal(direct.Deadline) {
					t.Errorf("Load = %s until %v, %v; want %s until %v", rec.Data, rec.Deadline, err, c.data, direct.Deadline)
				}
			})
		})
	}
}

func want(err, expected error) error {
	if !errors.Is(err, expected) {
		return fmt.Errorf("error %w; want %w", err, expected)
	}
	return nil
}

// What ends a record waits until nobody trusts what he has read of it; nothing else
// does.
func TestWhoWaits(t *testing.T) {
	bounded := func(reject bool) session.Record {
		rec := owned("1", "alice")
		rec.Owner.Max, rec.Owner.Reject = 5, reject
		return rec
	}
	for _, c := range []struct {
		name  string
		waits bool
		err   error
		do    func(ctx context.Context, s session.Store) error
	}{
		{"Load", false, nil, func(ctx context.Context, s session.Store) error { return second(s.Load(ctx, "id", session.Slide{})) }},
		{"Load of nothing", false, session.ErrNotFound, func(ctx context.Context, s session.Store) error {
			return second(s.Load(ctx, "none", session.Slide{}))
		}},
		{"Create", false, nil, func(ctx context.Context, s session.Store) error { return s.Create(ctx, "new", owned("1", "alice")) }},
		{"Create with a bound", true, nil, func(ctx context.Context, s session.Store) error { return s.Create(ctx, "new", bounded(false)) }},
		{"Create with a bound that rejects", false, nil, func(ctx context.Context, s session.Store) error {
			return s.Create(ctx, "new", bounded(true))
		}},
		{"Create over a record", false, session.ErrExists, func(ctx context.Context, s session.Store) error {
			return s.Create(ctx, "id", bounded(false))
		}},
		{"Update", false, nil, func(ctx context.Context, s session.Store) error {
			return s.Update(ctx, "id", []byte("1"), []byte("2"), in(full))
		}},
		{"Update with a deadline that is near", true, nil, func(ctx context.Context, s session.Store) error {
			return s.Update(ctx, "id", []byte("1"), []byte("2"), in(full-time.Millisecond))
		}},
		{"Touch", false, nil, func(ctx context.Context, s session.Store) error { return s.Touch(ctx, "id", in(2*time.Hour)) }},
		{"Delete", true, nil, func(ctx context.Context, s session.Store) error { return s.Delete(ctx, "id", nil) }},
		{"Delete of what was read", true, nil, func(ctx context.Context, s session.Store) error {
			return s.Delete(ctx, "id", []byte("1"))
		}},
		{"Delete of nothing", true, nil, func(ctx context.Context, s session.Store) error { return s.Delete(ctx, "none", nil) }},
		{"Delete of nothing that was read", true, session.ErrNotFound, func(ctx context.Context, s session.Store) error {
			return s.Delete(ctx, "none", []byte("1"))
		}},
		{"Delete of what has changed", false, session.ErrConflict, func(ctx context.Context, s session.Store) error {
			return s.Delete(ctx, "id", []byte("2"))
		}},
		{"UserIDs", false, nil, func(ctx context.Context, s session.Store) error {
			return second(s.(session.UserIndex).UserIDs(ctx, "alice"))
		}},
		{"RevokeUser", true, nil, func(ctx context.Context, s session.Store) error {
			return second(s.(session.UserIndex).RevokeUser(ctx, "alice", time.Now()))
		}},
		{"Clear", true, nil, func(ctx context.Context, s session.Store) error { return s.(session.Clearer).Clear(ctx) }},
		{"Count", false, nil, func(ctx context.Context, s session.Store) error { return second(s.(session.Counter).Count(ctx)) }},
		{"Prune", false, nil, func(ctx context.Context, s session.Store) error { return second(s.(session.Pruner).Prune(ctx, 10)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake(t, nearcache.Options{}, func(t *testing.T, s nearcache.Store, below *slow) {
				must(t, s.Create(t.Context(), "id", record("1")))
				began := time.Now()
				if err := c.do(t.Context(), s); !errors.Is(err, c.err) {
					t.Errorf("error %v; want %v", err, c.err)
				}
				took := time.Since(began)
				if c.waits && (took <= full || took > full+full/10) || !c.waits && took > 0 {
					t.Errorf("it took %v; want a lease: %t", took, c.waits)
				}
			})
		})
		if !c.waits {
			continue
		}
		t.Run(c.name+", without time", func(t *testing.T) {
			fake(t, nearcache.Options{}, func(t *testing.T, s nearcache.Store, below *slow) {
				must(t, s.Create(t.Context(), "id", record("1")))
				began := time.Now()
				brief, cancel := context.WithTimeout(t.Context(), full/4)
				defer cancel()
				err := c.do(brief, s)
				if took := time.Since(began); took != full/4 {
					t.Errorf("it took %v; want %v, which is all that it had", took, full/4)
				}
				if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "other processes may know it for up to 100ms") {
					t.Errorf("error %v; want one that says what may be", err)
				}
				// Nobody in this process is told that a record is gone before
				// that is true everywhere.
				if _, err := s.Load(brief, "none", session.Slide{}); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Load without time = %v; want %v", err, context.DeadlineExceeded)
				}
				briefer, cancel := context.WithTimeout(t.Context(), full/4)
				defer cancel()
				if _, err := s.Load(briefer, "none", session.Slide{}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, session.ErrNotFound) {
					t.Errorf("Load with too little time = %v; want %v", err, context.DeadlineExceeded)
				}
				if _, err := s.Load(t.Context(), "none", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("Load = %v; want %v", err, session.ErrNotFound)
				}
				if took := time.Since(began); took <= full || took > full+full/10 {
					t.Errorf("Load says that a record is gone %v after another one ended; want a lease", took)
				}
			})
		})
	}
}

func TestDeadlinesAndSlides(t *testing.T) {
	fake(t, nearcache.Options{}, func(t *testing.T, s nearcache.Store, below *slow) {
		rec := record("1")
		rec.Deadline = in(50 * time.Millisecond)
		must(t, s.Create(t.Context(), "brief", rec))
		time.Sleep(50*time.Millisecond - time.Nanosecond)
		if got := asked(t, s, below, "brief", session.Slide{}); got != 0 {
			t.Errorf("just before the deadline the store is asked %d times; want 0", got)
		}
		time.Sleep(time.Nanosecond)
		if _, err := s.Load(t.Context(), "brief", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load at the deadline = %v; want %v", err, session.ErrNotFound)
		}
	})
	fake(t, nearcache.Options{}, func(t *testing.T, s nearcache.Store, below *slow) {
		must(t, s.Create(t.Context(), "id", record("1")))
		to := in(2 * time.Hour)
		for _, c := range []struct {
			name  string
			slide session.Slide
			want  int
		}{
			{"that leads back", session.Slide{To: in(time.Minute)}, 0},
			{"that is not due", session.Slide{To: to, Before: in(time.Minute)}, 0},
			{"that is due", session.Slide{To: to, Before: in(90 * time.Minute)}, 1},
			{"that was due, once it has moved", session.Slide{To: to, Before: in(90 * time.Minute)}, 0},
		} {
			if got := asked(t, s, below, "id", c.slide); got != c.want {
				t.Errorf("with a slide %s the store is asked %d times; want %d", c.name, got, c.want)
			}
		}
		rec, err := below.Load(t.Context(), "id", session.Slide{})
		if err != nil || !rec.Deadline.Equal(to) {
			t.Errorf("in the store the deadline is %v, %v; want %v", rec.Deadline, err, to)
		}
	})
}

func TestAbsenceIsNotRemembered(t *testing.T) {
	fake(t, nearcache.Options{}, func(t *testing.T, s nearcache.Store, below *slow) {
		for range 2 {
			if _, err := s.Load(t.Context(), "id", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
				t.Fatalf("Load = %v; want %v", err, session.ErrNotFound)
			}
		}
		must(t, below.Create(t.Context(), "id", record("1"))) // another process
		if got := asked(t, s, below, "id", session.Slide{}); got != 1 {
			t.Errorf("the store is asked %d times; want 1", got)
		}
	})
}

func TestDataIsNotShared(t *testing.T) {
	fake(t, nearcache.Options{}, func(t *testing.T, s nearcache.Store, below *slow) {
		data := []byte("created")
		must(t, s.Create(t.Context(), "id", session.Record{Data: data, Deadline: in(time.Hour)}))
		expect := func(want string) []byte {
			t.Helper()
			rec, err := s.Load(t.Context(), "id", session.Slide{})
			if err != nil || string(rec.Data) != want {
				t.Fatalf("Load = %s, %v; want %s", rec.Data, err, want)
			}
			return rec.Data
		}
		copy(data, "?")
		copy(expect("created"), "?") // from the cache
		copy(expect("created"), "?")
		data = []byte("updated")
		must(t, s.Update(t.Context(), "id", []byte("created"), data, in(time.Hour)))
		copy(data, "?")
		copy(expect("updated"), "?")
		time.Sleep(full)
		copy(expect("updated"), "?") // from the store
		expect("updated")
	})
}

func TestBounds(t *testing.T) {
	data := strings.Repeat("x", 1000)
	for _, c := range []struct {
		name    string
		opts    nearcache.Options
		records int64
		bytes   int64
	}{
		{"by records", nearcache.Options{MaxRecords: 10}, 10, 20_000},
		{"by bytes", nearcache.Options{MaxBytes: 10_000}, 9, 10_000},
		{"too small for any record", nearcache.Options{MaxBytes: 1000}, 0, 0},
		{"none", nearcache.Options{MaxRecords: -1, MaxBytes: -1}, 1000, 2_000_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake(t, c.opts, func(t *testing.T, s nearcache.Store, below *slow) {
				most := int64(0)
				for i := range 1000 {
					must(t, s.Create(t.Context(), fmt.Sprint("id", i), record(data)))
					records, size := nearcache.Held(s)
					most = max(most, records)
					if records > c.records || size > c.bytes || size < records*1000 {
						t.Fatalf("after %d records %d are held, of %d bytes; want at most %d of %d", i+1, records, size, c.records, c.bytes)
					}
				}
				if most < c.records-3 {
					t.Errorf("at most %d records are held; want %d", most, c.records)
				}
				for i := range 1000 {
					rec, err := s.Load(t.Context(), fmt.Sprint("id", i), session.Slide{})
					if err != nil || !bytes.Equal(rec.Data, []byte(data)) {
						t.Fatalf("Load = %d bytes, %v", len(rec.Data), err)
					}
				}
				time.Sleep(2 * full)
				synctest.Wait()
				if records, size := nearcache.Held(s); records != 0 || size != 0 {
					t.Errorf("two leases later %d records of %d bytes are held; want none", records, size)
				}
			})
		})
	}
}

// A store that tells of changes makes other processes' visible at once, and this
// one's own do not cost their place in the cache.
func TestWatchedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memstore.New(memstore.Options{})
		defer m.Close()
		below := &slow{quiet: quiet{m, m, m, m, m, m}}
		s := open(t, struct {
			*slow
			session.Watcher
		}{below, m}, nearcache.Options{})
		synctest.Wait()
		must(t, s.Create(t.Context(), "id", record("1")))
		synctest.Wait()
		must(t, s.Update(t.Context(), "id", []byte("1"), []byte("2"), in(time.Hour)))
		synctest.Wait()
		if got := asked(t, s, below, "id", session.Slide{}); got != 0 {
			t.Errorf("after a change of its own the store is asked %d times; want 0", got)
		}
		must(t, below.Update(t.Context(), "id", []byte("2"), []byte("3"), in(time.Hour))) // another process
		synctest.Wait()
		if rec, err := s.Load(t.Context(), "id", session.Slide{}); err != nil || string(rec.Data) != "3" {
			t.Errorf("Load = %s, %v; want 3", rec.Data, err)
		}

		// Who watches the cache and is told of a change finds it.
		var seen string
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go s.(session.Watcher).Watch(ctx, func(digest string) {
			if digest == session.Digest("id") {
				rec, err := s.Load(ctx, "id", session.Slide{})
				seen = fmt.Sprint(string(rec.Data), err)
			}
		})
		synctest.Wait()
		must(t, s.Update(t.Context(), "id", []byte("3"), []byte("4"), in(time.Hour)))
		must(t, below.Update(t.Context(), "id", []byte("4"), []byte("5"), in(time.Hour)))
		synctest.Wait()
		if want := "5<nil>"; seen != want {
			t.Errorf("who is told of a change finds %q; want %q", seen, want)
		}
		must(t, s.Close()) // or the bubble finds a goroutine that goes on
		must(t, s.Close())
		if got := asked(t, s, below, "id", session.Slide{}) + asked(t, s, below, "id", session.Slide{}); got != 2 {
			t.Errorf("a closed cache asks the store %d times for 2 loads; want 2", got)
		}
	})
}

// Nothing that formats a cache shows what is in it.
func TestFormatShowsNothing(t *testing.T) {
	s := open(t, memory(t), nearcache.Options{})
	must(t, s.Create(t.Context(), "SecretId", record("SecretData")))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		if text := fmt.Sprintf(verb, s); text != "nearcache.Store{…}" {
			t.Errorf("%s shows %q", verb, text)
		}
	}
}
