package storetest

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

func hasLister(s *subject) bool  { _, ok := s.Store.(session.Lister); return ok }
func hasCounter(s *subject) bool { _, ok := s.Store.(session.Counter); return ok }
func hasClearer(s *subject) bool { _, ok := s.Store.(session.Clearer); return ok }
func hasPruner(s *subject) bool  { _, ok := s.Store.(session.Pruner); return ok }

// listAll follows the pages to the last.
func listAll(ctx context.Context, s session.Store, limit int, between func() error) ([]string, error) {
	var all []string
	cursor := ""
	for range 10000 {
		ids, next, err := s.(session.Lister).List(ctx, cursor, limit)
		if err != nil {
			return nil, failf("List: %w", err)
		}
		if len(ids) > limit {
			return nil, failf("List returned %d ids; want at most %d", len(ids), limit)
		}
		all = append(all, ids...)
		if next == "" {
			return all, nil
		}
		cursor = next
		if between != nil {
			if err := between(); err != nil {
				return nil, err
			}
		}
	}
	return nil, failf("List has no last page")
}

// several leaves n live records, as many that were deleted, and some that
// died of age.
func (s *subject) several(ctx context.Context, n int) ([]string, error) {
	_, err := s.dead(ctx, session.Record{Data: clone(one)}, func(id string) error {
		rec, err := s.Load(ctx, id, session.Slide{})
		if err != nil {
			return err
		}
		for i := range 6 {
			if err := s.createUntil(ctx, fmt.Sprint(id, "-", i), one, rec.Deadline); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var live []string
	for i := range n {
		id := fmt.Sprintf("live%d", i*31%n)
		if err := s.createUntil(ctx, id, one, in(time.Hour+time.Duration(i%5)*time.Minute)); err != nil {
			return nil, err
		}
		live = append(live, id)
		if err := s.create(ctx, fmt.Sprint("deleted", i), one); err != nil {
			return nil, err
		}
		if err := s.Delete(ctx, fmt.Sprint("deleted", i), nil); err != nil {
			return nil, failf("Delete: %w", err)
		}
	}
	slices.Sort(live)
	return live, nil
}

var powerCases = []testCase{
	{
		name:  "List",
		why:   "List returns the ids of at most limit live records and a cursor for the next call, which is empty after the last page; each record is returned exactly once",
		needs: hasLister,
		run: func(ctx context.Context, s *subject) error {
			if ids, err := listAll(ctx, s.Store, 10, nil); err != nil || len(ids) > 0 {
				return failf("List of an empty store = %q, %v; want none", ids, err)
			}
			live, err := s.several(ctx, 40)
			if err != nil {
				return err
			}
			for _, limit := range []int{1, 7, 10, 39, 40, 41, 1000} {
				ids, err := listAll(ctx, s.Store, limit, nil)
				if err != nil {
					return err
				}
				slices.Sort(ids)
				if !slices.Equal(ids, live) {
					return failf("List in pages of %d returned %d ids: %q; want these %d: %q", limit, len(ids), ids, len(live), live)
				}
			}
			return nil
		},
	},
	{
		name:  "ListLimit",
		why:   "List: a limit below 1 is an error",
		needs: hasLister,
		run: func(ctx context.Context, s *subject) error {
			for _, limit := range []int{0, -1} {
				_, _, err := s.Store.(session.Lister).List(ctx, "", limit)
				if err := refused(fmt.Sprintf("List with a limit of %d", limit), err); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name:  "ListDuringChanges",
		why:   "List: a record that lives through the whole listing is returned exactly once; one that comes or goes meanwhile may be missing",
		needs: hasLister,
		run: func(ctx context.Context, s *subject) error {
			live, err := s.several(ctx, 60)
			if err != nil {
				return err
			}
			for round := range 3 {
				n := 0
				// On either side of those that stay, in any order.
				name := func(n int) string { return fmt.Sprint("amzAZ"[n%5:n%5+1], round, "-", n) }
				ids, err := listAll(ctx, s.Store, 7, func() error {
					// Records come and go, and those that stay are used.
					for range 8 {
						n++
						used := live[n*17%len(live)]
						rec, err := s.Load(ctx, used, session.Slide{To: in(time.Duration(2+n) * time.Hour)})
						if err != nil {
							return failf("Load: %w", err)
						}
						if err := s.Update(ctx, used, rec.Data, fmt.Appendf(nil, `{"n":%d}`, n), in(time.Duration(1+n%9)*time.Hour)); err != nil {
							return failf("Update: %w", err)
						}
						if err := s.create(ctx, name(n), one); err != nil {
							return err
						}
						if n > 4 {
							if err := s.Delete(ctx, name(n-4), nil); err != nil {
								return failf("Delete: %w", err)
							}
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
				times := map[string]int{}
				for _, id := range ids {
					times[id]++
				}
				for _, id := range live {
					if times[id] != 1 {
						return failf("List returned %q %d times; it lived through the listing: want once", id, times[id])
					}
				}
			}
			return nil
		},
	},
	{
		name:  "ListDuringRace",
		why:   "List: a record that lives through the whole listing is returned exactly once, whatever happens to others at the same time",
		needs: hasLister,
		run: func(ctx context.Context, s *subject) error {
			live, err := s.several(ctx, 60)
			if err != nil {
				return err
			}
			var done atomic.Bool
			var listed []string
			err = together(4, func(i int) error {
				h := s.handle(i)
				if i == 0 {
					defer done.Store(true)
					jitter(ctx)
					var err error
					listed, err = listAll(ctx, h, 7, func() error { jitter(ctx); return nil })
					return err
				}
				for n := 0; !done.Load() && ctx.Err() == nil; n++ {
					id := fmt.Sprint("churn", i, "-", n)
					err := h.Create(ctx, id, session.Record{Data: []byte(one), Deadline: in(time.Hour)})
					if err != nil {
						return failf("Create: %w", err)
					}
					jitter(ctx)
					if n%2 == 0 {
						if err := h.Delete(ctx, id, nil); err != nil {
							return failf("Delete: %w", err)
						}
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			times := map[string]int{}
			for _, id := range listed {
				times[id]++
			}
			for _, id := range live {
				if times[id] != 1 {
					return failf("List returned %q %d times; it lived through the listing: want once", id, times[id])
				}
			}
			return nil
		},
	},
	{
		name:  "Count",
		why:   "Count returns the number of live records",
		needs: hasCounter,
		run: func(ctx context.Context, s *subject) error {
			count := func(want int) error {
				n, err := s.Store.(session.Counter).Count(ctx)
				if err != nil || n != want {
					return failf("Count() = %d, %v; want %d", n, err, want)
				}
				return nil
			}
			if err := count(0); err != nil {
				return err
			}
			if _, err := s.several(ctx, 20); err != nil {
				return err
			}
			if err := count(20); err != nil {
				return err
			}
			if err := s.Update(ctx, "live3", []byte(one), []byte(two), in(time.Hour)); err != nil {
				return failf("Update: %w", err)
			}
			if err := s.Delete(ctx, "live4", []byte(one)); err != nil {
				return failf("Delete: %w", err)
			}
			return count(19)
		},
	},
	{
		name:  "Clear",
		why:   "Clear ends every record of this store",
		needs: hasClearer,
		run: func(ctx context.Context, s *subject) error {
			live, err := s.several(ctx, 40)
			if err != nil {
				return err
			}
			if hasUserIndex(s) {
				if err := s.signIn(ctx, "alices", "alice"); err != nil {
					return err
				}
				live = append(live, "alices")
			}
			for range 2 {
				if err := s.Store.(session.Clearer).Clear(ctx); err != nil {
					return failf("Clear: %w", err)
				}
				for _, id := range live {
					if err := s.gone(ctx, id); err != nil {
						return failf("after Clear: %w", err)
					}
					err := s.Update(ctx, id, []byte(one), []byte(two), in(time.Hour))
					if err := want("Update after Clear", err, session.ErrNotFound); err != nil {
						return err
					}
				}
			}
			if hasUserIndex(s) {
				if err := s.has(ctx, "alice"); err != nil {
					return err
				}
				if err := s.Create(ctx, "alices", bounded("alice", 1, true)); err != nil {
					return failf("Create with a bound of 1 after Clear: %w", err)
				}
			}
			if err := s.create(ctx, "live0", two); err != nil {
				return err
			}
			return s.holds(ctx, "live0", two)
		},
	},
	{
		name:  "Prune",
		why:   "Prune removes at most limit dead records and returns how many: fewer than limit means that none is left; it changes nothing that the other methods say",
		needs: hasPruner,
		run: func(ctx context.Context, s *subject) error {
			live, err := s.several(ctx, 20)
			if err != nil {
				return err
			}
			// At most 7 died of age; that deleted ones still lie about is
			// allowed too. A store may have removed some by itself.
			const dead, limit = 7 + 20, 3
			sum := 0
			for {
				n, err := s.Store.(session.Pruner).Prune(ctx, limit)
				if err != nil {
					return failf("Prune: %w", err)
				}
				if n < 0 || n > limit {
					return failf("Prune(%d) = %d; want at most the limit", limit, n)
				}
				if sum += n; sum > 2*dead {
					return failf("Prune removed more than %d records; want at most %d", sum, dead)
				}
				if n < limit {
					break
				}
			}
			if n, err := s.Store.(session.Pruner).Prune(ctx, limit); n != 0 || err != nil {
				return failf("Prune(%d) = %d, %v after it had returned fewer than its limit; want 0: none was left", limit, n, err)
			}
			for _, id := range live {
				if err := s.holds(ctx, id, one); err != nil {
					return failf("after Prune: %w", err)
				}
			}
			return nil
		},
	},
	{
		name:  "PruneLimit",
		why:   "Prune: a limit below 1 is an error",
		needs: hasPruner,
		run: func(ctx context.Context, s *subject) error {
			for _, limit := range []int{0, -1} {
				_, err := s.Store.(session.Pruner).Prune(ctx, limit)
				if err := refused(fmt.Sprintf("Prune with a limit of %d", limit), err); err != nil {
					return err
				}
			}
			return nil
		},
	},
}
