package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// A call is one method of a store, with arguments that would make it succeed
// on a store that holds one under "id".
type call struct {
	name string
	do   func(ctx context.Context, s session.Store) error
}

func calls(s session.Store) []call {
	all := []call{
		{"Load", func(ctx context.Context, s session.Store) error {
			_, err := s.Load(ctx, "id", session.Slide{})
			return err
		}},
		{"Load with a slide", func(ctx context.Context, s session.Store) error {
			_, err := s.Load(ctx, "id", session.Slide{To: in(5 * time.Hour)})
			return err
		}},
		{"Create", func(ctx context.Context, s session.Store) error {
			return s.Create(ctx, "new", session.Record{Data: []byte(one), Deadline: in(time.Hour)})
		}},
		{"Update", func(ctx context.Context, s session.Store) error {
			return s.Update(ctx, "id", []byte(one), []byte(two), in(5*time.Hour))
		}},
		{"Touch", func(ctx context.Context, s session.Store) error {
			return s.Touch(ctx, "id", in(5*time.Hour))
		}},
		{"Delete", func(ctx context.Context, s session.Store) error { return s.Delete(ctx, "id", nil) }},
		{"Delete with an old", func(ctx context.Context, s session.Store) error {
			return s.Delete(ctx, "id", []byte(one))
		}},
		{"Load of an unknown id", func(ctx context.Context, s session.Store) error {
			_, err := s.Load(ctx, "unknown", session.Slide{})
			return err
		}},
		{"Update of an unknown id", func(ctx context.Context, s session.Store) error {
			return s.Update(ctx, "unknown", []byte(one), []byte(two), in(time.Hour))
		}},
		{"Delete of an unknown id", func(ctx context.Context, s session.Store) error {
			return s.Delete(ctx, "unknown", nil)
		}},
	}
	if _, ok := s.(session.UserIndex); ok {
		all = append(all,
			call{"UserIDs", func(ctx context.Context, s session.Store) error {
				_, err := s.(session.UserIndex).UserIDs(ctx, "alice")
				return err
			}},
			call{"RevokeUser", func(ctx context.Context, s session.Store) error {
				_, err := s.(session.UserIndex).RevokeUser(ctx, "alice", in(0))
				return err
			}})
	}
	if _, ok := s.(session.Lister); ok {
		all = append(all, call{"List", func(ctx context.Context, s session.Store) error {
			_, _, err := s.(session.Lister).List(ctx, "", 10)
			return err
		}})
	}
	if _, ok := s.(session.Counter); ok {
		all = append(all, call{"Count", func(ctx context.Context, s session.Store) error {
			_, err := s.(session.Counter).Count(ctx)
			return err
		}})
	}
	if _, ok := s.(session.Clearer); ok {
		all = append(all, call{"Clear", func(ctx context.Context, s session.Store) error {
			return s.(session.Clearer).Clear(ctx)
		}})
	}
	if _, ok := s.(session.Pruner); ok {
		all = append(all, call{"Prune", func(ctx context.Context, s session.Store) error {
			_, err := s.(session.Pruner).Prune(ctx, 10)
			return err
		}})
	}
	return all
}

var contextCases = []testCase{
	{
		name: "ContextDone",
		why:  "methods return promptly once ctx is done, with an error that wraps ctx.Err() and without having done half of their work",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(time.Hour)
			err := s.Create(ctx, "id", session.Record{
				Data: []byte(one), Deadline: deadline, Owner: session.Owner{User: "alice", AsOf: in(-time.Second)},
			})
			if err != nil {
				return failf("Create: %w", err)
			}
			canceled, cancel := context.WithCancel(ctx)
			cancel()
			late, cancel := context.WithDeadline(ctx, time.Now().Add(-time.Second))
			defer cancel()
			for _, done := range []context.Context{canceled, late} {
				for _, call := range calls(s.Store) {
					err := call.do(done, s.Store)
					if err := want(call.name+" with a context that is done", err, done.Err()); err != nil {
						return err
					}
					if err := s.holdsUntil(ctx, "id", one, deadline); err != nil {
						return failf("after %s with a context that is done: %w", call.name, err)
					}
					if err := s.gone(ctx, "new"); err != nil {
						return failf("after %s with a context that is done: %w", call.name, err)
					}
				}
			}
			return nil
		},
	},
	{
		name: "ContextDoneMidway",
		why:  "methods return once ctx is done with an error that wraps ctx.Err(), and without having done half of their work",
		run: func(ctx context.Context, s *subject) error {
			for round := range 8 * rounds {
				id := fmt.Sprintf("id%d", round)
				created, moved := in(time.Hour), in(2*time.Hour)
				if err := s.createUntil(ctx, id, one, created); err != nil {
					return err
				}
				brief, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(2000))*time.Microsecond)
				var err error
				switch round % 4 {
				case 0:
					err = s.Update(brief, id, []byte(one), []byte(two), moved)
				case 1:
					err = s.Touch(brief, id, moved)
				case 2:
					err = s.Delete(brief, id, []byte(one))
				case 3:
					_, err = s.Load(brief, id, session.Slide{To: moved})
				}
				cancel()
				if err != nil {
					if err := want("a method whose context ends meanwhile", err, context.DeadlineExceeded); err != nil {
						return err
					}
				}
				// All of the work, or none of it.
				rec, loadErr := s.Load(ctx, id, session.Slide{})
				done := false
				switch round % 4 {
				case 0:
					done = loadErr == nil && string(rec.Data) == two && s.sameDeadline(rec.Deadline, moved)
				case 1, 3:
					done = loadErr == nil && string(rec.Data) == one && s.sameDeadline(rec.Deadline, moved)
				case 2:
					done = errors.Is(loadErr, session.ErrNotFound)
				}
				undone := loadErr == nil && string(rec.Data) == one && s.sameDeadline(rec.Deadline, created)
				if !done && (err == nil || !undone) {
					return failf("after a method whose context ended meanwhile returned %v: Load = %q until %v, %v; want all of its work or none",
						err, rec.Data, rec.Deadline, loadErr)
				}
			}
			return nil
		},
	},
	{
		name: "ContextDoneWhileWaiting",
		why:  "methods return promptly once ctx is done",
		needs: func(s *subject) bool {
			return s.stall != nil
		},
		run: func(ctx context.Context, s *subject) error {
			if err := s.create(ctx, "id", one); err != nil {
				return err
			}
			release := s.stall()
			defer release()
			all := calls(s.Store)
			return together(len(all), func(i int) error {
				brief, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
				start := time.Now()
				err := all[i].do(brief, s.Store)
				if d := time.Since(start); d > 3*time.Second {
					return failf("%s returned %v after its context was done", all[i].name, d-100*time.Millisecond)
				}
				if err == nil {
					return nil // it needed nothing that was held
				}
				return want(all[i].name+" of a store that answers nothing", err, context.DeadlineExceeded)
			})
		},
	},
}
