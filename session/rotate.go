package session

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// Regenerate gives the visitor an empty session under a new id and ends the old
// one, user and all. It is committed with the response, or by Save, and what is
// set from now on goes into the new session.
func (s *Session) Regenerate() error {
	return s.planID("regenerate", func(st *state) {
		st.discard()
		st.next = rotation{on: true, drop: true}
	})
}

// Renew gives the session a new id and keeps its data and user: for whenever
// privileges change. It is committed with the response, or by Save. The old id
// is dead from then on, but for Config.RenewGrace. Where two requests renew one
// session at once, one of them gets [ErrEnded]. A visitor without a session
// needs no new id, and nothing happens.
func (s *Session) Renew() error {
	return s.planID("renew", func(st *state) {
		st.next.on = st.next.on || st.rec != nil
	})
}

// SignIn makes user the session's user, under a new id. user is the
// application's lasting name for the account, of 1 to 255 bytes of UTF-8. What the
// visitor collected before is kept, unless another user was signed in: then the
// session begins empty. Idle and absolute limits begin anew.
//
// It is committed with the response, or by Save, and is refused with
// [ErrRevoked] if the user's sessions were revoked after this request came. A
// handler that does both, such as one that changes a password, signs in first:
// SignIn, Save, then [Manager.RevokeUser] but for this session's public id.
func (s *Session) SignIn(user string) error {
	if user == "" || len(user) > 255 || !utf8.ValidString(user) {
		return fmt.Errorf("pillbox: sign in: user name has %d bytes: want 1 to 255 of UTF-8", len(user))
	}
	var err error
	planErr := s.planID("sign in", func(st *state) {
		other := st.rec != nil && st.rec.meta.user != "" && st.rec.meta.user != user
		st.next = rotation{on: true, drop: st.next.drop || other, signIn: true, user: user}
		if other {
			// Functions have run on the other user's data.
			if err = st.replay(); err != nil {
				st.discard()
			}
		}
	})
	if planErr != nil {
		return planErr
	}
	return err
}

// planID is plan for a new id, which a session without a request cannot send.
func (s *Session) planID(verb string, change func(*state)) error {
	if s.r == nil {
		return fmt.Errorf("pillbox: %s: %w", verb, ErrTooLate)
	}
	return s.plan(verb, change)
}

// plan changes what the next commit does beside writing data.
func (s *Session) plan(verb string, change func(*state)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return err
	}
	if err := s.changeable(verb); err != nil {
		return err
	}
	change(s.st)
	return nil
}

// rotate stores the session under a new id and ends the old one. Until the old
// one is ended nobody knows the new id, so a failure in between leaves the
// visitor where he was.
func (s *Session) rotate() error {
	if err := s.reachable(); err != nil {
		return err
	}
	st := s.st
	had, previous := st.rec != nil, st.key
	rec := new(record)
	id, key, err := s.createFrom(st.rec, rec)
	for attempt := 0; errors.Is(err, ErrRevoked) && !st.next.signIn && had && attempt < 3; attempt++ {
		// The user was revoked after this request loaded the session. This
		// session may be the one that was spared: look again.
		if err := s.refetch(0); err != nil {
			return err
		}
		id, key, err = s.createFrom(st.rec, rec)
	}
	if err != nil {
		return err
	}
	if had {
		if rec, err = s.retire(key, rec); err != nil {
			// The record that nobody knows goes; its deadline is the
			// safety net where even that fails.
			s.abandon(key)
			return err
		}
	}
	next := st.next
	st.next = rotation{}
	s.replace(id, key, rec)

	event := Event{Kind: EventRenewed, User: rec.meta.user}
	switch {
	case next.signIn:
		event.Kind = EventSignedIn
	case !had:
		event.Kind = EventCreated
	}
	if had && s.m.watched(s.ctx) {
		event.Previous = s.m.publicIDs.encode(previous)
	}
	s.m.emit(s.ctx, key, event)
	return nil
}

// retire ends the session that rec, stored under key, goes on from. Where that
// one changed meanwhile, the change is carried over first. It returns what is
// then stored under key.
func (s *Session) retire(key string, rec *record) (*record, error) {
	st := s.st
	var place *waiter
	for attempt := 0; ; attempt++ {
		now := time.Now()
		err := s.endOld(now, key)
		if err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
			err = s.outcome(err, key)
		}
		if err == nil {
			return rec, nil
		}
		if errors.Is(err, ErrConflict) {
			if place == nil {
				place = s.m.lines.stand(st.key, false)
				defer place.leave()
				if _, err = place.wait(s.ctx); err != nil {
					return nil, err
				}
			}
			err = s.refetch(attempt)
		}
		if errors.Is(err, ErrNotFound) && st.next.signIn {
			// Somebody ended the old session meanwhile. The sign-in stands
			// on its own, without what was in there.
			st.rec, st.key = nil, ""
			err = st.replay()
		}
		if err != nil {
			return nil, err
		}
		again := new(record)
		if err := s.next(key, st.rec, again, now); err != nil {
			return nil, err
		}
		if err := s.swap(key, rec.raw, again.raw, again.deadline); err != nil {
			return nil, err
		}
		rec = again
		if st.rec == nil {
			return rec, nil
		}
	}
}

// outcome returns what became of ending the old session in favour of heir, after
// the store answered with err: a timeout or a lost answer says nothing about what
// was done. Where the old session is gone, somebody else may have ended it, and
// then its data must not live on under the new id.
func (s *Session) outcome(err error, heir string) error {
	ctx, cancel := s.aftermath()
	defer cancel()
	rec := new(record)
	found := s.m.fetch(ctx, rec, s.st.key, time.Now(), Slide{})
	switch {
	case found == nil && rec.meta.heir == heir:
		return nil
	case errors.Is(found, ErrNotFound) && s.st.next.drop:
		return nil
	case errors.Is(found, ErrNotFound):
		return ErrNotFound
	}
	return err
}

// endOld ends the session that is being replaced by heir, if it is still what
// was read.
func (s *Session) endOld(now time.Time, heir string) error {
	st, m := s.st, s.m
	switch {
	case st.next.drop:
		// Nothing of it is carried over, and it may have an heir by now.
		ctx := s.writeContext(s.ctx)
		defer ctx.release()
		return m.terminate(ctx, st.key, st.rec)
	case st.next.signIn || m.config.RenewGrace == 0:
		return s.delete(st.key, st.rec.raw)
	}
	t := st.rec.meta
	t.moved, t.heir = now.Add(m.config.RenewGrace).Truncate(time.Millisecond), heir
	rawMeta, err := t.encode()
	if err != nil {
		return err
	}
	moved := &record{cookie: st.rec.cookie}
	if err := m.encode(moved, st.key, st.rec.appendFields(nil), rawMeta, time.Time{}); err != nil {
		return err
	}
	return s.swap(st.key, st.rec.raw, moved.raw, t.moved)
}
