package session

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Save commits now what would be committed with the response: for a handler
// that wants to answer a failure itself, or that goes on for long. What could
// not be saved is dropped, and not tried again with the response.
func (s *Session) Save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return fmt.Errorf("pillbox: save session: %w", ErrRequestOver)
	}
	err := s.commit()
	if err != nil {
		s.report(s.st.key, err)
		s.st.discard()
	}
	return err
}

// discard forgets what the request has changed but not committed.
func (st *state) discard() {
	st.changes, st.lifetime, st.next = nil, nil, rotation{}
}

// Reload drops what this request has changed but not committed, and reads the
// session again. It returns [ErrEnded] if the session is gone.
func (s *Session) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return err
	}
	st := s.st
	if st.ended {
		return s.ended("reload")
	}
	st.discard()
	if st.rec == nil {
		return nil
	}
	now := time.Now()
	rec := new(record)
	err := s.look(rec, st.key, now, s.slide(now))
	switch {
	case errors.Is(err, ErrNotFound):
		st.ended = true
		return s.ended("reload")
	case err != nil:
		return fmt.Errorf("pillbox: reload session: %w", err)
	}
	return s.adopt(st.id, st.key, rec, now)
}

// Touch renews the session's idle timeout with this request, whatever
// Config.TouchEvery says, and the cookie's with it.
func (s *Session) Touch() error {
	return s.plan("touch", func(st *state) {
		if st.rec != nil {
			st.touch = true
			st.sendCookie = st.sendCookie || st.rec.maxAge > 0
		}
	})
}

// MaxAge returns the session's own lifetime in the browser, which is also its
// idle timeout as far as Config.IdleTimeout allows: Config.Cookie.MaxAge, or
// what SetMaxAge or an Express application has made of it. Zero means until the
// browser closes.
func (s *Session) MaxAge() (time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return 0, err
	}
	st := s.st
	switch {
	case st.lifetime != nil:
		return *st.lifetime, nil
	case st.rec != nil && !st.next.drop:
		return st.rec.maxAge, nil
	}
	return s.m.config.Cookie.MaxAge, nil
}

// SetMaxAge gives this session a lifetime of its own: for "remember me". It is
// a change like any other, stored and sent with the response. It is bounded by
// Config.AbsoluteTimeout, 24 hours by default, and by an IdleTimeout that is set:
// to remember somebody for 30 days, set AbsoluteTimeout to 30 days too. Zero ends
// the session with the browser, and then Config's idle timeout applies. A visitor
// without a session gets none by this alone.
func (s *Session) SetMaxAge(d time.Duration) error {
	if d < 0 || d > maxCookieAge || d%time.Millisecond != 0 {
		return fmt.Errorf("pillbox: set max age: %v: want whole milliseconds from 0 to 400 days", d)
	}
	return s.plan("change", func(st *state) {
		st.lifetime = &d
	})
}

// Destroy ends the session in the store, at once, and clears the visitor's
// cookie. Once it has returned nil, nothing that carries the id can be read or
// written any more, by no request that is under way either. Using the session
// afterwards gives [ErrEnded]. Without a session it does nothing.
func (s *Session) Destroy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.end("destroy"); err != nil {
		return err
	}
	s.st.ended = true
	return nil
}

// SignOut ends the session like Destroy; the visitor goes on as a new one. What
// the handler sets afterwards, such as a flash message, begins a new session.
func (s *Session) SignOut() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end("sign out of")
}

// Unset parts the request from its session: what the request changed is
// dropped, and what is stored is kept or destroyed as Config.Unset says.
func (s *Session) Unset() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m.config.Unset == UnsetDestroy {
		if err := s.end("unset"); err != nil {
			return err
		}
	}
	st := s.use()
	st.discard()
	st.loaded, st.ended = true, true
	// A cookie whose id the visitor lacks must still go out: it is all that
	// is left of a session that was renewed and saved before.
	st.sendCookie = st.fresh
	return nil
}

// end ends the session, and every other one that came with the request.
func (s *Session) end(verb string) error {
	st := s.use()
	if st.ended {
		return nil
	}
	loadErr := s.load()
	if errors.Is(loadErr, ErrOutsidePath) || loadErr != nil && s.m.config.RenewGrace > 0 {
		return loadErr // in a grace, what is to be ended is known only once it is read
	}
	others := slices.Concat(st.strays, st.doomed)
	if loadErr != nil && s.r != nil {
		// A store that fails to load may yet delete.
		ids, _ := s.m.readCookies(s.r, nil)
		for _, id := range ids {
			others = append(others, s.m.key(id))
		}
	}
	var err error
	if st.rec != nil {
		ctx := s.writeContext(s.ctx)
		defer ctx.release()
		err = s.m.terminate(ctx, st.key, st.rec)
	}
	if err == nil && st.rec != nil {
		s.m.emit(s.ctx, st.key, Event{Kind: EventDestroyed, User: st.rec.meta.user})
	}
	for _, key := range others {
		if err != nil {
			break
		}
		if err = s.endOther(key); err == nil {
			s.m.emit(s.ctx, key, Event{Kind: EventDestroyed})
		}
	}
	if err != nil {
		return fmt.Errorf("pillbox: %s session: %w", verb, err)
	}
	// A new state, since the store may still look at the contexts in the old.
	s.st = &state{loaded: true, clearCookie: st.clearCookie || st.rec != nil || len(others) > 0}
	return nil
}

// endOther ends what another cookie of the request stands for.
func (s *Session) endOther(key string) error {
	if s.m.config.RenewGrace > 0 {
		rec := new(record)
		if s.fetch(rec, key, time.Now(), Slide{}) == nil {
			ctx := s.writeContext(s.ctx)
			defer ctx.release()
			return s.m.terminate(ctx, key, rec)
		}
	}
	return s.delete(key, nil)
}
