package processes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// held is what the record has that is ended.
const held = `{"a":1}`

// EndedIsFinal checks that another process, which does everything but Create to a
// record, cannot bring it back once a call that ends it has returned. fresh
// returns a store and where the other process finds it.
func EndedIsFinal(t *testing.T, fresh func(t *testing.T) (store session.Store, where []string)) {
	for _, way := range []struct {
		name string
		end  func(ctx context.Context, s session.Store) error
	}{
		{"Delete", func(ctx context.Context, s session.Store) error { return s.Delete(ctx, "ended", nil) }},
		{"RevokeUser", func(ctx context.Context, s session.Store) error {
			_, err := s.(session.UserIndex).RevokeUser(ctx, "alice", time.Now())
			return err
		}},
		{"Clear", func(ctx context.Context, s session.Store) error { return s.(session.Clearer).Clear(ctx) }},
	} {
		t.Run(way.name, func(t *testing.T) {
			s, where := fresh(t)
			err := s.Create(t.Context(), "ended", session.Record{
				Data:     []byte(held),
				Deadline: time.Now().Add(time.Hour).Truncate(time.Second),
				Owner:    session.Owner{User: "alice", AsOf: time.Now()},
			})
			if err != nil {
				t.Fatal(err)
			}
			p := Start(t, where, "revive")
			p.Hear(t)
			if err := way.end(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			p.Tell(t, "ended")
			if err := p.Wait(); err != nil {
				t.Errorf("the other process: %v", err)
			}
			if rec, err := s.Load(t.Context(), "ended", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Load = %q, %v; want %v", rec.Data, err, session.ErrNotFound)
			}
		})
	}
}

// revive does everything but Create to the record "ended", until it is told that
// it is ended, and then a hundred times more. It says so once it has begun.
func revive(ctx context.Context, s session.Store, _ []string) error {
	ended := make(chan struct{})
	go func() {
		// The end of the input means that the test is over.
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		close(ended)
	}()
	later := time.Now().Add(time.Hour).Truncate(time.Second)
	for round, left := 0, 100; left > 0; round++ {
		over := false
		select {
		case <-ended:
			over = true
			left--
		default:
		}
		later = later.Add(time.Second)
		_, loaded := s.Load(ctx, "ended", session.Slide{To: later})
		for verb, err := range map[string]error{
			"Load":         loaded,
			"Touch":        s.Touch(ctx, "ended", later.Add(time.Second)),
			"Update":       s.Update(ctx, "ended", []byte(held), []byte(held), later),
			"Delete(data)": s.Delete(ctx, "ended", []byte(`{"b":1}`)),
		} {
			if over && !errors.Is(err, session.ErrNotFound) {
				return fmt.Errorf("%s of an ended record = %v; want %v", verb, err, session.ErrNotFound)
			}
			if !over && round == 0 && err != nil && !(verb == "Delete(data)" && errors.Is(err, session.ErrConflict)) {
				return fmt.Errorf("%s of a live record: %w", verb, err)
			}
		}
		if round == 0 {
			fmt.Println("at work")
		}
	}
	return nil
}
