package session

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// load reads the session from the store, the first time that it is needed.
func (s *Session) load() error {
	st := s.use()
	if st.loaded {
		return st.err
	}
	if s.over {
		return fmt.Errorf("pillbox: load session: %w", ErrRequestOver)
	}
	st.loaded = true
	if s.r == nil {
		return nil
	}
	if c := &s.m.config.Cookie; c.Path != "/" && !c.covers(originalPath(s.r)) {
		st.err = fmt.Errorf("pillbox: use session: %w", ErrOutsidePath)
		return st.err
	}
	ids, looked := s.m.readCookies(s.r, st.room[:0])
	switch {
	case len(ids) > maxLive || looked > maxCandidates && len(ids) > 0:
		// Whoever can plant that many can hide the visitor's own among them.
		st.crowd = true
		for _, id := range ids {
			st.doomed = append(st.doomed, s.m.key(id))
		}
		s.m.emit(s.ctx, "", Event{Kind: EventAmbiguous})
		return nil
	case len(ids) > 1:
		return s.choose(ids)
	case len(ids) == 1:
		now := time.Now()
		return s.find(ids[0], now, s.slide(now))
	case looked > 0:
		s.m.emit(s.ctx, "", Event{Kind: EventForged})
	}
	return nil
}

// originalPath returns the path as the browser asked for it, undecoded and
// whatever a handler further out has stripped from it.
func originalPath(r *http.Request) string {
	target, _, _ := strings.Cut(r.RequestURI, "?")
	if _, rest, ok := strings.Cut(target, "://"); ok { // absolute form, RFC 9112 §3.2.2
		if _, path, ok := strings.Cut(rest, "/"); ok {
			return "/" + path
		}
		return "/"
	}
	if target == "" {
		return r.URL.EscapedPath()
	}
	return target
}

// find loads the session with this id, if it is live.
func (s *Session) find(id string, now time.Time, slide Slide) error {
	st := s.st
	key := s.m.key(id)
	err := s.look(&st.first, key, now, slide)
	switch {
	case err == nil:
		err = s.adopt(id, key, &st.first, now)
	case errors.Is(err, ErrNotFound):
		s.m.emit(s.ctx, key, Event{Kind: EventUnknown})
		err = nil
	case errors.Is(err, ErrDamaged):
		s.m.emit(s.ctx, key, Event{Kind: EventDamaged, Err: err})
		st.doomed, st.clearCookie = append(st.doomed, key), true
		err = nil
	}
	return s.loadFailed(err)
}

// look loads the session under key into rec, if it is live.
func (s *Session) look(rec *record, key string, now time.Time, slide Slide) error {
	err := s.fetch(rec, key, now, slide)
	if err == nil && !rec.meta.moved.IsZero() {
		// A renewed session is good for as long as its heir lives.
		ctx := s.readContext(now)
		defer ctx.release()
		_, _, err = s.m.follow(ctx, key, rec)
	}
	return err
}

// loadFailed remembers why the session could not be loaded, if it could not.
func (s *Session) loadFailed(err error) error {
	if err != nil {
		s.st.err = fmt.Errorf("pillbox: load session: %w", err)
		if s.ctx.Err() == nil { // not because the client has gone
			s.m.emit(s.ctx, "", Event{Kind: EventFailed, Err: s.st.err})
		}
	}
	return s.st.err
}

// maxLive bounds how many well-signed ids of one request are looked up.
const maxLive = 4

// choose finds the one live session among several ids. Where there are more,
// the request gets none: somebody may have planted a session of his own, and
// neither the order of cookies nor their age tells whose is whose.
func (s *Session) choose(ids []string) error {
	st := s.st
	now := time.Now()
	var chosen *record
	var id string
	keys := make([]string, len(ids))
	for i := range ids {
		keys[i] = s.m.key(ids[i])
	}
	for i, key := range keys {
		rec := new(record)
		err := s.look(rec, key, now, Slide{})
		switch {
		case err == nil && slices.Contains(keys, rec.meta.heir):
			// This session goes on under another of the ids.
		case err == nil:
			chosen, id = rec, ids[i]
			st.strays = append(st.strays, key)
		case errors.Is(err, ErrDamaged):
			s.m.emit(s.ctx, key, Event{Kind: EventDamaged, Err: err})
			st.doomed = append(st.doomed, key)
		case !errors.Is(err, ErrNotFound):
			return s.loadFailed(err)
		}
	}
	switch len(st.strays) {
	case 0:
		s.m.emit(s.ctx, "", Event{Kind: EventUnknown})
	case 1:
		key := st.strays[0]
		st.strays = nil
		return s.loadFailed(s.adopt(id, key, chosen, now))
	default:
		s.m.emit(s.ctx, "", Event{Kind: EventAmbiguous})
	}
	return nil
}

// adopt takes a live record as the request's session, and sees to its row: the
// Slide that went with loading it knows only the usual idle timeout.
func (s *Session) adopt(id, key string, rec *record, now time.Time) error {
	st := s.st
	st.id, st.key, st.rec, st.loadedAt = id, key, rec, now
	if s.peek {
		st.readOnly = !rec.meta.moved.IsZero()
		return nil
	}
	window := s.m.window(rec.maxAge)
	if st.readOnly = !rec.meta.moved.IsZero(); st.readOnly {
		window = rec.meta.moved.Sub(now)
	}
	rounding := time.Second // of stores that keep whole seconds
	if window < s.m.idle || st.readOnly {
		rounding = time.Millisecond // the Slide did more than that
	}
	left := rec.deadline.Sub(now)
	if left > window+rounding {
		// This session lives for a shorter time than the row was given. Put
		// that right before anything can keep the request from its commit.
		if err := s.shorten(now.Add(window)); err != nil {
			return err
		}
		left = rec.deadline.Sub(now)
	}
	if st.readOnly {
		return nil
	}
	st.sendCookie = st.sendCookie || s.m.config.Rolling
	st.rewrite = rec.stamped
	st.touch = left < window-max(s.m.config.TouchEvery, time.Millisecond) && rec.deadline.Before(s.m.limit(rec.meta))
	return nil
}

// shorten moves the row's deadline back, which only an Update does.
func (s *Session) shorten(deadline time.Time) error {
	rec := s.st.rec
	deadline = earlier(deadline, s.m.limit(rec.meta)).Truncate(time.Millisecond)
	err := s.swap(s.st.key, rec.raw, rec.raw, deadline)
	switch {
	case err == nil:
		rec.deadline = deadline
	case errors.Is(err, ErrConflict):
		err = nil // somebody wrote it just now, with a deadline of its own
	case errors.Is(err, ErrNotFound):
		s.st.ended = true
		err = nil
	}
	return err
}
