package redisstore

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pillboxgo/pillbox/store/internal/watch"
)

var errNoWatch = errors.New("nothing is told of changes: set Options.Watch, in every process")

// Watch implements [session.Watcher], through Redis's publish and subscribe. It
// returns at once with an error where Options.Watch is off, or where the store
// was made from a [Commander] that is no [Subscriber].
//
// It is also told of a [Store.Clear], with the empty string, and of a change
// that was forestalled by an error.
func (s *Store) Watch(ctx context.Context, changed func(digest string)) error {
	if s.channel == "" {
		return fail("watch sessions", errNoWatch)
	}
	if f, ok := s.engine.(foreign); ok {
		if _, ok := f.client.(Subscriber); !ok {
			return fail("watch sessions", errNoSubscriber)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var hub watch.Hub // keeps a slow listener from holding up the connection
	listens := make(chan struct{})
	go s.subscribe(ctx, &hub, sync.OnceFunc(func() { close(listens) }))
	select {
	case <-listens: // what is published from now on reaches the hub
		return hub.Watch(ctx, changed)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subscribe hands what is published to the hub until ctx is done, and calls
// listens when it has begun.
func (s *Store) subscribe(ctx context.Context, hub *watch.Hub, listens func()) {
	const digestLen = 64
	const shortest = 50 * time.Millisecond
	for pause := shortest; ctx.Err() == nil; pause = min(2*pause, time.Second) {
		var heard atomic.Bool // the client's own goroutines tell of messages
		// Its error is of no use: the listener is told that anything may
		// have changed as soon as there is a connection again.
		_ = s.engine.subscribe(ctx, s.channel, func(message string) {
			if len(message) != digestLen {
				message = ""
			}
			hub.TellDigest(message)
			listens()
			heard.Store(true)
		})
		if heard.Load() {
			pause = shortest
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
