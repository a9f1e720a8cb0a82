// Package watch hands changes of records to those who watch a store: what
// [session.Watcher] asks, but for how the changes get from process to process.
package watch

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/pillboxgo/pillbox/session"
)

// maxPending bounds how many changes wait for a listener that is slow. With
// more it is told that anything may have changed, which says the same for less.
const maxPending = 1024

// A Hub has the listeners of a store. The zero Hub is ready for use, by any
// number of goroutines.
type Hub struct {
	listening atomic.Int64 // how many, so that nobody listening costs nothing
	mu        sync.Mutex
	listeners map[*listener]struct{}
}

// A listener is one call of Watch.
type listener struct {
	wake    chan struct{} // holds a token while anything is pending
	pending []string
	waits   map[string]bool // what is in pending
}

// Listening reports whether anybody watches.
func (h *Hub) Listening() bool { return h.listening.Load() > 0 }

// Tell tells of a change of the record under id. It never waits for a listener.
func (h *Hub) Tell(id string) {
	if h.Listening() {
		h.TellDigest(session.Digest(id))
	}
}

// TellDigest is Tell for who knows no more than the id's digest. The empty
// string tells that anything may have changed.
func (h *Hub) TellDigest(digest string) {
	if !h.Listening() {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.listeners {
		l.add(digest)
	}
}

// add notes a change, with the hub's lock held.
func (l *listener) add(digest string) {
	switch {
	case l.waits[""] || l.waits[digest]:
		return // it is said already
	case digest == "" || len(l.pending) == maxPending:
		digest = ""
		l.pending = nil
		clear(l.waits)
	}
	l.pending = append(l.pending, digest)
	l.waits[digest] = true
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Watch calls changed for what is told, beginning with the empty string, until
// ctx is done; it then returns ctx.Err(). The function may be slow, but delays
// nobody but itself.
func (h *Hub) Watch(ctx context.Context, changed func(digest string)) error {
	l := &listener{wake: make(chan struct{}, 1), waits: make(map[string]bool)}
	h.mu.Lock()
	if h.listeners == nil {
		h.listeners = make(map[*listener]struct{})
	}
	h.listeners[l] = struct{}{}
	h.listening.Add(1)
	l.add("")
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.listeners, l)
		h.listening.Add(-1)
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.wake:
		}
		h.mu.Lock()
		pending := l.pending
		l.pending = nil
		clear(l.waits)
		h.mu.Unlock()
		for _, digest := range pending {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			changed(digest)
		}
	}
}
