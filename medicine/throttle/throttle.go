// Package throttle counts what went wrong, by who did it, and says when one has
// to wait.
package throttle

import (
	"container/list"
	"context"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A Limit is how many failures are let through.
type Limit struct {
	// Burst is how many may come at once. It is at least 1.
	Burst int

	// Every is how long it takes until one more is let through after those.
	// It is above zero.
	Every time.Duration

	// Keys bounds how many keys are remembered, beside those with an attempt
	// under way. It is at least 1. Only a key with a failure that has not been
	// made up for takes room. With too many of these, one of those used least
	// lately is forgotten, of which the most has been made up for.
	Keys int
}

// A Table has a token bucket for each key. Make one with [New]. Its methods may
// be called concurrently.
type Table struct {
	limit Limit

	mu      sync.Mutex
	buckets map[string]*list.Element // of *bucket
	order   list.List                // the key used last at the front
}

type bucket struct {
	key      string
	tokens   *rate.Limiter
	underWay int
	ended    chan struct{} // closed when one that is under way ends; nil if nobody waits
}

// New returns a table without keys.
func New(limit Limit) *Table {
	return &Table{limit: limit, buckets: make(map[string]*list.Element)}
}

// Len returns how many keys are remembered.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.buckets)
}

// get returns the bucket of a key, and makes it if there is none.
func (t *Table) get(key string, now time.Time) *bucket {
	if e, ok := t.buckets[key]; ok {
		t.order.MoveToFront(e)
		return e.Value.(*bucket)
	}
	t.makeRoom(now)
	b := &bucket{key: key, tokens: rate.NewLimiter(rate.Every(t.limit.Every), t.limit.Burst)}
	t.buckets[key] = t.order.PushFront(b)
	return b
}

// candidates is how many keys are looked at to find one to forget.
const candidates = 16

// makeRoom forgets a key if there are too many, and if there is one that has no
// attempt under way.
func (t *Table) makeRoom(now time.Time) {
	if len(t.buckets) < max(1, t.limit.Keys) {
		return
	}
	var fullest *list.Element
	most := math.Inf(-1)
	e := t.order.Back()
	for i := 0; i < candidates && e != nil; i, e = i+1, e.Prev() {
		b := e.Value.(*bucket)
		if left := b.tokens.TokensAt(now); b.underWay == 0 && left > most {
			fullest, most = e, left
		}
	}
	if fullest != nil {
		t.forget(fullest)
	}
}

func (t *Table) forget(e *list.Element) {
	delete(t.buckets, e.Value.(*bucket).key)
	t.order.Remove(e)
}

// An Attempt is something that may fail, and that counts as a failure until it
// is known how it went: or else as many could be made at once as one likes. The
// zero Attempt counts nowhere.
type Attempt struct{ counted []counted }

type counted struct {
	table  *Table
	bucket *bucket
}

// A Count is a key of a table.
type Count struct {
	Table *Table // which remembers the key
	Key   string // who: an address, for one; it may be any text
}

// Begin begins an attempt that counts for these keys. If one of them has no
// failure left, ok is false, nothing counts, and wait is how long until the first
// such one has. Where
// others are under way that may use up what is left, Begin waits for them, as
// long as ctx is not done: many who do it right at once are all let through.
//
// Everybody names the tables in the same order. The caller ends the attempt with
// exactly one of [Attempt.Failed] and [Attempt.Dropped].
func Begin(ctx context.Context, counts ...Count) (a *Attempt, wait time.Duration, ok bool) {
	a = new(Attempt)
	for _, c := range counts {
		b, wait := c.Table.begin(ctx, c.Key)
		if b == nil {
			a.Dropped()
			return nil, wait, false
		}
		a.counted = append(a.counted, counted{c.Table, b})
	}
	return a, 0, true
}

// begin counts an attempt as under way, or returns how long to wait.
func (t *Table) begin(ctx context.Context, key string) (*bucket, time.Duration) {
	for {
		b, ended, wait := t.try(key)
		if ended == nil {
			return b, wait
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, time.Second // they will be done by then
		}
	}
}

// try counts an attempt as under way, or returns how long to wait, or what is
// closed when it is worth to try again.
func (t *Table) try(key string) (b *bucket, ended <-chan struct{}, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	b = t.get(key, now)
	left := b.tokens.TokensAt(now)
	switch {
	case left < 1:
		wait := time.Duration(math.Ceil((1 - left) * float64(t.limit.Every)))
		return nil, nil, max(wait, time.Millisecond)
	case left < float64(b.underWay+1):
		if b.ended == nil {
			b.ended = make(chan struct{})
		}
		return nil, b.ended, 0
	}
	b.underWay++
	return b, nil, 0
}

// Failed ends an attempt that counts.
func (a *Attempt) Failed() { a.end(true) }

// Dropped ends an attempt that does not count: it went well, or nobody knows how
// it would have gone.
func (a *Attempt) Dropped() { a.end(false) }

func (a *Attempt) end(failed bool) {
	now := time.Now()
	for _, c := range a.counted {
		c.table.end(c.bucket, failed, now)
	}
	a.counted = nil
}

// end counts an attempt as no longer under way. One that has not failed leaves no
// trace: it would push out the traces of others.
func (t *Table) end(b *bucket, failed bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b.underWay--
	if failed {
		b.tokens.AllowN(now, 1)
	}
	if b.ended != nil {
		close(b.ended)
		b.ended = nil
	}
	if e := t.buckets[b.key]; b.underWay == 0 && b.tokens.TokensAt(now) >= float64(t.limit.Burst) {
		t.forget(e)
	}
}
