package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

func hasWatcher(s *subject) bool { _, ok := s.Store.(session.Watcher); return ok }

// watch runs do while h is watched, once it is. The function heard that do gets
// waits until the record under id was told of, or anything.
func watch(ctx context.Context, h session.Store, do func(heard func(what, id string) error) error) error {
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	digests := make(chan string, 1000)
	ended := make(chan error, 1)
	go func() {
		ended <- h.(session.Watcher).Watch(watching, func(digest string) {
			select {
			case digests <- digest:
			case <-watching.Done():
			}
		})
	}()
	hear := func(what, want string) error {
		late := time.NewTimer(10 * time.Second)
		defer late.Stop()
		for {
			select {
			case digest := <-digests:
				if digest == want || digest == "" {
					return nil
				}
			case err := <-ended:
				return failf("Watch returned %v before its context was done", err)
			case <-late.C:
				return failf("Watch did not tell of %s within 10 s", what)
			}
		}
	}
	if err := hear("its beginning", ""); err != nil {
		return err
	}
	if err := do(func(what, id string) error { return hear(what, session.Digest(id)) }); err != nil {
		return err
	}
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			return failf("Watch = %v after its context was canceled; want context.Canceled", err)
		}
	case <-time.After(10 * time.Second):
		return failf("Watch goes on 10 s after its context was canceled")
	}
	return nil
}

var watchCases = []testCase{
	{
		name:  "Watch",
		why:   "Watch calls changed after each Create, Update, Delete and RevokeUser that any process has made, until ctx is done",
		needs: hasWatcher,
		run: func(ctx context.Context, s *subject) error {
			return watch(ctx, s.Store, func(heard func(what, id string) error) error {
				for i := range s.handles {
					h := s.handle(i)
					if err := h.Create(ctx, "watched", session.Record{Data: clone(one), Deadline: in(time.Hour)}); err != nil {
						return failf("Create: %w", err)
					}
					if err := heard("a Create", "watched"); err != nil {
						return err
					}
					if err := h.Update(ctx, "watched", []byte(one), []byte(two), in(time.Hour)); err != nil {
						return failf("Update: %w", err)
					}
					if err := heard("an Update", "watched"); err != nil {
						return err
					}
					if err := h.Delete(ctx, "watched", []byte(two)); err != nil {
						return failf("Delete: %w", err)
					}
					if err := heard("a Delete", "watched"); err != nil {
						return err
					}
					if !hasUserIndex(s) {
						continue
					}
					if err := s.signIn(ctx, "alices", "alice"); err != nil {
						return err
					}
					if err := heard("a sign-in", "alices"); err != nil {
						return err
					}
					if _, err := h.(session.UserIndex).RevokeUser(ctx, "alice", time.Now().Add(-time.Hour)); err != nil {
						return failf("RevokeUser: %w", err)
					}
					if err := heard("a RevokeUser", "alices"); err != nil {
						return err
					}
				}
				return nil
			})
		},
	},
	{
		name:  "WatchTellsWhatIsStored",
		why:   "Watch calls changed after a change: who then loads the record finds it",
		needs: hasWatcher,
		run: func(ctx context.Context, s *subject) error {
			if err := s.create(ctx, "watched", one); err != nil {
				return err
			}
			return watch(ctx, s.Store, func(heard func(what, id string) error) error {
				for i := range 20 {
					from, to := one, two
					if i%2 == 1 {
						from, to = two, one
					}
					done := make(chan error, 1)
					go func() { done <- s.handle(i).Update(ctx, "watched", []byte(from), []byte(to), in(time.Hour)) }()
					found := failf("nothing was told")
					for found != nil {
						// What is heard may also be a change before this one, late.
						if err := heard("an Update once it can be loaded", "watched"); err != nil {
							return errors.Join(err, found)
						}
						found = s.holds(ctx, "watched", to)
					}
					if err := <-done; err != nil {
						return failf("Update: %w", err)
					}
				}
				return nil
			})
		},
	},
	{
		name:  "WatchTwice",
		why:   "Methods are safe for concurrent use: each of several listeners is told",
		needs: hasWatcher,
		run: func(ctx context.Context, s *subject) error {
			return watch(ctx, s.Store, func(first func(what, id string) error) error {
				return watch(ctx, s.handle(1), func(second func(what, id string) error) error {
					if err := s.create(ctx, "watched", one); err != nil {
						return err
					}
					if err := first("a Create", "watched"); err != nil {
						return err
					}
					return second("a Create", "watched")
				})
			})
		},
	},
}
