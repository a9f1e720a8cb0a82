package memstore_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// The record that ends is the one that has gone unused the longest, whatever
// its age, its deadline and its shard: checked against a list in that order.
func TestEvictsTheLeastRecentlyUsed(t *testing.T) {
	for _, maxSessions := range []int{1, 2, 10, 3000} {
		t.Run(fmt.Sprint("max=", maxSessions), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				evicted := 0
				s := memstore.New(memstore.Options{
					MaxSessions: maxSessions,
					OnEvict:     func(n int) { evicted += n },
					Logger:      quiet,
				})
				defer s.Close()
				var used []string // least recently first
				created := 0
				for range 4*maxSessions + 400 {
					time.Sleep(time.Microsecond)
					if n := len(used); n > 0 && rand.IntN(2) == 0 {
						i := rand.IntN(n)
						id := used[i]
						var err error
						switch rand.IntN(3) {
						case 0:
							_, err = s.Load(ctx, id, session.Slide{})
						case 1:
							err = s.Touch(ctx, id, time.Now())
						case 2:
							err = s.Update(ctx, id, small("a"), small("a"), time.Now().Add(time.Hour))
						}
						if err != nil {
							t.Fatalf("a record that is not the least recently used: %v", err)
						}
						used = append(append(used[:i:i], used[i+1:]...), id)
						continue
					}
					id := randomID()
					rec := session.Record{Data: small("a"), Deadline: time.Now().Add(time.Duration(1+rand.IntN(100)) * time.Hour)}
					if err := s.Create(ctx, id, rec); err != nil {
						t.Fatal(err)
					}
					created++
					used = append(used, id)
					if len(used) > maxSessions {
						used = used[1:]
					}
					if n, _ := s.Held(); n != len(used) {
						t.Fatalf("the store holds %d records; want %d", n, len(used))
					}
				}
				for _, id := range used {
					if _, err := s.Load(ctx, id, session.Slide{}); err != nil {
						t.Errorf("a record that is to stay: %v", err)
					}
				}
				if want := created - len(used); evicted != want {
					t.Errorf("OnEvict was told of %d records; want %d", evicted, want)
				}
				if err := s.Check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestMaxBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		const bound = 100_000
		s := memstore.New(memstore.Options{MaxBytes: bound, Logger: quiet})
		defer s.Close()
		deadline := time.Now().Add(time.Hour)
		large := func(n int) []byte { return []byte(`{"a":"` + strings.Repeat("a", n) + `"}`) }
		for i := range 200 {
			time.Sleep(time.Nanosecond)
			if err := s.Create(ctx, fmt.Sprint("id", i), session.Record{Data: large(1000), Deadline: deadline}); err != nil {
				t.Fatal(err)
			}
		}
		n, _ := s.Held()
		if n < 90 || n > 99 {
			t.Errorf("%d records of 1 KB are kept in %d bytes; want a little fewer than 100", n, bound)
		}
		// One that grows pushes out the others, not itself.
		time.Sleep(time.Nanosecond)
		if err := s.Update(ctx, "id199", large(1000), large(90_000), deadline); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Load(ctx, "id199", session.Slide{}); err != nil {
			t.Errorf("Load of the record that has grown: %v", err)
		}
		if after, _ := s.Held(); after < 2 || after > 10 {
			t.Errorf("%d records are kept beside one of 90 KB in %d bytes", after, bound)
		}
		// One that is larger than everything is refused, and changes nothing.
		before, _ := s.Held()
		if err := s.Create(ctx, "huge", session.Record{Data: large(bound), Deadline: deadline}); err == nil {
			t.Error("Create of a record that is larger than the store = nil; want an error")
		}
		if err := s.Update(ctx, "id199", large(90_000), large(bound), deadline); err == nil {
			t.Error("Update to data that are larger than the store = nil; want an error")
		}
		if after, _ := s.Held(); after != before {
			t.Errorf("the store holds %d records after it has refused others; want %d", after, before)
		}
	})
}

// A bound counts the dead only until somebody needs their room.
func TestEvictsTheDeadFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := memstore.New(memstore.Options{MaxSessions: 2, Logger: quiet, OnEvict: func(n int) {
			t.Errorf("OnEvict(%d) was called; want none for the dead", n)
		}})
		defer s.Close()
		create := func(id string, life time.Duration) {
			if err := s.Create(ctx, id, session.Record{Data: small("a"), Deadline: time.Now().Add(life)}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Microsecond)
		}
		create("dead", time.Millisecond)
		create("a", time.Hour)
		time.Sleep(time.Millisecond)
		create("b", time.Hour)
		for _, id := range []string{"a", "b"} {
			if _, err := s.Load(ctx, id, session.Slide{}); err != nil {
				t.Errorf("Load(%q) = %v; want a record", id, err)
			}
		}
	})
}

// It says that it is full, but not with every session, and names none.
func TestSaysThatItIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := memstore.New(memstore.Options{MaxSessions: 10, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer s.Close()
		ids := fill(t, s, 100, time.Hour)
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%d lines were logged; want 1:\n%s", n, &log)
		}
		time.Sleep(time.Minute)
		ids = append(ids, fill(t, s, 1, time.Hour)...)
		if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "ended=90 ") {
			t.Errorf("%d lines were logged a minute later; want 2, the last with all that has happened since the first:\n%s", n, &log)
		}
		for _, id := range ids {
			if strings.Contains(log.String(), id) {
				t.Error("the log has an id")
			}
		}
	})
}

// The bound holds when many exceed it at once.
func TestEvictsInParallel(t *testing.T) {
	const maxSessions, each, racers = 500, 2000, 8
	var evicted atomic.Int64
	s := memstore.New(memstore.Options{
		MaxSessions: maxSessions, Logger: quiet,
		OnEvict: func(n int) { evicted.Add(int64(n)) },
	})
	defer s.Close()
	var wg sync.WaitGroup
	for range racers {
		wg.Go(func() {
			for range each {
				id := randomID()
				err := s.Create(context.Background(), id, session.Record{Data: small("a"), Deadline: time.Now().Add(time.Hour)})
				if err != nil {
					t.Error(err)
				}
				_, _ = s.Load(context.Background(), id, session.Slide{})
				if n, _ := s.Held(); n > maxSessions+racers {
					t.Errorf("the store holds %d records; want no more than %d and one for each Create", n, maxSessions)
				}
			}
		})
	}
	wg.Wait()
	if n, _ := s.Held(); n != maxSessions {
		t.Errorf("the store holds %d records; want %d", n, maxSessions)
	}
	if want := int64(racers*each - maxSessions); evicted.Load() != want {
		t.Errorf("OnEvict was told of %d records; want %d", evicted.Load(), want)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}
