package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// errWriter is what a change fails with whose writer panicked, in the store.
var errWriter = errors.New("the request that was storing it panicked")

// A draft is what a request's changes make of a record.
type draft struct {
	from     *record
	rec      *record  // nil: there is nothing to store
	modified []string // the keys whose values differ
}

// compose drafts the record that the changes make of the present one.
func (s *Session) compose() (draft, error) {
	st := s.st
	d := draft{from: st.rec, modified: st.modified()}
	if len(d.modified) == 0 && st.lifetime == nil && !st.rewrite && !(s.m.config.Resave && s.always()) {
		return d, nil
	}
	d.rec = new(record)
	return d, s.next(st.key, st.rec, d.rec, time.Now())
}

// contend stores the changes in turn with the other requests of this process
// that change the same session, or in the write of one of them.
func (s *Session) contend() error {
	w := s.m.lines.stand(s.st.key, true)
	defer w.leave()
	var late draft
	for {
		o, err := w.wait(s.ctx)
		if err != nil {
			return err
		}
		if o == nil {
			return s.lead(w, late)
		}
		var done bool
		if late, done, err = s.join(o); done {
			return err
		}
	}
}

// join adds the changes to another request's write. If it is not done after that,
// the request has to wait on; it gets the draft back that came too late.
func (s *Session) join(o *offer) (late draft, done bool, err error) {
	if o.over() {
		return draft{}, false, nil
	}
	st := s.st
	read, joined := st.rec, false
	defer func() {
		if !joined { // a change may have panicked, too
			o.decline()
		}
		if !done || err != nil {
			st.rec = read
		}
	}()
	st.rec = o.from
	if err := st.replay(); err != nil {
		return draft{}, true, err
	}
	d, err := s.compose()
	if err != nil {
		return draft{}, true, err
	}
	made := d.rec
	if made == nil {
		made = o.from // what this request has seen is not stored yet
	}
	if joined = o.accept(made); !joined {
		return d, false, nil
	}
	err = <-o.outcome
	if errors.Is(err, ErrConflict) {
		return draft{}, false, nil
	}
	if err == nil && d.rec != nil {
		// Its own record, and not the one with later requests' changes that
		// was written: what a request reads does not change under it.
		s.stored(d)
	}
	return draft{}, true, err
}

// lead stores the changes, and those of the requests that join. What it went on
// from in a draft that came too late is by now what is stored, as a rule.
func (s *Session) lead(w *waiter, d draft) error {
	for attempt := 0; ; attempt++ {
		if d.rec == nil {
			err := s.refetch(attempt)
			if err != nil {
				return err
			}
			if d, err = s.compose(); err != nil {
				return err
			}
			if d.rec == nil {
				return s.prolong()
			}
		}
		err := s.swapGathered(w, d)
		if err == nil {
			s.stored(d)
		}
		if !errors.Is(err, ErrConflict) {
			return err
		}
		d = draft{}
	}
}

// swapGathered stores a draft with what those add to it who wait behind w, and
// tells them.
func (s *Session) swapGathered(w *waiter, d draft) (err error) {
	rec, guests := w.gather(d.rec)
	parent := s.ctx
	if len(guests) > 0 {
		parent = context.WithoutCancel(parent) // its deadline is not theirs
	}
	ctx := s.writeContext(parent)
	defer ctx.release()
	defer func() { w.tell(guests, err) }()
	err = errWriter // unless the store returns
	err = s.m.store.Update(ctx, s.st.key, d.from.raw, rec.raw, rec.deadline)
	return err
}

// refetch reads the session again after a conflict and replays the request's
// own changes on it.
func (s *Session) refetch(attempt int) error {
	// Other processes contend without a queue: after a few rounds, make room.
	if attempt >= 3 {
		pause := rand.N(time.Millisecond << min(attempt-3, 5))
		timer := time.NewTimer(pause)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.ctx.Done():
			return s.ctx.Err()
		}
	}
	now := time.Now()
	rec := new(record)
	if err := s.fetch(rec, s.st.key, now, Slide{}); err != nil {
		return err
	}
	if !rec.meta.moved.IsZero() {
		return ErrReadOnly
	}
	if bytes.Equal(rec.raw, s.st.rec.raw) {
		// Nobody changed it. Once may be chance; a store that does not keep
		// what it is given would answer like this for ever.
		if s.st.standoffs++; s.st.standoffs > 10 {
			return fmt.Errorf("%w: the store reports this again and again over equal data", ErrConflict)
		}
	}
	s.st.rec, s.st.loadedAt = rec, now
	return s.st.replay()
}
