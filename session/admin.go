package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Info is what the server knows of a session beside its data.
type Info struct {
	// PublicID names the session in lists and in [Manager.Revoke].
	PublicID string

	// User is who is signed in, or "" for nobody.
	User string

	// Created is when the session began, or was last signed in to.
	Created time.Time

	// SignedIn is when the user signed in, or zero for nobody.
	SignedIn time.Time

	// LastUsed is when a request used the session last, or up to
	// Config.TouchEvery before that. It is earlier by more only where
	// AbsoluteDeadline is nearer than the idle timeout.
	LastUsed time.Time

	// IdleDeadline is when the session ends if no request uses it.
	IdleDeadline time.Time

	// AbsoluteDeadline is when the session ends whatever its use; zero means
	// never.
	AbsoluteDeadline time.Time

	// Bytes is the size of the session as stored.
	Bytes int
}

func (m *Manager) info(key string, rec *record) Info {
	i := Info{
		PublicID:     m.publicIDs.encode(key),
		User:         rec.meta.user,
		Created:      rec.meta.created,
		SignedIn:     rec.meta.signedIn,
		LastUsed:     earlier(rec.deadline.Add(-m.window(rec.maxAge)), time.Now()),
		IdleDeadline: earlier(rec.deadline, m.limit(rec.meta)),
		Bytes:        len(rec.raw),
	}
	if m.config.AbsoluteTimeout > 0 {
		i.AbsoluteDeadline = m.limit(rec.meta)
	}
	return i
}

// Policy is what a Manager enforces, for a page or a log line that reports it
// (OWASP ASVS 5.0 §7.1.1).
type Policy struct {
	CookieName      string        // as browsers have it
	IdleTimeout     time.Duration // of a session without a lifetime of its own
	AbsoluteTimeout time.Duration // zero: none
	MaxPerUser      int           // zero: no bound
	HashedIDs       bool          // the store sees only the SHA-256 of ids
	Sealed          bool          // the store sees only encrypted data
}

// Policy returns what the Manager enforces.
func (m *Manager) Policy() Policy {
	return Policy{
		CookieName:      m.config.Cookie.Name,
		IdleTimeout:     m.idle,
		AbsoluteTimeout: m.config.AbsoluteTimeout,
		MaxPerUser:      m.config.MaxPerUser,
		HashedIDs:       m.config.HashIDs,
		Sealed:          m.sealer != nil,
	}
}

// Open returns the session with this public id outside of a request: for a
// WebSocket, a job, or an administrator. What it changes is committed by Save
// and by Update only. It returns [ErrNotFound] if there is no such session. The
// session keeps ctx for all its work.
//
// A session without its request can send no cookie, so its id cannot change: SignIn,
// Renew and Regenerate return [ErrTooLate].
func (m *Manager) Open(ctx context.Context, publicID string) (*Session, error) {
	key, rec, err := m.byPublicID(ctx, publicID)
	if err != nil {
		return nil, fmt.Errorf("pillbox: open session: %w", err)
	}
	s := &Session{m: m, ctx: ctx, st: &state{loaded: true}}
	if err := s.adopt("", key, rec, time.Now()); err != nil {
		return nil, fmt.Errorf("pillbox: open session: %w", err)
	}
	return s, nil
}

func (m *Manager) byPublicID(ctx context.Context, publicID string) (key string, rec *record, err error) {
	key, ok := m.publicIDs.decode(publicID)
	if !ok {
		return "", nil, ErrNotFound
	}
	ctx, cancel := m.within(ctx)
	defer cancel()
	rec = new(record)
	if err := m.fetch(ctx, rec, key, time.Now(), Slide{}); err != nil {
		return key, nil, err
	}
	return m.follow(ctx, key, rec)
}

// within returns the context for an operation outside of a request.
func (m *Manager) within(ctx context.Context) (context.Context, context.CancelFunc) {
	if m.config.StoreTimeout < 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, m.config.StoreTimeout)
}

