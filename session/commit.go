package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// commit stores what the request has changed, if anything.
func (s *Session) commit() error {
	st := s.use()
	if st.ended {
		st.discard()
		return nil
	}
	wanted := len(st.changes) > 0 || st.next.on || st.lifetime != nil
	if !st.loaded && !wanted && !s.always() {
		return nil
	}
	if err := s.load(); err != nil {
		if wanted || s.always() && !errors.Is(err, ErrOutsidePath) {
			return err
		}
		return nil // the handler that asked has been told
	}
	var err error
	switch {
	case st.readOnly:
		if wanted {
			err = ErrReadOnly
		}
	case st.next.on:
		err = s.rotate()
	case st.rec == nil:
		err = s.begin(wanted)
	default:
		err = s.update()
	}
	if errors.Is(err, ErrNotFound) {
		st.ended, st.sendCookie = true, false
		if err = ErrEnded; !wanted {
			err = nil // what was only read needs no saving
		}
	}
	if err != nil {
		return fmt.Errorf("pillbox: save session: %w", err)
	}
	st.changes, st.lifetime = nil, nil
	st.touch, st.rewrite = false, false
	return nil
}

// always reports whether the configuration gives even a request that does not
// use its session something to do. A preflight never has anything to do.
func (s *Session) always() bool {
	return s.m.always && s.r != nil &&
		!(s.r.Method == http.MethodOptions && s.r.Header.Get("Access-Control-Request-Method") != "")
}

// reachable returns nil if a new id can be sent to the visitor, and else why not.
func (s *Session) reachable() error {
	if s.r == nil || s.sent || s.taken {
		return ErrTooLate
	}
	if s.st.crowd {
		return ErrManyCookies
	}
	return s.m.deliverable(s.r)
}

// begin stores a session for a visitor who has none.
func (s *Session) begin(wanted bool) error {
	st := s.st
	if !st.sets() && !(s.m.config.SaveUninitialized && s.always()) {
		return nil
	}
	err := s.reachable()
	if !wanted && (err != nil || s.m.strayed(s.r)) {
		return nil // nothing is lost
	}
	if err != nil {
		return err
	}
	id, key, err := s.createFrom(nil, &st.first)
	if err != nil {
		return err
	}
	s.replace(id, key, &st.first)
	s.m.emit(s.ctx, key, Event{Kind: EventCreated})
	return nil
}

// createFrom stores a session under a new id, and fills in rec. It goes on from
// old, or begins anew where that is nil.
func (s *Session) createFrom(old, rec *record) (id, key string, err error) {
	for range 3 {
		now := time.Now()
		if id, err = s.m.newID(s.r); err != nil {
			return "", "", err
		}
		key = s.m.key(id)
		if err = s.next(key, old, rec, now); err != nil {
			return "", "", err
		}
		var owner Owner
		if rec.meta.user != "" {
			owner = Owner{
				User: rec.meta.user, AsOf: s.asOf(now),
				Max: s.m.config.MaxPerUser, Reject: s.m.config.RejectOverMax,
			}
			if old != nil && old.meta.user == owner.User {
				owner.Replaces = s.st.key
			}
			if !s.st.next.signIn {
				owner.Max = 0 // there are as many sessions afterwards as before
			}
		}
		err = s.create(key, Record{Data: rec.raw, Deadline: rec.deadline, Owner: owner})
		switch {
		case errors.Is(err, ErrExists):
			continue // two ids are the same: chance, or a bad GenerateID
		case err != nil && !errors.Is(err, ErrRevoked) && !errors.Is(err, ErrTooManySessions):
			s.abandon(key) // it may be there: the store's answer may have been lost
		}
		return id, key, err
	}
	return "", "", errors.New("three new ids in a row were taken: is Config.GenerateID random?")
}

// abandon deletes a record whose id nobody has learnt. Its deadline is the
// safety net where that fails.
func (s *Session) abandon(key string) {
	ctx, cancel := s.aftermath()
	defer cancel()
	_ = s.m.store.Delete(ctx, key, nil)
}

// aftermath returns the context for the last call of a request that has failed
// already. It does not stop at the request's own deadline, which may be what has
// gone wrong.
func (s *Session) aftermath() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(s.ctx), time.Second)
}

// replace makes a new session the request's own, and ends what it replaces.
func (s *Session) replace(id, key string, rec *record) {
	st := s.st
	st.id, st.key, st.rec = id, key, rec
	st.sendCookie, st.fresh = true, true
	for _, stray := range st.strays {
		// These came along in further cookies and would go on competing.
		if err := s.endOther(stray); err != nil {
			s.m.emit(s.ctx, stray, Event{Kind: EventFailed, Err: err})
		}
	}
	st.strays = nil
}

// asOf returns the last moment at which the user is known not to have been
// revoked: for a sign-in, before the handler looked at the password.
func (s *Session) asOf(now time.Time) time.Time {
	switch {
	case s.st.next.signIn:
		return now.Add(s.began - now.Sub(clock))
	case !s.st.loadedAt.IsZero():
		return s.st.loadedAt
	}
	return now
}

