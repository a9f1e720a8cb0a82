package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pillboxgo/pillbox/session"
)

// replacing is bounded for a record that another one is given up for.
func replacing(old, user string, max int, reject bool) session.Record {
	rec := bounded(user, max, reject)
	rec.Owner.Replaces = old
	return rec
}

var replacesCases = []testCase{
	{
		name:  "Replaces",
		why:   "the live record that Replaces names does not count towards Max, and Create does not end it",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			if err := s.signIn(ctx, "bystander", "bystander"); err != nil {
				return err
			}
			for i, c := range []struct {
				have []string // oldest first
				max  int
				left []string // until the old one is deleted
			}{
				{[]string{"old"}, 1, []string{"old", "new"}},
				{[]string{"old", "a"}, 2, []string{"old", "a", "new"}},
				{[]string{"a", "old"}, 2, []string{"a", "old", "new"}},
				{[]string{"old", "a", "b"}, 4, []string{"old", "a", "b", "new"}},
				// There are more than Max already.
				{[]string{"old", "a", "b"}, 2, []string{"old", "b", "new"}},
				{[]string{"a", "old", "b"}, 2, []string{"old", "b", "new"}},
				{[]string{"a", "b", "old"}, 2, []string{"b", "old", "new"}},
				{[]string{"a", "old", "b", "c"}, 2, []string{"old", "c", "new"}},
				{[]string{"a", "old", "b"}, 1, []string{"old", "new"}},
			} {
				user := fmt.Sprint("user", i)
				named := func(ids []string) []string {
					all := make([]string, len(ids))
					for k, id := range ids {
						all[k] = user + "-" + id
					}
					return all
				}
				for _, id := range named(c.have) {
					if err := s.signIn(ctx, id, user); err != nil {
						return err
					}
				}
				old := user + "-old"
				what := fmt.Sprintf("in the place of the old one of %q, with a bound of %d", c.have, c.max)
				if err := s.Create(ctx, user+"-new", replacing(old, user, c.max, false)); err != nil {
					return failf("Create %s: %w", what, err)
				}
				if err := s.has(ctx, user, named(c.left)...); err != nil {
					return failf("after Create %s: %w", what, err)
				}
				if err := s.Delete(ctx, old, []byte(one)); err != nil {
					return failf("Delete of what was replaced: %w", err)
				}
				left := slices.DeleteFunc(named(c.left), func(id string) bool { return id == old })
				if err := s.has(ctx, user, left...); err != nil {
					return err
				}
			}
			return s.has(ctx, "bystander", "bystander")
		},
	},
	{
		name:  "ReplacesWithReject",
		why:   "with Reject too, the live record that Replaces names does not count towards Max, and everything else does",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			for _, id := range []string{"a", "b"} {
				if err := s.signIn(ctx, id, "alice"); err != nil {
					return err
				}
			}
			if err := s.Create(ctx, "c", replacing("a", "alice", 2, true)); err != nil {
				return failf("Create at the bound in the place of another record: %w", err)
			}
			if err := s.has(ctx, "alice", "a", "b", "c"); err != nil {
				return err
			}
			// Until "a" is gone it counts for everybody else.
			err := s.Create(ctx, "d", replacing("b", "alice", 2, true))
			if err := want("Create beyond the bound in the place of another record", err, session.ErrTooManySessions); err != nil {
				return err
			}
			if err := s.Delete(ctx, "a", []byte(one)); err != nil {
				return failf("Delete of what was replaced: %w", err)
			}
			err = s.Create(ctx, "d", bounded("alice", 2, true))
			if err := want("Create beyond the bound", err, session.ErrTooManySessions); err != nil {
				return err
			}
			if err := s.Create(ctx, "d", replacing("b", "alice", 2, true)); err != nil {
				return failf("Create at the bound in the place of another record: %w", err)
			}
			return s.has(ctx, "alice", "b", "c", "d")
		},
	},
	{
		name:  "ReplacesNothing",
		why:   "Replaces makes no room if it names no live record of this user",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			dead, err := s.dead(ctx, owned("alice", in(0)), nil)
			if err != nil {
				return err
			}
			if err := s.signIn(ctx, "deleted", "alice"); err != nil {
				return err
			}
			if err := s.Delete(ctx, "deleted", nil); err != nil {
				return failf("Delete: %w", err)
			}
			if err := s.create(ctx, "anonymous", one); err != nil {
				return err
			}
			ids := []string{"id0", "id1"}
			for _, id := range ids {
				if err := s.signIn(ctx, id, "alice"); err != nil {
					return err
				}
			}
			if err := s.signIn(ctx, "bob's", "bob"); err != nil {
				return err
			}
			for i, replaces := range []string{"", "bob's", "anonymous", "unknown", "deleted", dead, "own", "alice"} {
				id := fmt.Sprint("id", i+2)
				if replaces == "own" {
					replaces = id
				}
				what := fmt.Sprintf("at the bound in the place of %q, no record of the user's,", replaces)
				err := s.Create(ctx, id, replacing(replaces, "alice", 2, true))
				if err := want("Create "+what, err, session.ErrTooManySessions); err != nil {
					return err
				}
				if err := s.has(ctx, "alice", ids...); err != nil {
					return err
				}
				if err := s.Create(ctx, id, replacing(replaces, "alice", 2, false)); err != nil {
					return failf("Create %s: %w", what, err)
				}
				ids = []string{ids[1], id}
				if err := s.has(ctx, "alice", ids...); err != nil {
					return failf("after Create %s: %w", what, err)
				}
			}
			// Nor does a dead record whose own id is taken again.
			if err := s.Create(ctx, dead, replacing(dead, "alice", 2, false)); err != nil {
				return failf("Create over a dead record: %w", err)
			}
			if err := s.has(ctx, "alice", ids[1], dead); err != nil {
				return err
			}
			if err := s.has(ctx, "bob", "bob's"); err != nil {
				return err
			}
			return s.holds(ctx, "anonymous", one)
		},
	},
	{
		name:  "RaceToReplace",
		why:   "Create enforces what Owner asks in the same atomic step: parallel rotations at the bound end no record but those that they replace",
		needs: hasUserIndex,
		run: func(ctx context.Context, s *subject) error {
			return firstError(
				func() error { return replaceOwn(ctx, s) },
				func() error { return replaceWithReject(ctx, s) },
				func() error { return replaceBeside(ctx, s) },
				func() error { return replaceDeleted(ctx, s) },
			)
		},
	},
}