// Sessions returns the user's live sessions, oldest first. It needs a store
// that implements [UserIndex], and else returns an error that wraps
// [errors.ErrUnsupported].
func (m *Manager) Sessions(ctx context.Context, user string) ([]Info, error) {
	index, err := m.index()
	if err != nil {
		return nil, fmt.Errorf("pillbox: list sessions: %w", err)
	}
	ctx, cancel := m.within(ctx)
	defer cancel()
	keys, err := index.UserIDs(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("pillbox: list sessions: %w", err)
	}
	var infos []Info
	now := time.Now()
	for _, key := range keys {
		rec := new(record)
		err := m.fetch(ctx, rec, key, now, Slide{})
		switch {
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrDamaged):
			continue
		case err != nil:
			return nil, fmt.Errorf("pillbox: list sessions: %w", err)
		}
		// The index may lag behind; the record itself says whose it is.
		if rec.meta.user == user && rec.meta.moved.IsZero() {
			infos = append(infos, m.info(key, rec))
		}
	}
	return infos, nil
}

// Revoke ends the session with this public id: for an administrator. It returns
// [ErrNotFound] if there is no such session.
func (m *Manager) Revoke(ctx context.Context, publicID string) error {
	return m.revoke(ctx, publicID, func(*record) bool { return true })
}

// RevokeOf ends the session with this public id if it is the user's: for a page
// on which users end their own sessions. It returns [ErrNotFound] for anybody
// else's, as for none.
func (m *Manager) RevokeOf(ctx context.Context, user, publicID string) error {
	return m.revoke(ctx, publicID, func(rec *record) bool { return user != "" && rec.meta.user == user })
}

func (m *Manager) revoke(ctx context.Context, publicID string, allowed func(*record) bool) error {
	key, rec, err := m.byPublicID(ctx, publicID)
	damaged := errors.Is(err, ErrDamaged)
	if damaged {
		rec, err = &record{}, nil // nobody's, but an administrator can end it
	}
	if err == nil && !allowed(rec) {
		err = ErrNotFound
	}
	within, cancel := m.within(ctx)
	defer cancel()
	switch {
	case err != nil:
	case damaged:
		err = m.store.Delete(within, key, nil)
	default:
		err = m.terminate(within, key, rec)
	}
	if err != nil {
		return fmt.Errorf("pillbox: revoke session: %w", err)
	}
	m.emit(ctx, key, Event{Kind: EventRevoked, User: rec.meta.user})
	return nil
}

// RevokeUser ends all of the user's sessions but those with these public ids,
// and returns how many it ended. A sign-in that is under way meanwhile is
// refused. It needs a store that implements [UserIndex], and else returns an
// error that wraps [errors.ErrUnsupported]. Where several machines serve the
// application, their clocks decide what was under way.
func (m *Manager) RevokeUser(ctx context.Context, user string, except ...string) (int, error) {
	index, err := m.index()
	if err != nil {
		return 0, fmt.Errorf("pillbox: revoke user: %w", err)
	}
	var spared []string
	for _, publicID := range except {
		key, ok := m.publicIDs.decode(publicID)
		if !ok {
			return 0, fmt.Errorf("pillbox: revoke user: except: %w", ErrNotFound)
		}
		spared = append(spared, key)
	}
	within, cancel := m.within(ctx)
	defer cancel()
	for _, key := range spared { // under their new ids too, in a grace
		rec := new(record)
		if m.config.RenewGrace > 0 && m.fetch(within, rec, key, time.Now(), Slide{}) == nil {
			if heir, _, err := m.follow(within, key, rec); err == nil && heir != key {
				spared = append(spared, heir)
			}
		}
	}
	n, err := index.RevokeUser(within, user, time.Now(), spared...)
	if err != nil {
		return n, fmt.Errorf("pillbox: revoke user: %w", err)
	}
	m.emit(ctx, "", Event{Kind: EventRevoked, User: user, Spared: m.publicNames(spared)})
	return n, nil
}

// publicNames returns the public ids of the sessions under keys.
func (m *Manager) publicNames(keys []string) []string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = m.publicIDs.encode(key)
	}
	return names
}

func (m *Manager) index() (UserIndex, error) {
	index, ok := m.store.(UserIndex)
	if !ok {
		return nil, fmt.Errorf("store has no index by user: %w", errors.ErrUnsupported)
	}
	return index, nil
}
