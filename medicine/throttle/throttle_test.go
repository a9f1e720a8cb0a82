package throttle_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/medicine/throttle"
)

// fail makes an attempt and lets it fail, if it may be made.
func fail(counts ...throttle.Count) (wait time.Duration, ok bool) {
	a, wait, ok := throttle.Begin(context.Background(), counts...)
	if ok {
		a.Failed()
	}
	return wait, ok
}

func TestBurstAndRefill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := throttle.New(throttle.Limit{Burst: 3, Every: 10 * time.Second, Keys: 10})
		a, b := throttle.Count{Table: table, Key: "a"}, throttle.Count{Table: table, Key: "b"}
		for i := range 3 {
			if _, ok := fail(a); !ok {
				t.Fatalf("failure %d of 3 is refused", i+1)
			}
		}
		if wait, ok := fail(a); ok || wait != 10*time.Second {
			t.Errorf("the fourth failure: wait %v, ok %v; want 10 s, false", wait, ok)
		}
		if _, ok := fail(b); !ok {
			t.Error("another key is refused")
		}
		time.Sleep(4 * time.Second)
		if wait, ok := fail(a); ok || wait < 6*time.Second || wait > 6*time.Second+time.Millisecond {
			t.Errorf("4 s later: wait %v, ok %v; want 6 s, false", wait, ok)
		}
		time.Sleep(6*time.Second + time.Millisecond)
		if _, ok := fail(a); !ok {
			t.Error("10 s later no failure more is let through")
		}
		if _, ok := fail(a); ok {
			t.Error("10 s later two failures more are let through; want one")
		}
		time.Sleep(time.Hour)
		for i := range 4 {
			if _, ok := fail(a); ok != (i < 3) {
				t.Errorf("an hour later failure %d: ok %v; want the burst and no more", i+1, ok)
			}
		}
	})
}

func TestSuccessDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count := throttle.Count{Table: throttle.New(throttle.Limit{Burst: 1, Every: time.Hour, Keys: 10}), Key: "a"}
		for i := range 100 {
			a, _, ok := throttle.Begin(t.Context(), count)
			if !ok {
				t.Fatalf("attempt %d is refused after those that went well", i+1)
			}
			a.Dropped()
		}
		fail(count)
		if _, ok := fail(count); ok {
			t.Error("a second failure is let through; want one")
		}
	})
}

// As long as nobody knows how an attempt goes it counts: or else a thousand could
// be made at once.
func TestAttemptsAtOnce(t *testing.T) {
	count := throttle.Count{Table: throttle.New(throttle.Limit{Burst: 5, Every: time.Hour, Keys: 10}), Key: "a"}
	var begun atomic.Int64
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 200 {
		wg.Go(func() {
			<-start
			if _, ok := fail(count); ok {
				begun.Add(1)
			}
		})
	}
	close(start)
	wg.Wait()
	if n := begun.Load(); n != 5 {
		t.Errorf("%d of 200 attempts at once were let through; want 5", n)
	}
}

// Many who do it right at once are all let through, one behind the other if need
// be; who does not wait until then is told to try again.
func TestSuccessesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		count := throttle.Count{Table: throttle.New(throttle.Limit{Burst: 2, Every: time.Hour, Keys: 10}), Key: "a"}
		var most, now atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				a, _, ok := throttle.Begin(t.Context(), count)
				if !ok {
					t.Error("an attempt is refused although none has failed")
					return
				}
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
				a.Dropped()
			})
		}
		wg.Wait()
		if n := most.Load(); n > 2 {
			t.Errorf("%d attempts were under way at once; want at most 2", n)
		}

		first, _, _ := throttle.Begin(t.Context(), count)
		second, _, _ := throttle.Begin(t.Context(), count)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, wait, ok := throttle.Begin(ctx, count); ok || wait != time.Second {
			t.Errorf("behind two that take long: wait %v, ok %v; want 1 s, false", wait, ok)
		}
		go func() {
			time.Sleep(time.Second)
			first.Failed()
			second.Failed()
		}()
		if _, wait, ok := throttle.Begin(t.Context(), count); ok || wait < 59*time.Minute {
			t.Errorf("behind two that fail: wait %v, ok %v; want an hour, false", wait, ok)
		}
	})
}

func TestAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wide := throttle.Count{Table: throttle.New(throttle.Limit{Burst: 10, Every: time.Second, Keys: 10}), Key: "a"}
		narrow := throttle.Count{Table: throttle.New(throttle.Limit{Burst: 1, Every: time.Minute, Keys: 10}), Key: "a"}
		fail(wide, narrow)
		for range 100 {
			if wait, ok := fail(wide, narrow); ok || wait != time.Minute {
				t.Fatalf("the second: wait %v, ok %v; want a minute, false", wait, ok)
			}
		}
		// What was refused by the one counts in neither.
		for i := range 9 {
			if _, ok := fail(wide); !ok {
				t.Errorf("failure %d of the 9 that are left is refused", i+1)
			}
		}
		if _, ok := fail(wide); ok {
			t.Error("an eleventh failure is let through")
		}
	})
}

// A flood of keys takes no more memory, and does not have a key in use forgotten.
func TestFlood(t *testing.T) {
	table := throttle.New(throttle.Limit{Burst: 2, Every: time.Hour, Keys: 100})
	hot := throttle.Count{Table: table, Key: "hot"}
	fail(hot)
	fail(hot)
	for i := range 10_000 {
		fail(throttle.Count{Table: table, Key: fmt.Sprint("flood", i)})
		if i%50 == 0 {
			if _, ok := fail(hot); ok {
				t.Fatalf("after %d other keys the one in use has been forgotten", i)
			}
		}
	}
	if n := table.Len(); n != 100 {
		t.Errorf("%d keys are remembered; want 100", n)
	}
}

// A key with an attempt under way is not forgotten, whatever the bound.
func TestUnderWayIsNotForgotten(t *testing.T) {
	table := throttle.New(throttle.Limit{Burst: 1, Every: time.Hour, Keys: 1})
	a, _, _ := throttle.Begin(t.Context(), throttle.Count{Table: table, Key: "a"})
	fail(throttle.Count{Table: table, Key: "b"})
	a.Failed()
	if _, ok := fail(throttle.Count{Table: table, Key: "a"}); ok {
		t.Error("a key was forgotten while an attempt was under way")
	}
}

// Attempts that are given up cost nothing, so a flood of them must not make a
// table forget who has failed.
func TestDroppedAttemptsLeaveNoTrace(t *testing.T) {
	table := throttle.New(throttle.Limit{Burst: 100, Every: time.Hour, Keys: 50})
	target := throttle.Count{Table: table, Key: "target"}
	for range 100 {
		fail(target)
	}
	for i := range 1000 {
		a, _, ok := throttle.Begin(t.Context(), throttle.Count{Table: table, Key: fmt.Sprint(i)})
		if !ok {
			t.Fatalf("attempt %d is refused", i)
		}
		a.Dropped()
	}
	if _, ok := fail(target); ok {
		t.Error("the one that failed a hundred times has been forgotten")
	}
	if n := table.Len(); n != 1 {
		t.Errorf("%d keys are remembered; want the one that failed", n)
	}
}

// Where some have to be forgotten, it is who has failed least of those long unused.
func TestTheWorstAreRememberedLongest(t *testing.T) {
	table := throttle.New(throttle.Limit{Burst: 100, Every: time.Hour, Keys: 50})
	target := throttle.Count{Table: table, Key: "target"}
	for range 100 {
		fail(target)
	}
	for i := range 10_000 {
		fail(throttle.Count{Table: table, Key: fmt.Sprint(i)})
	}
	if _, ok := fail(target); ok {
		t.Error("the one that failed a hundred times was forgotten before those that failed once")
	}
}

func TestKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := throttle.NewKnown(3, time.Hour)
		has := func(want ...string) {
			t.Helper()
			for _, key := range []string{"a", "b", "c", "d"} {
				wanted := false
				for _, w := range want {
					wanted = wanted || w == key
				}
				if got := k.Has(key); got != wanted {
					t.Errorf("Has(%s) = %v; want %q to be known", key, got, want)
				}
			}
		}
		has()
		k.Add("a")
		k.Add("b")
		k.Add("c")
		has("a", "b", "c")
		k.Add("a")
		k.Add("d")
		has("a", "c", "d") // b was added least recently
		time.Sleep(59 * time.Minute)
		k.Add("d")
		time.Sleep(time.Minute)
		has("d")
	})
}