// next makes of rec the record that the session is to have under key, going on
// from old, which is another one or nil.
func (s *Session) next(key string, old, rec *record, now time.Time) error {
	st := s.st
	*rec = record{meta: meta{created: now.Truncate(time.Millisecond)}}
	var room [8]field
	fields := room[:0]
	if old != nil && !st.next.drop {
		rec.cookie, rec.maxAge, rec.meta = old.cookie, old.maxAge, old.meta
	} else {
		encrypted := s.r != nil && s.m.encrypted(s.r)
		rec.cookie, rec.maxAge = s.m.cookies[encrypted], s.m.config.Cookie.MaxAge
		fields = append(fields, field{name: cookieName, value: rec.cookie}, field{name: metaName})
	}
	fields = st.merge(fields)
	if st.next.signIn {
		rec.meta = meta{created: now.Truncate(time.Millisecond), user: st.next.user, signedIn: now.Truncate(time.Millisecond)}
	}
	if st.lifetime != nil {
		var err error
		if rec.cookie, err = withMaxAge(rec.cookie, *st.lifetime); err != nil {
			return err
		}
		rec.maxAge = *st.lifetime
		fields = replace(fields, cookieKey, rec.cookie)
	}
	var err error
	var rawMeta []byte
	if old == nil || old.stamped || st.next.on {
		if rawMeta, err = rec.meta.encode(); err != nil {
			return err
		}
	}
	if rec.deadline = s.m.deadline(rec.meta, rec.maxAge, now); !now.Before(rec.deadline) {
		return ErrNotFound // its absolute limit has passed under this request
	}
	switch err = s.m.encode(rec, key, fields, rawMeta, s.m.expires(rec.meta, rec.maxAge, now)); {
	case err != nil:
	case old == nil:
		err = s.m.fits(rec.raw, nil)
	case len(rec.raw) > len(old.raw) && len(st.modified()) > 0: // not what only marks an Express session
		err = s.m.fits(rec.raw, old.raw)
	}
	return err
}

// update stores the changes to a session that there is.
func (s *Session) update() error {
	d, err := s.compose()
	if err != nil {
		return err
	}
	if d.rec == nil {
		return s.prolong()
	}
	if !s.m.lines.busy(s.st.key) {
		err = s.swap(s.st.key, d.from.raw, d.rec.raw, d.rec.deadline)
		if err == nil {
			s.stored(d)
		}
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return s.contend()
}

// prolong moves the deadline of a session that is not changed, if it is due.
func (s *Session) prolong() error {
	rec := s.st.rec
	if !s.st.touch {
		return nil
	}
	rec.deadline = s.m.deadline(rec.meta, rec.maxAge, time.Now())
	return s.touch(s.st.key, rec.deadline)
}

// stored notes that a draft is in the store.
func (s *Session) stored(d draft) {
	st := s.st
	st.rec = d.rec
	if st.lifetime != nil || len(d.modified) > 0 && d.rec.maxAge > 0 {
		st.sendCookie = true // the browser's copy lives on as well
	}
	if len(d.modified) > 0 {
		s.m.emit(s.ctx, st.key, Event{Kind: EventChanged, User: d.rec.meta.user, Keys: d.modified})
	}
}

// The calls of the store, each with its own time.

func (s *Session) fetch(rec *record, key string, now time.Time, slide Slide) error {
	ctx := s.readContext(now)
	defer ctx.release()
	return s.m.fetch(ctx, rec, key, now, slide)
}

// writeContext returns the context for a call that writes. It outlives a request
// whose client has gone: a visitor who signs out and closes the page is signed
// out.
func (s *Session) writeContext(parent context.Context) *callContext {
	ctx := &s.st.workroom().call
	if ctx.used() {
		ctx = new(callContext)
	}
	ctx.start(s.m, parent, true, time.Now())
	return ctx
}

// readContext returns the context for a call that reads. Most requests make one,
// so there is room for it in the state.
func (s *Session) readContext(now time.Time) *callContext {
	ctx := &s.st.reading
	if ctx.used() {
		ctx = new(callContext)
	}
	ctx.start(s.m, s.ctx, false, now)
	return ctx
}

func (s *Session) create(key string, rec Record) error {
	ctx := s.writeContext(s.ctx)
	defer ctx.release()
	return s.m.store.Create(ctx, key, rec)
}

func (s *Session) swap(key string, old, data []byte, deadline time.Time) error {
	ctx := s.writeContext(s.ctx)
	defer ctx.release()
	return s.m.store.Update(ctx, key, old, data, deadline)
}

func (s *Session) touch(key string, deadline time.Time) error {
	ctx := s.writeContext(s.ctx)
	defer ctx.release()
	return s.m.store.Touch(ctx, key, deadline)
}

func (s *Session) delete(key string, old []byte) error {
	ctx := s.writeContext(s.ctx)
	defer ctx.release()
	return s.m.store.Delete(ctx, key, old)
}
