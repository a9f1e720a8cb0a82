package storetest

import (
	"context"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// past are deadlines that no write may be given.
func past() map[string]time.Time {
	return map[string]time.Time{
		"zero":                 {},
		"the epoch":            time.UnixMilli(0),
		"before the epoch":     time.UnixMilli(-1),
		"a second ago":         in(-time.Second),
		"an hour ago":          in(-time.Hour),
		"this millisecond":     in(0),
		"a thousand years ago": in(0).AddDate(-1000, 0, 0),
	}
}

var createCases = []testCase{
	{
		name: "CreateOverLive",
		why:  "Create returns ErrExists if a live record is there",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(time.Hour)
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			for _, data := range []string{two, one} {
				err := s.Create(ctx, "id", session.Record{Data: []byte(data), Deadline: in(2 * time.Hour)})
				if err := want("Create over a live record", err, session.ErrExists); err != nil {
					return err
				}
			}
			return s.holdsUntil(ctx, "id", one, deadline)
		},
	},
	{
		name: "CreateOverDead",
		why:  "Create: a dead record is replaced",
		run: func(ctx context.Context, s *subject) error {
			id, err := s.dead(ctx, session.Record{Data: clone(one)}, nil)
			if err != nil {
				return err
			}
			deadline := in(time.Hour)
			if err := s.createUntil(ctx, id, two, deadline); err != nil {
				return err
			}
			return s.holdsUntil(ctx, id, two, deadline)
		},
	},
	{
		name: "CreateOverDeleted",
		why:  "Create stores a record under an id that has none",
		run: func(ctx context.Context, s *subject) error {
			if err := s.create(ctx, "id", one); err != nil {
				return err
			}
			if err := s.Delete(ctx, "id", nil); err != nil {
				return failf("Delete: %w", err)
			}
			deadline := in(time.Minute)
			if err := s.createUntil(ctx, "id", two, deadline); err != nil {
				return err
			}
			return s.holdsUntil(ctx, "id", two, deadline)
		},
	},
	{
		name: "CreateDeadlineNotInFuture",
		why:  `Create: a deadline that is not in the future is an error, and nothing is stored: no deadline means "for ever"`,
		run: func(ctx context.Context, s *subject) error {
			for name, deadline := range past() {
				err := s.Create(ctx, "id", session.Record{Data: []byte(one), Deadline: deadline})
				if err := refused("Create with a deadline that is "+name, err); err != nil {
					return err
				}
				if err := s.gone(ctx, "id"); err != nil {
					return failf("after Create with a deadline that is %s: %w", name, err)
				}
			}
			return nil
		},
	},
	{
		name: "CreateDeadlineNotInFutureOverLive",
		why:  "Create: a deadline that is not in the future is an error, and nothing is stored, nor the record that is there ended",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(time.Hour)
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			for name, past := range past() {
				if err := s.Create(ctx, "id", session.Record{Data: []byte(two), Deadline: past}); err == nil {
					return failf("Create with a deadline that is %s = nil; want an error", name)
				}
				if err := s.holdsUntil(ctx, "id", one, deadline); err != nil {
					return failf("after Create with a deadline that is %s: %w", name, err)
				}
			}
			return nil
		},
	},
	{
		name: "CreateDoesNotKeepData",
		why:  "the store does not keep rec.Data after Create returns",
		run: func(ctx context.Context, s *subject) error {
			data := clone(one)
			err := s.Create(ctx, "id", session.Record{Data: data, Deadline: in(time.Hour)})
			if err != nil {
				return failf("Create: %w", err)
			}
			if string(data) != one {
				return failf("Create changed its argument to %q", data)
			}
			copy(data, "xxxxxxxx")
			return s.holds(ctx, "id", one)
		},
	},
	{
		name: "CreateWithOwner",
		why:  "a store that does not implement UserIndex ignores Owner; one that does stores the record as well",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(time.Hour)
			err := s.Create(ctx, "id", session.Record{
				Data:     []byte(one),
				Deadline: deadline,
				Owner:    session.Owner{User: "alice", AsOf: time.Now(), Max: 1, Reject: true},
			})
			if err != nil {
				return failf("Create with an owner: %w", err)
			}
			return s.holdsUntil(ctx, "id", one, deadline)
		},
	},
}
