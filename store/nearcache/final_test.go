package nearcache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/nearcache"
)

const finalLease = 20 * time.Millisecond

// ways are how records end. Each ends the record "ended" of alice, created before
// "other", which is hers as well.
var ways = []struct {
	name string
	end  func(ctx context.Context, s session.Store, user, id string) error
}{
	{"Delete", func(ctx context.Context, s session.Store, _, id string) error { return s.Delete(ctx, id, nil) }},
	{"Delete of what was read", func(ctx context.Context, s session.Store, _, id string) error {
		return s.Delete(ctx, id, []byte("1"))
	}},
	{"Delete of what is gone", func(ctx context.Context, s session.Store, _, id string) error {
		// Somebody else has ended it, and has not waited yet.
		brief, cancel := context.WithTimeout(ctx, finalLease/2)
		defer cancel()
		_ = s.Delete(brief, id, nil)
		if err := s.Delete(ctx, id, []byte("1")); err != nil && !errors.Is(err, session.ErrNotFound) {
			return err
		}
		return nil
	}},
	{"RevokeUser", func(ctx context.Context, s session.Store, user, _ string) error {
		return second(s.(session.UserIndex).RevokeUser(ctx, user, time.Now()))
	}},
	{"Create beyond a bound", func(ctx context.Context, s session.Store, user, _ string) error {
		rec := owned("1", user)
		rec.Owner.Max = 1
		return s.Create(ctx, "new-"+user, rec)
	}},
	{"Update with a deadline that is near", func(ctx context.Context, s session.Store, _, id string) error {
		var err error
		for range 20 { // on a slow machine the deadline may have passed before it is looked at
			if err = s.Update(ctx, id, []byte("1"), []byte("2"), in(finalLease/2)); err == nil {
				break
			}
		}
		return err
	}},
	{"Clear", func(ctx context.Context, s session.Store, _, _ string) error { return s.(session.Clearer).Clear(ctx) }},
}

// After a record has ended in one process, no call that begins in another one, or
// in the same, finds it, however hot it is in the caches.
func TestEndedIsFinalAcrossCaches(t *testing.T) {
	for _, below := range shared {
		for _, way := range ways {
			t.Run(below.name+"/"+way.name, func(t *testing.T) {
				open2 := below.open(t)
				opts := nearcache.Options{Lease: finalLease}
				stores := []session.Store{open(t, open2(), opts), open(t, open2(), opts), open(t, open2(), opts)}
				hits := 0
				for round := range 2 {
					hits += hammer(t, stores, way.end, fmt.Sprint("id", round), fmt.Sprint("user", round))
				}
				t.Logf("%d loads found the record after the store had ended it", hits)
			})
		}
	}
}

// hammer has readers load a record in each process while the first one ends it. It
// returns how many loads found it while that was under way.
func hammer(t *testing.T, stores []session.Store, end func(context.Context, session.Store, string, string) error, id, user string) int {
	ctx := t.Context()
	must(t, stores[1].Create(ctx, id, owned("1", user)))
	var begun, ended, over atomic.Bool
	var found, hits atomic.Int64
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			s := stores[i%len(stores)]
			for !over.Load() {
				before, ending := ended.Load(), begun.Load()
				_, err := s.Load(ctx, id, session.Slide{})
				switch {
				case err == nil && before:
					found.Add(1)
				case err == nil && ending:
					hits.Add(1)
				case err != nil && !errors.Is(err, session.ErrNotFound):
					t.Errorf("Load = %v", err)
					return
				}
				if err != nil {
					time.Sleep(50 * time.Microsecond) // the others need the processor
				}
			}
		})
	}
	time.Sleep(2 * time.Millisecond)
	begun.Store(true)
	err := end(ctx, stores[0], user, id)
	ended.Store(true)
	time.Sleep(finalLease + finalLease/2)
	over.Store(true)
	wg.Wait()
	must(t, err)
	if n := found.Load(); n > 0 {
		t.Errorf("%d loads that began after the record had ended found it", n)
	}
	return int(hits.Load())
}
