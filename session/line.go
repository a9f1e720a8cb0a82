package session

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// Requests of one process that contend for a session stand in line for it. Whose
// turn it is lets those behind it add their changes to its own, and stores them
// all in one write: n requests cost a few writes, and neither n nor n².

// lines are the lines for all sessions that are contended for.
type lines struct {
	seed   maphash.Seed
	shards [64]lineShard
}

type lineShard struct {
	mu sync.Mutex
	// For each session that somebody has the turn for, who waits. A nil
	// slice: nobody.
	waiting map[string][]*waiter
}

// A waiter is a request in a line.
type waiter struct {
	shard *lineShard
	key   string
	joins bool // others may store its changes with their own
	mine  bool // it has the turn, and knows

	// offers gets what the waiter may join, or nil for the turn. Sent to
	// under shard.mu, and the later takes the place of the earlier.
	offers chan *offer
}

// An offer is made by whoever has the turn to who is next in the line.
type offer struct {
	from    *record       // what the waiter may go on from; it is not stored yet
	answer  chan *record  // takes what it has made of that; nil: nothing, go on without
	closed  chan struct{} // closed when it is too late to answer
	outcome chan error    // tells whoever has answered what became of the write
}

// gathering bounds how long a write is held up for those who may join it. What
// their changes compute may take any time; who is late stays first in the line.
const gathering = time.Millisecond

func newLines() *lines {
	l := &lines{seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].waiting = make(map[string][]*waiter)
	}
	return l
}

func (l *lines) shard(key string) *lineShard {
	return &l.shards[maphash.String(l.seed, key)%uint64(len(l.shards))]
}

// busy reports whether somebody has the turn for the session under key.
func (l *lines) busy(key string) bool {
	shard := l.shard(key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	_, busy := shard.waiting[key]
	return busy
}

// stand adds a request to the line for the session under key. It must leave.
func (l *lines) stand(key string, joins bool) *waiter {
	w := &waiter{shard: l.shard(key), key: key, joins: joins, offers: make(chan *offer, 1)}
	w.shard.mu.Lock()
	defer w.shard.mu.Unlock()
	line, busy := w.shard.waiting[key]
	if busy {
		line = append(line, w)
	} else {
		w.send(nil)
	}
	w.shard.waiting[key] = line
	return w
}

// send puts an offer, or with nil the turn, before w. The shard is locked.
func (w *waiter) send(o *offer) {
	select {
	case <-w.offers: // it is over, or was made before a turn that failed
	default:
	}
	w.offers <- o
}

// wait returns an offer, or nil when it is w's turn.
func (w *waiter) wait(ctx context.Context) (*offer, error) {
	select {
	case o := <-w.offers:
		w.mine = o == nil
		return o, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// leave takes w out of the line. If it had the turn, the next one gets it.
func (w *waiter) leave() {
	w.shard.mu.Lock()
	w.remove()
	select {
	case o := <-w.offers:
		w.mine = o == nil
		if o != nil {
			defer o.decline()
		}
	default:
	}
	if w.mine {
		if line := w.shard.waiting[w.key]; len(line) > 0 {
			w.shard.waiting[w.key] = line[1:]
			line[0].send(nil)
		} else {
			delete(w.shard.waiting, w.key)
		}
	}
	w.shard.mu.Unlock()
}

// remove takes w out of the line, if it is still in there. The shard is locked.
func (w *waiter) remove() {
	line := w.shard.waiting[w.key]
	switch i := slices.Index(line, w); i {
	case -1:
	case 0:
		w.shard.waiting[w.key] = line[1:]
	default:
		w.shard.waiting[w.key] = slices.Delete(line, i, i+1)
	}
}

// accept answers with what is to be stored, and reports whether it will be.
func (o *offer) accept(rec *record) bool {
	select {
	case o.answer <- rec:
		return true
	case <-o.closed:
		return false
	}
}

// decline has the others go on without.
func (o *offer) decline() { o.accept(nil) }

// over reports whether it is too late to answer.
func (o *offer) over() bool {
	select {
	case <-o.closed:
		return true
	default:
		return false
	}
}

// A guest is a waiter whose changes are part of another's write.
type guest struct {
	*waiter
	outcome chan<- error
}

// gather has those who wait behind w, one after the other, go on from rec, and
// returns the record with everybody's changes. Each guest must be told the outcome.
func (w *waiter) gather(rec *record) (*record, []guest) {
	next := w.next()
	if next == nil {
		return rec, nil
	}
	timer := time.NewTimer(gathering)
	defer timer.Stop()
	answer, closed := make(chan *record), make(chan struct{})
	defer close(closed)
	var guests []guest
	for ; next != nil; next = w.next() {
		outcome := make(chan error, 1)
		w.shard.mu.Lock()
		next.send(&offer{from: rec, answer: answer, closed: closed, outcome: outcome})
		w.shard.mu.Unlock()
		select {
		case made := <-answer:
			if made != nil {
				rec, guests = made, append(guests, guest{next, outcome})
			}
		case <-timer.C:
			return rec, guests
		}
		w.shard.mu.Lock()
		next.remove()
		w.shard.mu.Unlock()
	}
	return rec, guests
}

// next returns the first in the line behind w, if that one may join.
func (w *waiter) next() *waiter {
	w.shard.mu.Lock()
	defer w.shard.mu.Unlock()
	if line := w.shard.waiting[w.key]; len(line) > 0 && line[0].joins {
		return line[0]
	}
	return nil
}

// tell lets the guests know what became of the write. After a conflict they are
// in the line again, where they were.
func (w *waiter) tell(guests []guest, outcome error) {
	if errors.Is(outcome, ErrConflict) {
		line := make([]*waiter, 0, len(guests))
		for _, g := range guests {
			line = append(line, g.waiter)
		}
		w.shard.mu.Lock()
		w.shard.waiting[w.key] = append(line, w.shard.waiting[w.key]...)
		w.shard.mu.Unlock()
	}
	for _, g := range guests {
		g.outcome <- outcome
	}
}
