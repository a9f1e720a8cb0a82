package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

var deleteCases = []testCase{
	{
		name: "Delete",
		why:  "Delete ends the record under id; with a nil old it does so whatever the record holds",
		run: func(ctx context.Context, s *subject) error {
			for _, id := range []string{"id", "id2", "i", "i%", "*"} {
				if err := s.create(ctx, id, one); err != nil {
					return err
				}
			}
			for _, id := range []string{"id", "i%", "*"} {
				if err := s.Delete(ctx, id, nil); err != nil {
					return failf("Delete(%q) = %w", id, err)
				}
				if err := s.gone(ctx, id); err != nil {
					return err
				}
			}
			for _, id := range []string{"id2", "i"} {
				if err := s.holds(ctx, id, one); err != nil {
					return failf("after another was deleted: %w", err)
				}
			}
			return nil
		},
	},
	{
		name: "DeleteAbsent",
		why:  "Delete with a nil old succeeds if there is no record",
		run: func(ctx context.Context, s *subject) error {
			if err := s.create(ctx, "id", one); err != nil {
				return err
			}
			for _, what := range []string{"of a live record", "again", "once more"} {
				if err := s.Delete(ctx, "id", nil); err != nil {
					return failf("Delete %s: %w", what, err)
				}
			}
			if err := s.Delete(ctx, "unknown", nil); err != nil {
				return failf("Delete of an unknown id: %w", err)
			}
			dead, err := s.dead(ctx, session.Record{Data: clone(one)}, nil)
			if err != nil {
				return err
			}
			if err := s.Delete(ctx, dead, nil); err != nil {
				return failf("Delete after the deadline: %w", err)
			}
			return nil
		},
	},
	{
		name: "DeleteOld",
		why:  "Delete with a non-nil old ends the record if it is live and still holds old",
		run: func(ctx context.Context, s *subject) error {
			if err := s.create(ctx, "id", one); err != nil {
				return err
			}
			if err := s.Update(ctx, "id", []byte(one), []byte(two), in(time.Hour)); err != nil {
				return failf("Update: %w", err)
			}
			if err := s.Delete(ctx, "id", []byte(two)); err != nil {
				return failf("Delete with the data that is stored: %w", err)
			}
			return s.gone(ctx, "id")
		},
	},
	{
		name: "DeleteOldConflict",
		why:  "Delete with an old that the record does not hold returns ErrConflict and deletes nothing",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(time.Hour)
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			for _, old := range []string{two, ""} { // empty, and yet not nil
				err := s.Delete(ctx, "id", append([]byte{}, old...))
				if err := want(fmt.Sprintf("Delete with the old data %q", old), err, session.ErrConflict); err != nil {
					return err
				}
				if err := s.holdsUntil(ctx, "id", one, deadline); err != nil {
					return failf("after a conflict: %w", err)
				}
			}
			return nil
		},
	},
	{
		name: "DeleteOldComparesBytes",
		why:  "Delete with a non-nil old ends the record only if it still holds old, byte for byte",
		run: func(ctx context.Context, s *subject) error {
			for i, pair := range lookalikes {
				id := fmt.Sprintf("id%d", i)
				if err := s.create(ctx, id, pair.stored); err != nil {
					return err
				}
				err := s.Delete(ctx, id, append([]byte{}, pair.old...))
				if err := want("Delete with old data that differs by "+pair.name, err, session.ErrConflict); err != nil {
					return err
				}
				if err := s.holds(ctx, id, pair.stored); err != nil {
					return err
				}
				if err := s.Delete(ctx, id, []byte(pair.stored)); err != nil {
					return failf("Delete with the very data that is stored (%s): %w", pair.name, err)
				}
			}
			return nil
		},
	},
	{
		name: "DeleteOldAbsent",
		why:  "Delete with a non-nil old returns ErrNotFound if there is no live record",
		run: func(ctx context.Context, s *subject) error {
			if err := s.create(ctx, "deleted", one); err != nil {
				return err
			}
			if err := s.Delete(ctx, "deleted", nil); err != nil {
				return failf("Delete: %w", err)
			}
			dead, err := s.dead(ctx, session.Record{Data: clone(one)}, nil)
			if err != nil {
				return err
			}
			for _, id := range []string{"unknown", "deleted", dead} {
				for _, old := range []string{one, ""} {
					err := s.Delete(ctx, id, append([]byte{}, old...))
					if err := want(fmt.Sprintf("Delete(%q) with the old data %q", id, old), err, session.ErrNotFound); err != nil {
						return err
					}
				}
			}
			return nil
		},
	},
}
