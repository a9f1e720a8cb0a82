package live

import (
	"context"
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

const (
	// gather is how long a look waits for more of what calls for it: most
	// changes are told twice, by this process and by the store.
	gather = 10 * time.Millisecond

	// maxLooks bounds how many looks are under way at a time, so that the
	// pages of an application do not take the store from its requests.
	maxLooks = 16

	// lookTimeout bounds a look where the Manager does not.
	lookTimeout = 10 * time.Second

	// rewatch is how long a store is polled that failed to be watched.
	rewatch = time.Minute
)

// A Hub serves streams of session changes. Make one with [New]; it is safe for
// concurrent use.
type Hub struct {
	manager *session.Manager
	config  Config
	idle    time.Duration // the policy's
	seed    maphash.Seed
	patience

	ctx    context.Context // until Close
	cancel context.CancelFunc
	work   sync.WaitGroup // what uses the store in the background
	stop   func()         // of the subscription

	polling bool // and the log says so; of the goroutine that watches

	mu         sync.Mutex // guards what follows, and all followers and streams
	started    bool
	closed     bool
	followers  map[string]*follower // by public id
	byDigest   map[string]*follower
	queue      []*follower // to be looked at
	lookers    int
	complained time.Time // in the log, about looks that fail
	recent     [256]note
	notes      uint64 // how many there have been
}

// patience is how long the hub waits for what may never come.
type patience struct {
	write  time.Duration // for a client to read
	reason time.Duration // for why a session is gone
	store  time.Duration // for a store that fails
}

// A note is something that was heard: an event of this process, or a digest
// from the store, "" being any.
type note struct {
	event   session.Event
	digest  string
	watched bool
}

// New returns a Hub for the manager's sessions, or an error that joins a
// [*session.ConfigError] for every field that is wrong. It uses the store from
// the first stream on.
func New(manager *session.Manager, config Config) (*Hub, error) {
	config, err := config.withDefaults()
	if manager == nil {
		err = errors.Join(errors.New("pillbox: live: manager is nil"), err)
	}
	if err != nil {
		return nil, err
	}
	h := &Hub{
		manager:   manager,
		config:    config,
		idle:      manager.Policy().IdleTimeout,
		seed:      maphash.MakeSeed(),
		patience:  patience{write: 10 * time.Second, reason: 150 * time.Millisecond, store: 30 * time.Second},
		followers: make(map[string]*follower),
		byDigest:  make(map[string]*follower),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, nil
}

// Close ends all streams at once and returns when the Hub no longer uses the
// store. Streams that are asked for afterwards are refused with status 503. It
// may be called more than once.
//
// [http.Server.Shutdown] waits for streams and does not end them: register Close
// with [http.Server.RegisterOnShutdown].
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	h.cancel()
	for _, f := range h.followers {
		f.timer.Stop()
	}
	stop := h.stop
	h.mu.Unlock()
	if stop != nil {
		stop()
	}
	h.work.Wait()
}

// start begins to listen, with the first stream.
func (h *Hub) start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.started || h.closed {
		return
	}
	h.started = true
	h.stop = h.manager.Subscribe(h.heard)
	h.work.Go(h.watch)
}

// watch has the store tell of changes until the hub is closed, and looks at all
// sessions now and then where it does not.
func (h *Hub) watch() {
	for h.ctx.Err() == nil {
		err := h.manager.Watch(h.ctx, h.watched)
		if h.ctx.Err() != nil {
			return
		}
		if !h.polling {
			h.polling = true
			const text = "pillbox: live: store does not tell of changes, so that open sessions are polled"
			if errors.Is(err, errors.ErrUnsupported) {
				h.config.Logger.Debug(text, "every", h.config.PollEvery)
			} else {
				h.config.Logger.Warn(text, "every", h.config.PollEvery, "error", err)
			}
		}
		h.poll(errors.Is(err, errors.ErrUnsupported))
	}
}

// poll looks at all sessions again and again: for ever, or until it is time to
// try the store's own way again.
func (h *Hub) poll(forever bool) {
	tick := time.NewTicker(h.config.PollEvery)
	defer tick.Stop()
	for until := time.Now().Add(rewatch); forever || time.Now().Before(until); {
		select {
		case <-h.ctx.Done():
			return
		case <-tick.C:
		}
		h.mu.Lock()
		for _, f := range h.followers {
			if f.failing.IsZero() && !f.looking { // else it is tried again in its own time
				h.enqueue(f)
			}
		}
		h.mu.Unlock()
	}
}

// note keeps what was heard, for streams that are just connecting.
func (h *Hub) note(n note) {
	h.recent[h.notes%uint64(len(h.recent))] = n
	h.notes++
}

// since calls f for what was heard since there were n notes. It reports whether
// that is all of it.
func (h *Hub) since(n uint64, f func(note)) bool {
	kept := uint64(len(h.recent))
	all := h.notes-n <= kept
	if !all {
		n = h.notes - kept
	}
	for ; n < h.notes; n++ {
		f(h.recent[n%kept])
	}
	return all
}

// watched is called with the digests of the sessions that change, wherever.
func (h *Hub) watched(digest string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note(note{digest: digest, watched: true})
	if digest != "" {
		if f := h.byDigest[digest]; f != nil {
			h.lookBy(f, time.Now().Add(gather))
		}
		return
	}
	// Anything may have changed. There is no hurry, and many may be open.
	spread := min(time.Duration(len(h.followers))*time.Millisecond, 5*time.Second)
	for _, f := range h.followers {
		h.lookBy(f, time.Now().Add(gather+rand.N(spread)))
	}
}

// heard is called with the events of this process, while a request waits.
func (h *Hub) heard(e session.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	id := e.PublicID
	switch e.Kind {
	case session.EventRenewed, session.EventSignedIn:
		id = e.Previous
	case session.EventRevoked, session.EventChanged, session.EventDestroyed, session.EventExpired:
	default:
		return
	}
	h.note(note{event: e})
	if f := h.followers[id]; f != nil {
		h.tell(f, e)
	} else if e.Kind == session.EventRevoked && id == "" {
		for _, f := range h.followers {
			h.tell(f, e)
		}
	}
}

// enqueue has a session looked at as soon as somebody is free to do so.
func (h *Hub) enqueue(f *follower) {
	switch {
	case h.closed || f.ended || f.queued || !f.gone.IsZero():
		return
	case f.looking:
		f.again = true
		return
	}
	f.queued = true
	h.queue = append(h.queue, f)
	if h.lookers < maxLooks {
		h.lookers++
		h.work.Go(h.look)
	}
}

// look looks at the sessions in the queue until it is empty.
func (h *Hub) look() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.queue) > 0 && !h.closed {
		f := h.queue[0]
		h.queue[0] = nil
		h.queue = h.queue[1:]
		f.queued = false
		if f.ended {
			continue
		}
		f.looking, f.lookAt = true, time.Time{}
		h.mu.Unlock()
		snap, err := h.peek(f.id)
		h.mu.Lock()
		f.looking = false
		if !f.ended && !h.closed {
			h.found(f, snap, err)
		}
	}
	h.lookers--
}
