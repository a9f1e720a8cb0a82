package storetest

import (
	"context"

	"github.com/pillboxgo/pillbox/session"
)

// A listener is one call of Watch on a reference.
type listener struct {
	heard chan string
	by    *reference
}

// tell tells the listeners of a change, with the lock held.
func (m *reference) tell(id string) {
	digest := session.Digest(id)
	for i, l := range m.listeners {
		switch {
		case m.bug == "tells only its own listeners" && l.by != m:
		case m.bug == "tells the last listener alone" && i < len(m.listeners)-1:
		default:
			l.heard <- digest // it has room for a case's changes
		}
	}
}

func (m *reference) Watch(ctx context.Context, changed func(digest string)) error {
	l := &listener{heard: make(chan string, 1000), by: m}
	m.mu.Lock()
	m.listeners = append(m.listeners, l)
	m.mu.Unlock()
	if m.bug != "never says that it listens" {
		changed("")
	}
	for {
		select {
		case digest := <-l.heard:
			changed(digest)
		case <-ctx.Done():
			if m.bug == "ends a watch without the cause" {
				return nil
			}
			return ctx.Err()
		}
	}
}
