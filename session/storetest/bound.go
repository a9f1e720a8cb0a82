package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

var boundCases = []testCase{
	{
		name:  "MaxEndsOldest",
		why:   "Max bounds how many live records the user may have, this one included; Create ends the user's oldest records",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			for _, id := range []string{"b1", "b2", "b3"} {
				if err := s.signIn(ctx, id, "bob"); err != nil {
					return err
				}
			}
			// The oldest is the one created first, whatever its id or deadline.
			for i, id := range []string{"d", "b", "c", "a"} {
				rec := bounded("alice", 3, false)
				rec.Deadline = in(time.Duration(9-i) * time.Hour)
				if err := s.Create(ctx, id, rec); err != nil {
					return failf("Create with a bound: %w", err)
				}
				if i == 1 {
					if err := s.Touch(ctx, "d", in(20*time.Hour)); err != nil {
						return failf("Touch: %w", err)
					}
				}
			}
			if err := s.gone(ctx, "d"); err != nil {
				return err
			}
			if err := s.has(ctx, "alice", "b", "c", "a"); err != nil {
				return err
			}
			// A bound below what is there ends several; none ends none.
			if err := s.signIn(ctx, "e", "alice"); err != nil {
				return err
			}
			if err := s.has(ctx, "alice", "b", "c", "a", "e"); err != nil {
				return err
			}
			if err := s.Create(ctx, "f", bounded("alice", 2, false)); err != nil {
				return failf("Create with a bound: %w", err)
			}
			if err := s.has(ctx, "alice", "e", "f"); err != nil {
				return err
			}
			return s.has(ctx, "bob", "b1", "b2", "b3")
		},
	},
	{
		name:  "MaxReject",
		why:   "Reject makes Create return ErrTooManySessions rather than end the user's oldest record where Max would be exceeded",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			reject := bounded("alice", 2, true)
			for _, id := range []string{"a", "b"} {
				if err := s.Create(ctx, id, reject); err != nil {
					return failf("Create within the bound: %w", err)
				}
			}
			err := s.Create(ctx, "c", reject)
			if err := want("Create beyond the bound", err, session.ErrTooManySessions); err != nil {
				return err
			}
			if err := s.gone(ctx, "c"); err != nil {
				return err
			}
			if err := s.has(ctx, "alice", "a", "b"); err != nil {
				return err
			}
			if err := s.Create(ctx, "c", bounded("bob", 2, true)); err != nil {
				return failf("Create for another user: %w", err)
			}
			if err := s.Delete(ctx, "a", nil); err != nil {
				return failf("Delete: %w", err)
			}
			if err := s.Create(ctx, "d", reject); err != nil {
				return failf("Create after another record was deleted: %w", err)
			}
			return s.has(ctx, "alice", "b", "d")
		},
	},
	{
		name:  "MaxCountsTheLiving",
		why:   "Max bounds how many live records the user may have: the dead do not count",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			if err := s.signIn(ctx, "old", "alice"); err != nil {
				return err
			}
			dead, err := s.dead(ctx, owned("alice", in(0)), nil)
			if err != nil {
				return err
			}
			if err := s.Create(ctx, "new", bounded("alice", 2, true)); err != nil {
				return failf("Create with a bound of 2 beside one live and one dead record: %w", err)
			}
			if err := s.has(ctx, "alice", "old", "new"); err != nil {
				return err
			}
			// Nor does a dead record count that is replaced.
			if err := s.Create(ctx, dead, bounded("alice", 3, false)); err != nil {
				return failf("Create over a dead record: %w", err)
			}
			return s.has(ctx, "alice", "old", "new", dead)
		},
	},
	{
		name:  "RefusedCreateEndsNothing",
		why:   "Create ends the user's oldest records in the same atomic step: if it stores nothing, it ends nothing",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			for _, id := range []string{"a", "b"} {
				if err := s.signIn(ctx, id, "alice"); err != nil {
					return err
				}
			}
			if err := s.create(ctx, "other", one); err != nil {
				return err
			}
			if err := s.revoke(ctx, "alice", in(-time.Hour), 0, "a", "b"); err != nil {
				return err
			}
			rec := bounded("alice", 2, false)
			for _, id := range []string{"a", "b", "other"} {
				if err := want("Create over a live record", s.Create(ctx, id, rec), session.ErrExists); err != nil {
					return err
				}
			}
			late := rec
			late.Deadline = in(-time.Second)
			if err := refused("Create with a deadline that is past", s.Create(ctx, "c", late)); err != nil {
				return err
			}
			revoked := rec
			revoked.Owner.AsOf = in(-2 * time.Hour)
			if err := want("Create as of before a revocation", s.Create(ctx, "c", revoked), session.ErrRevoked); err != nil {
				return err
			}
			return s.has(ctx, "alice", "a", "b")
		},
	},
	{
		name:  "RaceWithMax",
		why:   "Create ends the user's oldest records in the same atomic step, so that the bound is never exceeded",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			return boundRace(ctx, s, false)
		},
	},
	{
		name:  "RaceWithReject",
		why:   "Create enforces what Owner asks in the same atomic step: with Reject, Max parallel creates succeed and no more",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			return boundRace(ctx, s, true)
		},
	},
	{
		name:  "RaceToRevoke",
		why:   "RevokeUser is one atomic step with regard to Create: revoking beats a sign-in that is already under way",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			for round := range 2 * rounds {
				user := fmt.Sprint("user", round)
				asOf := in(0) // all sign-ins began here
				var created, refused, ended atomic.Int32
				err := together(racers, func(i int) error {
					jitter(ctx)
					h := s.handle(i)
					if i == 0 {
						n, err := h.(session.UserIndex).RevokeUser(ctx, user, asOf.Add(time.Second))
						ended.Store(int32(n))
						return err
					}
					err := h.Create(ctx, fmt.Sprint(user, "-", i), owned(user, asOf))
					switch {
					case err == nil:
						created.Add(1)
					case errors.Is(err, session.ErrRevoked):
						refused.Add(1)
					default:
						return failf("Create: %w", err)
					}
					return nil
				})
				if err != nil {
					return err
				}
				if err := s.has(ctx, user); err != nil {
					return failf("after a revocation that raced with sign-ins: %w", err)
				}
				for i := range racers {
					if err := s.gone(ctx, fmt.Sprint(user, "-", i)); err != nil {
						return failf("after a revocation that raced with sign-ins: %w", err)
					}
				}
				if created.Load() != ended.Load() {
					return failf("RevokeUser ended %d records; %d had been created", ended.Load(), created.Load())
				}
			}
			return nil
		},
	},
	{
		name:  "RevokedIsFinal",
		why:   "an ended session is final: after RevokeUser has returned, nothing that was in flight brings a record back",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			for round := range rounds {
				user, id := fmt.Sprint("user", round), fmt.Sprint("id", round)
				rec := owned(user, in(0))
				rec.Data = []byte(`{"list":[]}`)
				if err := s.Create(ctx, id, rec); err != nil {
					return failf("Create: %w", err)
				}
				var revoked atomic.Bool
				err := together(4, func(i int) error {
					h := s.handle(i)
					if i == 0 {
						jitter(ctx)
						_, err := h.(session.UserIndex).RevokeUser(ctx, user, in(0))
						revoked.Store(true)
						return err
					}
					for n := 0; ; n++ {
						before := revoked.Load()
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
							return errors.New("a call that began after RevokeUser had returned succeeded")
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

// boundRace has fifty sign-ins of one user at the same time.
func boundRace(ctx context.Context, s *subject, reject bool) error {
	const n, bound = 50, 3
	if err := s.signIn(ctx, "bystander", "bob"); err != nil {
		return err
	}
	var ok atomic.Int32
	err := together(n, func(i int) error {
		jitter(ctx)
		err := s.handle(i).Create(ctx, fmt.Sprint("id", i), bounded("alice", bound, reject))
		switch {
		case err == nil:
			ok.Add(1)
		case !reject || !errors.Is(err, session.ErrTooManySessions):
			return failf("Create: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var live []string
	for i := range n {
		id := fmt.Sprint("id", i)
		if _, err := s.Load(ctx, id, session.Slide{}); err == nil {
			live = append(live, id)
		}
	}
	if len(live) != bound {
		return failf("after %d parallel creates with a bound of %d the user has %d live records", n, bound, len(live))
	}
	if want := map[bool]int32{true: bound, false: n}[reject]; ok.Load() != want {
		return failf("of %d parallel creates %d succeeded; want %d", n, ok.Load(), want)
	}
	listed, err := s.users().UserIDs(ctx, "alice")
	if err != nil {
		return failf("UserIDs: %w", err)
	}
	for _, id := range live {
		if !slices.Contains(listed, id) {
			return failf("UserIDs has not all live records: %q not among %q", id, listed)
		}
	}
	return s.has(ctx, "bob", "bystander")
}
