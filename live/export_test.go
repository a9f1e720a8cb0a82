package live

import "time"

// SetPatience changes how long h waits: for a client to read, for why a session
// is gone, and for a store that fails. Zero leaves a time as it is. It is to be
// called before the first stream.
func (h *Hub) SetPatience(write, reason, store time.Duration) {
	set := func(to *time.Duration, d time.Duration) {
		if d > 0 {
			*to = d
		}
	}
	set(&h.patience.write, write)
	set(&h.patience.reason, reason)
	set(&h.patience.store, store)
}

// Open returns how many sessions are followed, and how many streams they have.
func (h *Hub) Open() (sessions, streams int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.followers {
		streams += len(f.streams)
	}
	return len(h.followers), streams
}
