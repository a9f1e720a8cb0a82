package live

import "time"

// The names of events that tell of the session's limits.
const (
	deadlineMoved = "deadline"
	expiring      = "expiring"
)

// An ending is how a stream ends.
type ending struct {
	renewed  bool
	signedIn bool   // where it was renewed
	reason   string // where it was not
}

// A stream is one open response. What it has yet to send is kept as what has
// become of the session meanwhile, so that a slow reader holds up nobody and
// costs no more than the session itself. The hub's lock guards it.
type stream struct {
	f    *follower
	base *state // what it began with, where the follower knows another state
	wake chan struct{}
	pending
}

// A pending is what a stream has yet to send, in this order.
type pending struct {
	first   *snapshot
	changed *change
	limited string // the kind of event, if any
	ended   *ending
	lost    bool // the stream is to be ended without a word

	idle, absolute time.Time // as they are by now
}

func newStream() *stream { return &stream{wake: make(chan struct{}, 1)} }

// take returns what there is to send.
func (h *Hub) take(st *stream) pending {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := st.pending
	st.pending = pending{idle: p.idle, absolute: p.absolute}
	return p
}

func (st *stream) signal() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

func (st *stream) begin(snap *snapshot) {
	st.first, st.idle, st.absolute = snap, snap.idle, snap.absolute
	st.signal()
}

func (st *stream) change(c *change, snap *snapshot) {
	st.idle, st.absolute = snap.idle, snap.absolute
	switch {
	case st.first != nil:
		st.first = snap
	case c != nil:
		st.changed = st.changed.then(c)
		st.signal()
	}
}

func (st *stream) limit(kind string, now *state) {
	st.limited, st.idle, st.absolute = kind, now.idle, now.absolute
	st.signal()
}

func (st *stream) end(e ending) {
	st.ended = &e
	st.signal()
}

func (st *stream) cut() {
	st.lost = true
	st.signal()
}
