package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

const (
	racers = 10 // goroutines in a race
	rounds = 10 // repetitions of a race that lasts one method call
)

// tally counts answers; any other is an error.
type tally struct{ ok, exists, conflict, notFound atomic.Int32 }

func (t *tally) add(what string, err error) error {
	switch {
	case err == nil:
		t.ok.Add(1)
	case errors.Is(err, session.ErrExists):
		t.exists.Add(1)
	case errors.Is(err, session.ErrConflict):
		t.conflict.Add(1)
	case errors.Is(err, session.ErrNotFound):
		t.notFound.Add(1)
	default:
		return failf("%s = %w", what, err)
	}
	return nil
}

// jitter makes the racers meet at different points of their calls.
func jitter(ctx context.Context) {
	if n := rand.IntN(4); n > 0 {
		_ = sleep(ctx, time.Duration(rand.Int64N(int64(n)*int64(time.Millisecond))))
	}
}

var raceCases = []testCase{
	{
		name: "RaceToCreate",
		why:  "Create is atomic: of several under one id one succeeds, the others return ErrExists",
		run: func(ctx context.Context, s *subject) error {
			return createRace(ctx, s, func(round int) (string, error) { return fmt.Sprintf("id%d", round), nil })
		},
	},
	{
		name: "RaceToReplaceDead",
		why:  "Create is atomic, also where it replaces a dead record",
		run: func(ctx context.Context, s *subject) error {
			// One wait for all the dead.
			id, err := s.dead(ctx, session.Record{Data: clone(one)}, func(id string) error {
				rec, err := s.Load(ctx, id, session.Slide{})
				if err != nil {
					return err
				}
				for round := range rounds {
					if err := s.createUntil(ctx, fmt.Sprint(id, "-", round), one, rec.Deadline); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			return createRace(ctx, s, func(round int) (string, error) { return fmt.Sprint(id, "-", round), nil })
		},
	},
	{
		name: "RaceToUpdate",
		why:  "Update is atomic: of several that read the same data one succeeds, the others return ErrConflict",
		run: func(ctx context.Context, s *subject) error {
			for round := range rounds {
				id := fmt.Sprintf("id%d", round)
				if err := s.create(ctx, id, one); err != nil {
					return err
				}
				var t tally
				var winner atomic.Int32
				err := together(racers, func(i int) error {
					jitter(ctx)
					err := s.handle(i).Update(ctx, id, []byte(one), fmt.Appendf(nil, `{"winner":%d}`, i), in(time.Hour))
					if err == nil {
						winner.Store(int32(i))
					}
					return t.add("Update", err)
				})
				if err != nil {
					return err
				}
				if t.ok.Load() != 1 || t.conflict.Load() != racers-1 {
					return failf("of %d updates of the same data %d succeeded and %d met a conflict; want 1 and %d",
						racers, t.ok.Load(), t.conflict.Load(), racers-1)
				}
				if err := s.holds(ctx, id, fmt.Sprintf(`{"winner":%d}`, winner.Load())); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name: "NoLostUpdate",
		why:  "Update is an atomic compare-and-swap across goroutines and processes: parallel appends are all kept",
		run: func(ctx context.Context, s *subject) error {
			const each = 10
			if err := s.create(ctx, "id", `{"list":[]}`); err != nil {
				return err
			}
			err := together(racers, func(i int) error {
				for n := range each {
					if err := appendTo(ctx, s.handle(i), "id", fmt.Sprintf(`"%d-%d"`, i, n)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			rec, err := s.Load(ctx, "id", session.Slide{})
			if err != nil {
				return err
			}
			kept := 0
			for i := range racers {
				for n := range each {
					kept += strings.Count(string(rec.Data), fmt.Sprintf(`"%d-%d"`, i, n))
				}
			}
			if kept != racers*each {
				return failf("%d goroutines appended %d each, %d were kept; want %d", racers, each, kept, racers*each)
			}
			return nil
		},
	},
	{
		name: "TouchWritesNoData",
		why:  "Touch and a slide move the deadline without writing the data: they undo no update that happens meanwhile",
		run: func(ctx context.Context, s *subject) error {
			const each = 40
			if err := s.create(ctx, "id", `{"list":[]}`); err != nil {
				return err
			}
			var done atomic.Bool
			err := together(3, func(i int) error {
				if i == 0 {
					defer done.Store(true)
					for n := range each {
						if err := appendTo(ctx, s, "id", fmt.Sprintf(`"%d"`, n)); err != nil {
							return err
						}
						jitter(ctx)
					}
					return nil
				}
				for n := 0; !done.Load() && ctx.Err() == nil; n++ {
					to := in(2*time.Hour + time.Duration(n)*2*max(s.Granularity, time.Second))
					if i == 1 {
						if err := s.handle(i).Touch(ctx, "id", to); err != nil {
							return failf("Touch: %w", err)
						}
					} else if _, err := s.handle(i).Load(ctx, "id", session.Slide{To: to}); err != nil {
						return failf("Load with a slide: %w", err)
					}
					jitter(ctx)
				}
				return nil
			})
			if err != nil {
				return err
			}
			rec, err := s.Load(ctx, "id", session.Slide{})
			if err != nil {
				return err
			}
			if kept := strings.Count(string(rec.Data), `"`)/2 - 1; kept != each {
				return failf("%d of %d updates were kept beside touches; want all", kept, each)
			}
			return nil
		},
	},
	{
		name: "TouchOnlyForwardInRace",
		why:  "Touch only ever moves a deadline forward: of several at the same time the latest deadline wins",
		run: func(ctx context.Context, s *subject) error {
			for round := range 4 * rounds {
				id := fmt.Sprintf("id%d", round)
				if err := s.create(ctx, id, one); err != nil {
					return err
				}
				base := in(2 * time.Hour)
				err := together(racers, func(i int) error {
					jitter(ctx)
					to := base.Add(time.Duration(i) * time.Hour)
					if i%2 == 0 {
						return s.handle(i).Touch(ctx, id, to)
					}
					_, err := s.handle(i).Load(ctx, id, session.Slide{To: to})
					return err
				})
				if err != nil {
					return err
				}
				if err := s.holdsUntil(ctx, id, one, base.Add((racers-1)*time.Hour)); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name: "RaceToDeleteOld",
		why:  "Delete with an old is atomic: of several one succeeds, the others return ErrNotFound",
		run: func(ctx context.Context, s *subject) error {
			for round := range rounds {
				id := fmt.Sprintf("id%d", round)
				if err := s.create(ctx, id, one); err != nil {
					return err
				}
				var t tally
				err := together(racers, func(i int) error {
					jitter(ctx)
					return t.add("Delete", s.handle(i).Delete(ctx, id, []byte(one)))
				})
				if err != nil {
					return err
				}
				if t.ok.Load() != 1 || t.notFound.Load() != racers-1 {
					return failf("of %d deletes with the same old data %d succeeded and %d found nothing; want 1 and %d",
						racers, t.ok.Load(), t.notFound.Load(), racers-1)
				}
			}
			return nil
		},
	},
	{
		name: "DeleteOldAgainstUpdate",
		why:  "Delete with an old and Update are atomic: of two that read the same data only one succeeds",
		run: func(ctx context.Context, s *subject) error {
			for round := range 4 * rounds {
				id := fmt.Sprintf("id%d", round)
				if err := s.create(ctx, id, one); err != nil {
					return err
				}
				var updated, deleted error
				err := together(2, func(i int) error {
					jitter(ctx)
					if i == 0 {
						updated = s.handle(i).Update(ctx, id, []byte(one), []byte(two), in(time.Hour))
					} else {
						deleted = s.handle(i).Delete(ctx, id, []byte(one))
					}
					return nil
				})
				if err != nil {
					return err
				}
				if updated == nil {
					if err := want("Delete with the old data of an Update that succeeded", deleted, session.ErrConflict); err != nil {
						return err
					}
					if err := s.holds(ctx, id, two); err != nil {
						return err
					}
					continue
				}
				if deleted != nil {
					return failf("Update and Delete of the same data = %v and %v; want one to succeed", updated, deleted)
				}
				if err := want("Update of what a Delete ended", updated, session.ErrNotFound); err != nil {
					return err
				}
				if err := s.gone(ctx, id); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name: "DeletedIsFinal",
		why:  "an ended session is final: after Delete has returned, nothing that was in flight succeeds or brings the record back",
		run: func(ctx context.Context, s *subject) error {
			for round := range 2 * rounds {
				id := fmt.Sprintf("id%d", round)
				if err := s.create(ctx, id, `{"list":[]}`); err != nil {
					return err
				}
				var deleted atomic.Bool
				err := together(7, func(i int) error {
					h := s.handle(i)
					if i == 0 {
						jitter(ctx)
						jitter(ctx)
						err := h.Delete(ctx, id, nil)
						deleted.Store(true)
						return err
					}
					for n := 0; ; n++ {
						before := deleted.Load()
						var err error
						switch i % 3 {
						case 0:
							err = appendTo(ctx, h, id, fmt.Sprint(n))
						case 1:
							err = h.Touch(ctx, id, in(2*time.Hour))
						case 2:
							_, err = h.Load(ctx, id, session.Slide{To: in(3 * time.Hour)})
						}
						if before && err == nil {
							return errors.New("a call that began after Delete had returned succeeded")
						}
						if err != nil && !errors.Is(err, session.ErrNotFound) {
							return err
						}
						if before {
							return nil
						}
						if n%4 == 3 {
							jitter(ctx)
						}
					}
				})
				if err != nil {
					return err
				}
				if err := s.gone(ctx, id); err != nil {
					return err
				}
			}
			return nil
		},
	},
}

// createRace has all racers create each of the ids.
func createRace(ctx context.Context, s *subject, id func(round int) (string, error)) error {
	for round := range rounds {
		id, err := id(round)
		if err != nil {
			return err
		}
		var t tally
		var winner atomic.Int32
		err = together(racers, func(i int) error {
			jitter(ctx)
			err := s.handle(i).Create(ctx, id, session.Record{
				Data:     fmt.Appendf(nil, `{"winner":%d}`, i),
				Deadline: in(time.Hour),
			})
			if err == nil {
				winner.Store(int32(i))
			}
			return t.add("Create", err)
		})
		if err != nil {
			return err
		}
		if t.ok.Load() != 1 || t.exists.Load() != racers-1 {
			return failf("of %d creates under one id %d succeeded and %d met a record; want 1 and %d",
				racers, t.ok.Load(), t.exists.Load(), racers-1)
		}
		if err := s.holds(ctx, id, fmt.Sprintf(`{"winner":%d}`, winner.Load())); err != nil {
			return err
		}
	}
	return nil
}

// appendTo adds a value to a record's list as the Manager does: it loads,
// changes and updates until it meets no conflict.
func appendTo(ctx context.Context, s session.Store, id, value string) error {
	for {
		rec, err := s.Load(ctx, id, session.Slide{})
		if err != nil {
			return failf("Load: %w", err)
		}
		data := bytes.TrimSuffix(bytes.Clone(rec.Data), []byte("]}"))
		if !bytes.HasSuffix(data, []byte("[")) {
			data = append(data, ',')
		}
		data = append(append(data, value...), "]}"...)
		err = s.Update(ctx, id, rec.Data, data, in(time.Hour))
		if !errors.Is(err, session.ErrConflict) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