const rotations = 20

// rotate does what a session does for a new id: it creates the new record, and
// then ends the old one, if that is still what it was. Otherwise it gives the
// new one up.
func rotate(ctx context.Context, h session.Store, old, id string, rec session.Record) error {
	rec.Owner.Replaces = old
	jitter(ctx)
	if err := h.Create(ctx, id, rec); err != nil {
		return err
	}
	jitter(ctx)
	err := h.Delete(ctx, old, []byte(one))
	if err != nil {
		if err := h.Delete(ctx, id, nil); err != nil {
			return failf("Delete of what was just created: %w", err)
		}
	}
	return err
}

// replaceOwn has twenty users at their bound, each with another device, rotate
// at the same time. Nobody's other device is signed out.
func replaceOwn(ctx context.Context, s *subject) error {
	for i := range rotations {
		for _, id := range []string{"other", "old"} {
			if err := s.signIn(ctx, fmt.Sprint(id, i), fmt.Sprint("user", i)); err != nil {
				return err
			}
		}
	}
	err := together(rotations, func(i int) error {
		rec := bounded(fmt.Sprint("user", i), 2, i%2 == 0)
		if err := rotate(ctx, s.handle(i), fmt.Sprint("old", i), fmt.Sprint("new", i), rec); err != nil {
			return failf("rotation of one of two records with a bound of 2: %w", err)
		}
		return nil
	})
	for i := range rotations {
		if err == nil {
			err = s.has(ctx, fmt.Sprint("user", i), fmt.Sprint("other", i), fmt.Sprint("new", i))
		}
	}
	return err
}

