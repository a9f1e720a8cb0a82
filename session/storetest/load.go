package storetest

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

const (
	one   = `{"n":1}`
	two   = `{"n":2}`
	three = `{"n":3}`
)

var loadCases = []testCase{
	{
		name: "LoadUnknown",
		why:  "Load returns the live record under id, or ErrNotFound",
		run: func(ctx context.Context, s *subject) error {
			if err := s.create(ctx, "another", one); err != nil {
				return err
			}
			return s.gone(ctx, "unknown")
		},
	},
	{
		name: "LoadWhatCreateStored",
		why:  "Data is, byte for byte, what Create or Update was last given; Deadline is the moment at which the record is no longer live",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(time.Hour + 1234*time.Millisecond) // a whole second on no clock that starts at one
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			return s.holdsUntil(ctx, "id", one, deadline)
		},
	},
	{
		name: "LoadAfterDeadline",
		why:  "a record is live until its deadline, the deadline itself excluded; a record that is no longer live does not exist to any method",
		run: func(ctx context.Context, s *subject) error {
			id, err := s.brief(ctx, func(id string, deadline time.Time) error {
				if err := s.createUntil(ctx, id, one, deadline); err != nil {
					return err
				}
				// Watched all the while, since a store may look at its
				// clock only when a record is first loaded.
				for {
					_, err := s.Load(ctx, id, session.Slide{})
					switch left := time.Until(deadline); {
					case left <= 0:
						return nil
					case err != nil:
						return failf("Load %v before the deadline = %w; want a record", left, err)
					}
					if err := sleep(ctx, 10*time.Millisecond); err != nil {
						return err
					}
				}
			})
			if err != nil {
				return err
			}
			return s.gone(ctx, id)
		},
	},
	{
		name: "LoadFarDeadline",
		why:  "Deadline is the moment at which the record is no longer live, also where it is beyond 2038",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(40 * 365 * 24 * time.Hour)
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			return s.holdsUntil(ctx, "id", one, deadline)
		},
	},
	{
		name: "LoadDataBelongsToCaller",
		why:  "the returned Data belongs to the caller",
		run: func(ctx context.Context, s *subject) error {
			if err := s.create(ctx, "id", one); err != nil {
				return err
			}
			rec, err := s.Load(ctx, "id", session.Slide{})
			if err != nil {
				return err
			}
			// To the end of the capacity, where a neighbour's data may lie.
			if err := s.create(ctx, "neighbour", two); err != nil {
				return err
			}
			all := rec.Data[:cap(rec.Data)]
			copy(all, bytes.Repeat([]byte("x"), len(all)))
			if err := s.holds(ctx, "id", one); err != nil {
				return failf("after the caller wrote into loaded data: %w", err)
			}
			if err := s.holds(ctx, "neighbour", two); err != nil {
				return failf("after the caller wrote into loaded data: %w", err)
			}
			rec, err = s.Load(ctx, "id", session.Slide{})
			if err != nil {
				return err
			}
			if err := s.Update(ctx, "id", []byte(one), []byte(three), in(time.Hour)); err != nil {
				return failf("Update: %w", err)
			}
			if string(rec.Data) != one {
				return failf("data loaded before an Update became %q; want %q", rec.Data, one)
			}
			return nil
		},
	},
	{
		name: "SlideZero",
		why:  "the zero Slide leaves the deadline alone",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(time.Hour)
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			for range 2 {
				if err := s.holdsUntil(ctx, "id", one, deadline); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name: "SlideForward",
		why:  "if slide says so, Load moves the record's deadline forward",
		run: func(ctx context.Context, s *subject) error {
			to := in(2 * time.Hour)
			if err := s.create(ctx, "id", one); err != nil {
				return err
			}
			if _, err := s.Load(ctx, "id", session.Slide{To: to}); err != nil {
				return failf("Load with a slide: %w", err)
			}
			return s.holdsUntil(ctx, "id", one, to)
		},
	},
	{
		name: "SlideReturnsDeadlineInForce",
		why:  "Record.Deadline is the deadline that is in force when Load returns",
		run: func(ctx context.Context, s *subject) error {
			deadline, to := in(time.Hour), in(2*time.Hour)
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			for _, step := range []struct {
				slide session.Slide
				want  time.Time
			}{
				{session.Slide{To: in(time.Minute)}, deadline},
				{session.Slide{To: to, Before: in(time.Minute)}, deadline},
				{session.Slide{To: to}, to},
			} {
				rec, err := s.Load(ctx, "id", step.slide)
				if err != nil {
					return failf("Load with a slide: %w", err)
				}
				if string(rec.Data) != one {
					return failf("Load with a slide returned %q; want %q", rec.Data, one)
				}
				if !s.sameDeadline(rec.Deadline, step.want) {
					return failf("Load with %v returned the deadline %v; want %v", step.slide, rec.Deadline, step.want)
				}
			}
			return nil
		},
	},
	{
		name: "SlideNeverBack",
		why:  "Slide.To never moves a deadline back",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(time.Hour)
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			for _, to := range []time.Time{in(time.Minute), deadline, in(-time.Hour), time.UnixMilli(0)} {
				if _, err := s.Load(ctx, "id", session.Slide{To: to, Before: in(24 * time.Hour)}); err != nil {
					return failf("Load with an earlier slide: %w", err)
				}
				if err := s.holdsUntil(ctx, "id", one, deadline); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name: "SlideBefore",
		why:  "Slide.Before limits the move to records whose deadline is before this moment; zero means no limit",
		run: func(ctx context.Context, s *subject) error {
			deadline, to := in(time.Hour), in(2*time.Hour)
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			for _, step := range []struct {
				before time.Time
				want   time.Time
			}{
				{in(time.Minute), deadline},
				{deadline, deadline}, // not before itself
				{deadline.Add(max(s.Granularity, time.Millisecond)), to},
			} {
				if _, err := s.Load(ctx, "id", session.Slide{To: to, Before: step.before}); err != nil {
					return failf("Load with a slide: %w", err)
				}
				if err := s.holdsUntil(ctx, "id", one, step.want); err != nil {
					return failf("with Before %v after the deadline: %w", step.before.Sub(deadline), err)
				}
			}
			return nil
		},
	},
	{
		name: "SlideCannotRevive",
		why:  "a record that is no longer live does not exist to any method: a slide does not bring it back",
		run: func(ctx context.Context, s *subject) error {
			id, err := s.dead(ctx, session.Record{Data: clone(one)}, nil)
			if err != nil {
				return err
			}
			if err := s.create(ctx, "deleted", one); err != nil {
				return err
			}
			if err := s.Delete(ctx, "deleted", nil); err != nil {
				return failf("Delete: %w", err)
			}
			for _, id := range []string{id, "deleted", "unknown"} {
				_, err := s.Load(ctx, id, session.Slide{To: in(time.Hour)})
				if err := want("Load of what is not there, with a slide,", err, session.ErrNotFound); err != nil {
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
		name: "SlideLengthensLife",
		why:  "the store compares the record's own deadline with the clock: that is the one that a slide or a Touch moved",
		run: func(ctx context.Context, s *subject) error {
			for _, lengthen := range []func(id string) error{
				func(id string) error {
					_, err := s.Load(ctx, id, session.Slide{To: in(time.Hour)})
					return err
				},
				func(id string) error { return s.Touch(ctx, id, in(time.Hour)) },
				func(id string) error { return s.Update(ctx, id, []byte(one), []byte(one), in(time.Hour)) },
			} {
				id, err := s.dead(ctx, session.Record{Data: clone(one)}, lengthen)
				if err != nil {
					return err
				}
				// A record to which nothing was done is dead by now.
				if err := s.holds(ctx, id, one); err != nil {
					return failf("after the deadline that was moved: %w", err)
				}
				if err := s.Delete(ctx, id, nil); err != nil && !errors.Is(err, session.ErrNotFound) {
					return err
				}
			}
			return nil
		},
	},
}
