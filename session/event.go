package session

import (
	"context"
	"errors"
	"hash/maphash"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// An EventKind says what happened to a session.
type EventKind int

// What happens to sessions.
const (
	// EventCreated: a visitor got a session.
	EventCreated EventKind = iota + 1

	// EventChanged: data changed; Event.Keys says which.
	EventChanged

	// EventRenewed: the session goes on under another id. Event.Previous is
	// the public id it had.
	EventRenewed

	// EventSignedIn: a user signed in, under a new id.
	EventSignedIn

	// EventDestroyed: the session was ended in a request of its own: signed
	// out of, for one.
	EventDestroyed

	// EventRevoked: the session was ended by a call of the Manager. Where a
	// user's sessions were ended, Event.PublicID is empty, Event.User says
	// whose, and Event.Spared has the public ids of those that go on.
	EventRevoked

	// EventExpired: a request carried a session whose absolute or idle limit
	// has passed though the store still had it.
	EventExpired

	// EventUnknown: a request carried a well-signed id that the store does
	// not know. It expired, was ended, or the store was emptied.
	EventUnknown

	// EventForged: a request carried a cookie of our name without a good
	// signature: damaged, made up, signed with a secret that is gone, or
	// another application's.
	EventForged

	// EventAmbiguous: a request carried several live sessions. None was used,
	// since their order is no proof of whose they are.
	EventAmbiguous

	// EventDamaged: what the store has is no session. The visitor's cookie
	// is cleared. Event.Err says what is wrong. It is emitted once for each
	// session, as far as the last thousand of a process go.
	EventDamaged

	// EventFailed: a session could not be loaded, or a change not be
	// committed. Event.Err says why.
	EventFailed
)

var eventNames = [...]string{
	EventCreated: "created", EventChanged: "changed", EventRenewed: "renewed",
	EventSignedIn: "signed in", EventDestroyed: "destroyed", EventRevoked: "revoked", EventExpired: "expired",
	EventUnknown: "unknown", EventForged: "forged", EventAmbiguous: "ambiguous",
	EventDamaged: "damaged", EventFailed: "failed",
}

// String returns the kind in words.
func (k EventKind) String() string {
	if k > 0 && int(k) < len(eventNames) {
		return eventNames[k]
	}
	return "unknown kind"
}

// An Event is something that happened to a session. It holds no id, cookie or
// data.
type Event struct {
	Kind     EventKind // what happened
	PublicID string    // empty where there is no session
	Previous string    // the public id before, for EventRenewed and EventSignedIn
	User     string    // who is signed in; empty for nobody
	Keys     []string  // for EventChanged: the keys that changed
	Spared   []string  // for EventRevoked of a user's sessions: the public ids that go on
	Err      error     // for EventDamaged and EventFailed
}

// level returns how loudly an event is logged. What any client can bring about as
// often as it likes is for debugging: louder, it would fill the log.
func (m *Manager) level(kind EventKind, err error) slog.Level {
	switch {
	case kind == EventDamaged:
		return slog.LevelWarn
	case kind != EventFailed || Status(err) < http.StatusInternalServerError:
		return slog.LevelDebug
	case errors.Is(err, ErrInsecureRequest) && !m.insecure.due(time.Minute):
		return slog.LevelDebug // a mistake in the configuration, said once a minute
	}
	return slog.LevelError
}

// A throttle lets something through now and then. Its zero value is ready.
type throttle struct{ last atomic.Int64 }

// due reports whether the last time is at least this long ago, and if so, makes
// it now.
func (t *throttle) due(every time.Duration) bool {
	last, now := t.last.Load(), int64(time.Since(clock))
	return (last == 0 || now-last >= int64(every)) && t.last.CompareAndSwap(last, now)
}

// watched reports whether anybody hears of a session's ordinary life; if not, an
// event need not be put together.
func (m *Manager) watched(ctx context.Context) bool {
	return m.heard() || m.logger().Enabled(ctx, slog.LevelDebug)
}

// heard reports whether any function is told of events.
func (m *Manager) heard() bool { return m.config.Observe != nil || len(m.subscribed()) > 0 }

func (m *Manager) logger() *slog.Logger {
	if m.config.Logger != nil {
		return m.config.Logger
	}
	return slog.Default()
}

// emit tells the log and the observer about an event of the session under key.
func (m *Manager) emit(ctx context.Context, key string, e Event) {
	if e.Kind == EventDamaged && !m.damaged.first(maphash.String(m.seed, key)) {
		return
	}
	level := slog.LevelDebug
	if e.Kind == EventFailed || e.Kind == EventDamaged {
		level = m.level(e.Kind, e.Err)
	}
	if !m.heard() && !m.logger().Enabled(ctx, level) {
		return
	}
	e.PublicID = m.publicIDs.encode(key)
	e.Keys, e.Spared = slices.Clone(e.Keys), slices.Clone(e.Spared) // who is told may keep them
	attrs := make([]slog.Attr, 0, 4)
	if e.PublicID != "" {
		attrs = append(attrs, slog.String("session", e.PublicID))
	}
	if e.Previous != "" {
		attrs = append(attrs, slog.String("previous", e.Previous))
	}
	if len(e.Keys) > 0 {
		attrs = append(attrs, slog.Any("keys", e.Keys))
	}
	if e.Err != nil {
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	}
	m.logger().LogAttrs(ctx, level, "pillbox: session "+e.Kind.String(), attrs...)
	if m.config.Observe != nil {
		m.config.Observe(e)
	}
	for _, f := range m.subscribed() {
		(*f)(e)
	}
}