// replaceWithReject has all records of a user rotate at the same time. While one
// is there in its old and its new form another may be rejected, and then stays
// what it was.
func replaceWithReject(ctx context.Context, s *subject) error {
	for i := range rotations {
		if err := s.signIn(ctx, fmt.Sprint("before", i), "rejected"); err != nil {
			return err
		}
	}
	var done [rotations]bool
	err := together(rotations, func(i int) error {
		rec := bounded("rejected", rotations, true)
		switch err := rotate(ctx, s.handle(i), fmt.Sprint("before", i), fmt.Sprint("after", i), rec); {
		case err == nil:
			done[i] = true
		case !errors.Is(err, session.ErrTooManySessions):
			return failf("rotation beside others, with Reject: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !slices.Contains(done[:], true) {
		return failf("of %d parallel rotations at the bound all were rejected; the first had the room", rotations)
	}
	for i := range rotations {
		live, gone := fmt.Sprint("before", i), fmt.Sprint("after", i)
		if done[i] {
			live, gone = gone, live
		}
		if err := firstError(
			func() error { return s.holds(ctx, live, one) },
			func() error { return s.gone(ctx, gone) },
		); err != nil {
			return failf("after parallel rotations with Reject: %w", err)
		}
	}
	return nil
}

// replaceBeside is replaceWithReject without Reject, beside a few records that
// nobody rotates. Those that rotate may end one another, since the bound is
// what it is; yet there are always enough of them, and they are the oldest. So
// what nobody rotates stays, and so does what a rotation has put in place.
func replaceBeside(ctx context.Context, s *subject) error {
	const others = 3
	for i := range rotations + others {
		id := fmt.Sprint("first", i)
		if i >= rotations {
			id = fmt.Sprint("innocent", i-rotations)
		}
		if err := s.signIn(ctx, id, "alice"); err != nil {
			return err
		}
	}
	var done [rotations]bool
	err := together(rotations, func(i int) error {
		rec := bounded("alice", rotations+others, false)
		switch err := rotate(ctx, s.handle(i), fmt.Sprint("first", i), fmt.Sprint("second", i), rec); {
		case err == nil:
			done[i] = true
		case !errors.Is(err, session.ErrNotFound): // another rotation has ended it
			return failf("rotation beside others: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range others {
		if err := s.holds(ctx, fmt.Sprint("innocent", i), one); err != nil {
			return failf("after parallel rotations of other records: %w", err)
		}
	}
	for i := range rotations {
		check, id := s.gone, fmt.Sprint("second", i)
		if done[i] {
			check = func(ctx context.Context, id string) error { return s.holds(ctx, id, one) }
		}
		if err := check(ctx, id); err != nil {
			return failf("after parallel rotations: %w", err)
		}
		if err := s.gone(ctx, fmt.Sprint("first", i)); err != nil {
			return failf("after parallel rotations: %w", err)
		}
	}
	return nil
}

// replaceDeleted deletes a record while another one replaces it, as two
// rotations of one session do. Whether it is still there or not, it does not
// count.
func replaceDeleted(ctx context.Context, s *subject) error {
	for round := range 2 * rounds {
		user := fmt.Sprint("deleting", round)
		for _, id := range []string{"-a", "-old", "-b"} {
			if err := s.signIn(ctx, user+id, user); err != nil {
				return err
			}
		}
		err := together(2, func(i int) error {
			jitter(ctx)
			if i == 0 {
				return s.handle(0).Delete(ctx, user+"-old", []byte(one))
			}
			rec := replacing(user+"-old", user, 3, round%2 == 0)
			return s.handle(1).Create(ctx, user+"-new", rec)
		})
		if err != nil {
			return failf("Create beside two live records, with a bound of 3, in the place of one that is being deleted: %w", err)
		}
		if err := s.has(ctx, user, user+"-a", user+"-b", user+"-new"); err != nil {
			return failf("after Create in the place of a record that was being deleted: %w", err)
		}
	}
	return nil
}
