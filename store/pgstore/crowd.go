package pgstore

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// Most of what a Load costs is the way to the server and back: a packet, a backend
// that wakes up, a transaction. Loads that come at the same moment share it.

const (
	// exchanges is how many Loads are sent at once, each by itself, before
	// further ones wait for each other. Two keep the processors of this process
	// and of the server busy at the same time.
	exchanges = 2

	// crowded bounds the Loads of one statement, and so how long it takes.
	crowded = 64

	// patience is how long Loads wait for those before them: a server that is
	// far away, or a record that somebody else has locked, holds up nobody for
	// longer.
	patience = 2 * time.Millisecond
)

// A crowd is all the Loads of a process that go on at the same time.
type crowd struct {
	exchange func(*batch) // what a batch does that has a turn

	mu    sync.Mutex
	turns uint64      // how many there have been
	taken []uint64    // the turns of those that are under way and not late, oldest first
	queue []*batch    // who comes next; empty unless all turns are taken
	timer *time.Timer // set while somebody is in the queue
}

// A batch is some Loads that go to the server together.
type batch struct {
	since   time.Time
	ctx     context.Context // ends when the last of those who wait has gone
	cancel  context.CancelFunc
	turn    uint64        // zero until it has one
	done    chan struct{} // closed when the members have their answers
	served  atomic.Bool   // whether there is a connection for it
	members []*member     // whole once there is a turn
	gone    int           // how many have stopped waiting since then
}

// A member is one Load of a batch.
type member struct {
	id       string
	slide    session.Slide
	rec      session.Record
	err      error
	answered bool // else it is to be asked by itself
}

// load goes to the server at once while few do, and otherwise with others.
func (s *Store) load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	if s.bad != nil || ctx.Err() != nil || !sociable(id) {
		return s.loadAlone(ctx, id, slide)
	}
	turn, b, m := s.crowd.enter(ctx, id, slide)
	if b == nil {
		defer func() {
			if next := s.crowd.leave(turn); next != nil {
				go s.exchange(next)
			}
		}()
		return s.loadAlone(ctx, id, slide)
	}
	select {
	case <-b.done:
		if m.answered {
			return m.rec, m.err
		}
		return s.loadAlone(ctx, id, slide)
	case <-ctx.Done():
		if s.crowd.desert(b, m) {
			return session.Record{}, &connectError{ctx.Err()}
		}
		return session.Record{}, ctx.Err()
	}
}

// loadAlone asks for nothing but this record.
func (s *Store) loadAlone(ctx context.Context, id string, slide session.Slide) (rec session.Record, err error) {
	err = s.do(ctx, func(c *pgx.Conn) error {
		known, err := s.layout(ctx, c)
		if err == nil {
			rec, err = known.read(ctx, c, id, slide)
		}
		return err
	})
	return rec, err
}

// sociable reports whether an id is one of the contract. What the server would
// refuse in another one is not to become the trouble of others.
func sociable(id string) bool {
	for i := range len(id) {
		if id[i] <= ' ' || id[i] > '~' {
			return false
		}
	}
	return len(id) <= 128
}

// exchange asks the server for what a batch wants to know, and then for what has
// gathered meanwhile, until there is nothing left. Those who get no answer, because
// of a failure that may not be their own or of a record that is locked, ask by
// themselves.
func (s *Store) exchange(b *batch) {
	for b != nil {
		err := s.once(b.ctx, func(c *pgx.Conn) error {
			b.served.Store(true)
			known, err := s.layout(b.ctx, c)
			if err != nil {
				return err
			}
			if len(b.members) > 1 {
				return known.readAll(b.ctx, c, b.members)
			}
			m := b.members[0]
			m.rec, m.err = known.read(b.ctx, c, m.id, m.slide)
			m.answered = m.err == nil || contract.Answers(m.err)
			if !m.answered {
				return m.err
			}
			return nil
		})
		if err != nil {
			for _, m := range b.members {
				m.answered = false
			}
		}
		b.cancel()
		close(b.done)
		// Those who have their answer now may have another question soon.
		// Without this the next batch would be gone before they run.
		runtime.Gosched()
		b = s.crowd.leave(b.turn)
	}
}

// enter returns a turn, which is to be left, or a batch to wait for, and what the
// caller now is in it.
func (c *crowd) enter(ctx context.Context, id string, slide session.Slide) (turn uint64, b *batch, m *member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.taken) < exchanges {
		return c.take(), nil, nil
	}
	if n := len(c.queue); n > 0 && len(c.queue[n-1].members) < crowded {
		b = c.queue[n-1]
	} else {
		b = &batch{since: time.Now(), done: make(chan struct{})}
		b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
		c.queue = append(c.queue, b)
		if n == 0 {
			c.watch()
		}
	}
	m = &member{id: id, slide: slide}
	b.members = append(b.members, m)
	return 0, b, m
}

// leave gives a turn back. It returns the batch that has got it, if any.
func (c *crowd) leave(turn uint64) *batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.taken, turn)
	if i < 0 {
		return nil // it was late
	}
	c.taken = slices.Delete(c.taken, i, i+1)
	return c.next()
}

// desert takes a member that no longer waits out of its batch. It reports whether
// the batch had a turn, but no connection yet.
func (c *crowd) desert(b *batch, m *member) (unserved bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b.turn > 0 {
		b.gone++
		if b.gone == len(b.members) {
			b.cancel()
		}
		return !b.served.Load()
	}
	b.members = slices.DeleteFunc(b.members, func(other *member) bool { return other == m })
	if len(b.members) == 0 {
		b.cancel()
		c.queue = slices.DeleteFunc(c.queue, func(other *batch) bool { return other == b })
		c.watch()
	}
	return false
}

// late gives the turn of who has had it for too long to who has waited too long.
func (c *crowd) late() {
	c.mu.Lock()
	var b *batch
	if len(c.queue) > 0 && time.Since(c.queue[0].since) >= patience {
		c.taken = slices.Delete(c.taken, 0, 1)
		b = c.next()
	} else {
		c.watch()
	}
	c.mu.Unlock()
	c.exchange(b)
}

// take returns a turn. The crowd is locked, as in what follows.
func (c *crowd) take() uint64 {
	c.turns++
	c.taken = append(c.taken, c.turns)
	return c.turns
}

// next gives a free turn to the first batch.
func (c *crowd) next() *batch {
	if len(c.queue) == 0 {
		return nil
	}
	b := c.queue[0]
	c.queue = slices.Delete(c.queue, 0, 1)
	b.turn = c.take()
	c.watch()
	return b
}

// watch has late called when the first batch, if there is one, has waited too long.
func (c *crowd) watch() {
	switch {
	case c.timer == nil:
		c.timer = time.AfterFunc(patience, c.late)
	case len(c.queue) == 0:
		c.timer.Stop()
	default:
		c.timer.Reset(patience - time.Since(c.queue[0].since))
	}
}
