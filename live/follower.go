package live

import (
	"errors"
	"slices"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// A follower knows one session for all streams of it. The hub's lock guards it.
type follower struct {
	id      string // public
	digest  string
	last    state // as of the last look
	streams []*stream

	timer   *time.Timer
	lookAt  time.Time // when it fires; zero: never
	queued  bool
	looking bool
	again   bool // look once more

	warned  bool      // that the session is about to end
	revoked bool      // said to be; what the next look finds decides
	gone    time.Time // when it was found gone, while the reason is awaited
	failing time.Time // since when it cannot be looked at
	retry   time.Duration
	ended   bool // nobody follows it any more
}

// follow returns the follower of a session, a new one for the first stream.
func (h *Hub) follow(snap *snapshot) (f *follower, fresh bool) {
	if f := h.followers[snap.id]; f != nil {
		return f, false
	}
	f = &follower{id: snap.id, digest: snap.digest, last: snap.state}
	f.timer = time.AfterFunc(time.Hour, func() { h.fire(f) })
	h.followers[f.id] = f
	h.byDigest[f.digest] = f
	h.plan(f)
	return f, true
}

// forget ends the following of a session.
func (h *Hub) forget(f *follower) {
	f.ended = true
	f.timer.Stop()
	if h.followers[f.id] == f {
		delete(h.followers, f.id)
		delete(h.byDigest, f.digest)
	}
}

// lookBy has the session looked at no later than at.
func (h *Hub) lookBy(f *follower, at time.Time) {
	switch {
	case h.closed || f.ended || f.queued || !f.gone.IsZero():
	case f.looking:
		f.again = true
	case f.lookAt.IsZero() || at.Before(f.lookAt):
		f.lookAt = at
		f.timer.Reset(time.Until(at))
	}
}

// fire is called by the follower's timer.
func (h *Hub) fire(f *follower) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	switch {
	case h.closed || f.ended:
	case !f.gone.IsZero():
		h.lost(f, now)
	case f.lookAt.IsZero():
	case now.Before(f.lookAt): // it was put off while the timer fired
		f.timer.Reset(time.Until(f.lookAt))
	default:
		h.enqueue(f)
	}
}

// plan has the session looked at when its time comes.
func (h *Hub) plan(f *follower) {
	now := time.Now()
	warnAt := f.last.end.Add(-max(f.last.warn, 0))
	if now.Before(warnAt) {
		h.lookBy(f, warnAt)
		return
	}
	// Nobody tells of it if somebody uses the session now.
	next := now.Add(min(max(f.last.warn/4, 20*time.Millisecond), time.Second))
	if f.last.end.After(now) && f.last.end.Before(next) {
		next = f.last.end
	}
	h.lookBy(f, next)
}

// tell tells a follower of an event that may concern its session.
func (h *Hub) tell(f *follower, e session.Event) {
	if f.ended {
		return
	}
	switch e.Kind {
	case session.EventChanged:
		if e.PublicID == f.id {
			h.lookBy(f, time.Now().Add(gather))
		}
	case session.EventRenewed, session.EventSignedIn:
		if e.Previous == f.id {
			h.end(f, ending{renewed: true, signedIn: e.User != ""})
		}
	case session.EventDestroyed:
		if e.PublicID == f.id {
			h.end(f, ending{reason: "signed-out"})
		}
	case session.EventExpired:
		if e.PublicID == f.id {
			h.end(f, ending{reason: "expired"})
		}
	case session.EventRevoked:
		switch {
		case e.PublicID == f.id || e.PublicID == "" && !f.gone.IsZero() && f.mayBe(e):
			h.end(f, ending{reason: "revoked"})
		case e.PublicID == "" && f.mayBe(e):
			// Not for certain: the user may have signed in here since.
			f.revoked = true
			h.enqueue(f)
		}
	}
}

// mayBe reports whether the session is one of those of a user that were revoked.
func (f *follower) mayBe(e session.Event) bool {
	return e.User == f.last.user && e.User != "" && !slices.Contains(e.Spared, f.id)
}

// found is called with what a look has found.
func (h *Hub) found(f *follower, snap *snapshot, err error) {
	now := time.Now()
	switch {
	case errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrDamaged) || errors.Is(err, session.ErrEnded):
		f.again = false
		if f.revoked {
			h.end(f, ending{reason: "revoked"})
			return
		}
		if !now.Before(f.last.end) {
			h.lost(f, now)
			return
		}
		// Why comes from whoever ended it, who may be about to say so.
		f.gone = now
		f.timer.Reset(h.patience.reason)
		return
	case err != nil:
		h.failed(f, now, err)
		return
	case snap.id != f.id:
		h.end(f, ending{renewed: true, signedIn: snap.user != ""})
		return
	}
	f.revoked = f.revoked && f.again // it was said while this look was under way
	f.failing, f.retry = time.Time{}, 0
	before := f.last
	f.last = snap.state
	changed, moved := before.diff(snap), before.moved(&f.last)
	for _, st := range f.streams {
		changed, moved := changed, moved
		if st.base != nil { // it began with something else
			changed, moved = st.base.diff(snap), st.base.moved(&f.last)
			st.base = nil
		}
		st.change(changed, snap)
		if moved && (changed == nil || f.warned) { // a change tells of the limits as well
			st.limit(deadlineMoved, &f.last)
		}
	}
	f.warned = f.warned && !moved
	if f.last.warn > 0 && !f.warned && !now.Before(f.last.end.Add(-f.last.warn)) {
		f.warned = true
		for _, st := range f.streams {
			st.limit(expiring, &f.last)
		}
	}
	h.plan(f)
	if f.again {
		f.again = false
		h.lookBy(f, now.Add(gather))
	}
}

// lost ends the following of a session that is gone.
func (h *Hub) lost(f *follower, now time.Time) {
	reason := "unknown"
	if !now.Before(f.last.end) {
		reason = "expired"
	}
	h.end(f, ending{reason: reason})
}

// failed is called when a session could not be looked at.
func (h *Hub) failed(f *follower, now time.Time, err error) {
	f.again = false
	if f.failing.IsZero() {
		f.failing = now
	}
	if h.complained.IsZero() || now.Sub(h.complained) >= time.Minute { // as many may fail as are open
		h.complained = now
		h.config.Logger.Warn("pillbox: live: look at session", "error", err)
	}
	if now.Sub(f.failing) >= h.patience.store {
		for _, st := range f.streams {
			st.cut()
		}
		h.forget(f)
		return
	}
	f.retry = min(max(2*f.retry, 250*time.Millisecond), 5*time.Second)
	h.lookBy(f, now.Add(f.retry))
}

// end tells all streams how the session ended, and ends them.
func (h *Hub) end(f *follower, e ending) {
	for _, st := range f.streams {
		st.end(e)
	}
	h.forget(f)
}
