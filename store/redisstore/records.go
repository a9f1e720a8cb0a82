package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// maxData bounds a record's data: Redis takes no longer string, unless its
// proto-max-bulk-len says otherwise.
const maxData = 512 << 20

// never is the deadline of a key that has none, as connect-redis makes them with
// its option disableTTL: the last millisecond that has four digits for its year.
// The Manager's own limits apply to such a session, and the next change of its
// data gives it a deadline.
var never = time.Date(9999, time.December, 31, 23, 59, 59, 999e6, time.UTC)

func millis(t time.Time) string { return strconv.FormatInt(contract.Millis(t), 10) }

// damaged returns [session.ErrDamaged] for a key that holds no string, which is
// what Redis calls the wrong type.
func damaged(err error) error {
	if strings.Contains(text(err), "WRONGTYPE") {
		return fmt.Errorf("%w: the key holds no string", session.ErrDamaged)
	}
	return err
}

// outcome returns the answer that a script's reply stands for.
func outcome(r reply, err error) error {
	switch {
	case err != nil:
		return damaged(err)
	case r.number == isAbsent:
		return session.ErrNotFound
	case r.number == isChanged:
		return session.ErrConflict
	}
	return nil
}

// Load implements [session.Store]. A key without an expiry has a deadline in the
// year 9999, which no slide moves. The Owner of the record is not filled in.
func (s *Store) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	rec, err := s.load(ctx, id, slide)
	return rec, fail("load session", err)
}

func (s *Store) load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	var args []string
	if !slide.To.IsZero() {
		args = append(make([]string, 0, 2), millis(slide.To))
		if !slide.Before.IsZero() {
			args = append(args, millis(slide.Before))
		}
	}
	// A slide that was done and not answered is not done again: the deadline
	// is no longer before To.
	r, err := loadScript.run(ctx, s.do, s.key(id), true, args...)
	switch {
	case err != nil:
		return session.Record{}, damaged(err)
	case r.null:
		return session.Record{}, session.ErrNotFound
	case len(r.list) != 2:
		return session.Record{}, errors.New("the reply makes no sense")
	case r.list[0].text == "":
		return session.Record{}, fmt.Errorf("%w: the key holds an empty string", session.ErrDamaged)
	}
	rec := session.Record{Data: []byte(r.list[0].text), Deadline: never}
	if at := r.list[1].number; at >= 0 {
		rec.Deadline = time.UnixMilli(at)
	}
	return rec, nil
}

// createRecord is Create for a record that nobody owns.
func (s *Store) createRecord(ctx context.Context, id string, rec session.Record) error {
	if err := contract.CheckData(rec.Data, maxData); err != nil {
		return err
	}
	if err := contract.CheckDeadline(rec.Deadline, time.Now()); err != nil {
		return err
	}
	var stored bool
	if s.channel == "" {
		r, err := s.write(ctx, command{
			words: []string{"SET"}, key: s.key(id),
			args: []string{string(rec.Data), "NX", "PXAT", millis(rec.Deadline)},
		})
		if err != nil {
			return err
		}
		stored = !r.null
	} else {
		r, err := createScript.run(ctx, s.write, s.key(id), false,
			s.told(id, string(rec.Data), millis(rec.Deadline))...)
		if err != nil {
			return err
		}
		stored = r.number == 1
	}
	if !stored {
		return session.ErrExists
	}
	return nil
}

// Update implements [session.Store].
func (s *Store) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	return fail("update session", s.update(ctx, id, old, data, deadline))
}

func (s *Store) update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	if err := contract.CheckData(data, maxData); err != nil {
		return err
	}
	if err := contract.CheckDeadline(deadline, time.Now()); err != nil {
		return err
	}
	if s.channel == "" && !s.noIfEq.Load() {
		r, err := s.write(ctx, command{
			words: []string{"SET"}, key: s.key(id),
			args: []string{string(data), "IFEQ", string(old), "PXAT", millis(deadline)},
		})
		switch {
		case strings.Contains(text(err), "syntax error"):
			s.noIfEq.Store(true) // until this process ends
		case err != nil:
			return damaged(err)
		case !r.null:
			return nil
		}
		// Nothing was stored, and the script tells why; unless the data has
		// become old again in between, when it stores.
	}
	return outcome(updateScript.run(ctx, s.write, s.key(id), false,
		s.told(id, string(old), string(data), millis(deadline))...))
}

// Touch implements [session.Store]. It waits for no replica: a deadline that a
// failover moves back ends a session early, and prolongs none.
func (s *Store) Touch(ctx context.Context, id string, deadline time.Time) error {
	return fail("touch session", outcome(touchScript.run(ctx, s.do, s.key(id), true, millis(deadline))))
}

// Delete implements [session.Store]. With a nil old it also removes what is no
// session.
func (s *Store) Delete(ctx context.Context, id string, old []byte) error {
	if old == nil {
		return fail("delete session", s.remove(ctx, id))
	}
	return fail("delete session", outcome(removeIfScript.run(ctx, s.write, s.key(id), false,
		s.told(id, string(old))...)))
}

// remove ends the record under id, if there is one.
func (s *Store) remove(ctx context.Context, id string) (err error) {
	if s.channel == "" {
		_, err = s.write(ctx, command{words: []string{"UNLINK"}, key: s.key(id), again: true})
	} else {
		_, err = removeScript.run(ctx, s.write, s.key(id), true, s.told(id)...)
	}
	return err
}
