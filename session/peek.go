package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Peek returns the session with this public id for looking at: unlike [Manager.Open]
// it never writes to the store of its own accord. A look is no use of the session,
// and leaves its idle timeout alone. It returns [ErrNotFound] if there is no such
// session. Where the id was renewed and its grace lasts, it returns the session
// that goes on, which has another public id. The session keeps ctx for all its work.
func (m *Manager) Peek(ctx context.Context, publicID string) (*Session, error) {
	key, rec, err := m.byPublicID(ctx, publicID)
	if err != nil {
		return nil, fmt.Errorf("pillbox: peek at session: %w", err)
	}
	s := &Session{m: m, ctx: ctx, peek: true, st: &state{loaded: true}}
	if err := s.adopt("", key, rec, time.Now()); err != nil {
		return nil, fmt.Errorf("pillbox: peek at session: %w", err)
	}
	return s, nil
}

// PeekRequest is [Manager.Peek] for the session whose cookie a request carries: for
// what a page does while nobody uses it, such as holding a stream open. It needs no
// [Manager.Handler] around it, sends no cookie, and returns [ErrNotFound] if the
// request has no live session. The session keeps ctx for all its work, so it may
// outlive the request.
func (m *Manager) PeekRequest(ctx context.Context, r *http.Request) (*Session, error) {
	s := &Session{m: m, ctx: ctx, peek: true, r: r}
	if err := s.load(); err != nil {
		return nil, err
	}
	if s.st.rec == nil {
		return nil, fmt.Errorf("pillbox: peek at session: %w", ErrNotFound)
	}
	s.r = nil // from here on it is as one that Peek returns
	return s, nil
}

// slide returns what loading the session is to do to its deadline.
func (s *Session) slide(now time.Time) Slide {
	if s.peek {
		return Slide{}
	}
	return s.m.slide(now)
}

// Digest returns what [Manager.Watch] calls the session, or "" if the visitor has
// none yet. It is of no use to somebody who overhears it. It changes with the id.
func (s *Session) Digest() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil || s.st.key == "" {
		return "", err
	}
	return Digest(s.st.key), nil
}

// Watch calls changed with the [Session.Digest] of each session that any process
// changes, as [Watcher] has it. It returns an error that wraps
// [errors.ErrUnsupported] if the store is no [Watcher].
func (m *Manager) Watch(ctx context.Context, changed func(digest string)) error {
	watcher, ok := m.store.(Watcher)
	if !ok {
		return fmt.Errorf("pillbox: watch sessions: store tells of no changes: %w", errors.ErrUnsupported)
	}
	if err := watcher.Watch(ctx, changed); err != nil {
		return fmt.Errorf("pillbox: watch sessions: %w", err)
	}
	return nil
}

// Subscribe has f told, after Config.Observe and under the same conditions, what
// happens to sessions in this process, until stop is called. An event that is being
// told meanwhile may still arrive after stop has returned.
func (m *Manager) Subscribe(f func(Event)) (stop func()) {
	s := &f
	m.subscribing.Lock()
	defer m.subscribing.Unlock()
	m.setSubscribers(append(slices.Clone(m.subscribed()), s))
	return func() {
		m.subscribing.Lock()
		defer m.subscribing.Unlock()
		m.setSubscribers(slices.DeleteFunc(slices.Clone(m.subscribed()), func(other *func(Event)) bool { return other == s }))
	}
}

// subscribed returns who is told of events. The list is never changed, only replaced.
func (m *Manager) subscribed() []*func(Event) {
	if all := m.subscribers.Load(); all != nil {
		return *all
	}
	return nil
}

func (m *Manager) setSubscribers(all []*func(Event)) { m.subscribers.Store(&all) }
