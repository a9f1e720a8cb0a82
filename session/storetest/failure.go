package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

var failureCases = []testCase{
	{
		name: "ErrorsNameNothing",
		why:  "methods return errors that name neither the id nor the data",
		run: func(ctx context.Context, s *subject) error {
			const (
				id     = "SecretIdThatNoErrorMayName0123456789"
				absent = "SecretIdThatNoErrorMayName-absent"
				data   = `{"SecretData":"Zolpidem"}`
				other  = `{"SecretData":"Warfarin"}`
			)
			canceled, cancel := context.WithCancel(ctx)
			cancel()
			if err := s.create(ctx, id, data); err != nil {
				return err
			}
			var errs []error
			for _, ctx := range []context.Context{ctx, canceled} {
				for _, id := range []string{id, absent} {
					_, loadErr := s.Load(ctx, absent, session.Slide{To: in(time.Hour)})
					errs = append(errs, loadErr,
						s.Create(ctx, id, session.Record{Data: []byte(data)}),
						s.Update(ctx, id, []byte(other), []byte(other), in(time.Hour)),
						s.Update(ctx, id, []byte(data), []byte(other), in(-time.Hour)),
						s.Touch(ctx, absent, in(time.Hour)),
						s.Delete(ctx, id, []byte(other)),
					)
				}
				errs = append(errs,
					s.Create(ctx, id, session.Record{Data: []byte(data), Deadline: in(time.Hour)}),
					s.Delete(canceled, id, nil))
			}
			for _, err := range errs {
				if err == nil {
					continue // another case's business
				}
				for _, shown := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
					for _, secret := range []string{"SecretId", "SecretData", "Zolpidem", "Warfarin"} {
						if strings.Contains(shown, secret) {
							return failf("an error shows the id or the data: %s", shown)
						}
					}
				}
			}
			return nil
		},
	},
	{
		name:  "FailureIsNoAnswer",
		why:   "an unexpected error is never turned into ErrNotFound: a store that cannot tell must say so",
		needs: func(s *subject) bool { return s.fail != nil },
		run: func(ctx context.Context, s *subject) error {
			if err := s.create(ctx, "id", one); err != nil {
				return err
			}
			s.fail()
			for _, call := range calls(s.Store) {
				err := call.do(ctx, s.Store)
				if err := refused(call.name+" of a store whose engine fails", err); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name:  "SurvivesReopening",
		why:   "once Delete has returned nil, no crash brings the record back; and what was stored is there",
		needs: func(s *subject) bool { return s.reopen != nil },
		run: func(ctx context.Context, s *subject) error {
			deadline, later := in(time.Hour), in(2*time.Hour)
			dead, err := s.dead(ctx, session.Record{Data: clone(one)}, nil)
			if err != nil {
				return err
			}
			for _, id := range []string{"created", "updated", "touched", "deleted"} {
				if err := s.createUntil(ctx, id, one, deadline); err != nil {
					return err
				}
			}
			err = errors.Join(
				s.Update(ctx, "updated", []byte(one), []byte(two), later),
				s.Touch(ctx, "touched", later),
				s.Delete(ctx, "deleted", nil))
			if err != nil {
				return err
			}
			s.reopen()
			return firstError(
				func() error { return s.holdsUntil(ctx, "created", one, deadline) },
				func() error { return s.holdsUntil(ctx, "updated", two, later) },
				func() error { return s.holdsUntil(ctx, "touched", one, later) },
				func() error { return s.gone(ctx, "deleted") },
				func() error { return s.gone(ctx, dead) },
			)
		},
	},
}
