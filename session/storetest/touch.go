package storetest

import (
	"context"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

var touchCases = []testCase{
	{
		name: "TouchForward",
		why:  "Touch moves the deadline of the live record under id forward, without writing its data",
		run: func(ctx context.Context, s *subject) error {
			neighbour, deadline := in(time.Hour), in(2*time.Hour)
			if err := s.create(ctx, "id", one); err != nil {
				return err
			}
			if err := s.createUntil(ctx, "neighbour", two, neighbour); err != nil {
				return err
			}
			if err := s.Touch(ctx, "id", deadline); err != nil {
				return failf("Touch: %w", err)
			}
			if err := s.holdsUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			return s.holdsUntil(ctx, "neighbour", two, neighbour)
		},
	},
	{
		name: "TouchNeverBack",
		why:  "Touch: a deadline that is not later than the record's own leaves it as it is, which is no error",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(time.Hour)
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			earlier := past()
			earlier["earlier"] = in(time.Minute)
			for name, earlier := range earlier {
				if err := s.Touch(ctx, "id", earlier); err != nil {
					return failf("Touch with a deadline that is %s: %w", name, err)
				}
				if err := s.holdsUntil(ctx, "id", one, deadline); err != nil {
					return failf("after Touch with a deadline that is %s: %w", name, err)
				}
			}
			return nil
		},
	},
	{
		name: "TouchToTheSame",
		why:  "Touch: a deadline that is not later than the record's own leaves it as it is, which is no error, even if nothing has changed",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(time.Hour)
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			for range 2 {
				if err := s.Touch(ctx, "id", deadline); err != nil {
					return failf("Touch with the deadline that is set: %w", err)
				}
			}
			return s.holdsUntil(ctx, "id", one, deadline)
		},
	},
	{
		name: "TouchUnknown",
		why:  "no method but Create makes a record come into being; Touch returns ErrNotFound if there is no live record",
		run: func(ctx context.Context, s *subject) error {
			for _, deadline := range []time.Time{in(time.Hour), in(-time.Hour), {}} {
				err := s.Touch(ctx, "unknown", deadline)
				if err := want("Touch of an unknown id", err, session.ErrNotFound); err != nil {
					return err
				}
				if err := s.gone(ctx, "unknown"); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name: "TouchAfterDelete",
		why:  "a request in flight can touch only what is still there",
		run: func(ctx context.Context, s *subject) error {
			if err := s.create(ctx, "id", one); err != nil {
				return err
			}
			if err := s.Delete(ctx, "id", nil); err != nil {
				return failf("Delete: %w", err)
			}
			err := s.Touch(ctx, "id", in(time.Hour))
			if err := want("Touch after Delete", err, session.ErrNotFound); err != nil {
				return err
			}
			return s.gone(ctx, "id")
		},
	},
	{
		name: "TouchAfterDeadline",
		why:  "the store compares the record's own deadline with the clock in every method: Touch does not revive a record that has died",
		run: func(ctx context.Context, s *subject) error {
			id, err := s.dead(ctx, session.Record{Data: clone(one)}, nil)
			if err != nil {
				return err
			}
			err = s.Touch(ctx, id, in(time.Hour))
			if err := want("Touch after the deadline", err, session.ErrNotFound); err != nil {
				return err
			}
			return s.gone(ctx, id)
		},
	},
}
