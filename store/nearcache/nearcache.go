package nearcache

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

const (
	defaultLease      = 100 * time.Millisecond
	defaultMaxRecords = 100_000
	defaultMaxBytes   = 64 << 20

	// maxLease is as long as the Manager gives to the last call of a request
	// that has failed, which may be a Delete.
	maxLease = time.Second
)

// Options configures a [Store]. The zero value of every field is safe.
type Options struct {
	_ [0]func() // keyed literals only

	// Lease is for how long what was read from the store below is trusted,
	// and how long ending a record takes. It must be the same in all
	// processes that share sessions. Zero means 100 milliseconds; negative,
	// or more than a second, is an error.
	Lease time.Duration

	// MaxRecords bounds how many records are kept at a time. Where it is
	// exceeded, others make room, whichever comes to hand. Zero means
	// 100,000; negative means no bound.
	MaxRecords int

	// MaxBytes bounds the memory that they take, bookkeeping included, as
	// MaxRecords does. Zero means 64 MiB; negative means no bound.
	MaxBytes int64
}

// A Store is another store with a cache before it. It implements those of
// [session.UserIndex], [session.Lister], [session.Counter], [session.Clearer],
// [session.Pruner] and [session.Watcher] that the other store implements. Its
// methods may be called concurrently. Make one with [New].
type Store interface {
	session.Store

	// Close forgets what is cached, and ends the goroutine that watches the
	// store below, if there is one. It leaves that store open. Methods that
	// are called later work without a cache; those that end records still
	// wait. It returns nil; a second call does nothing.
	Close() error
}

// New returns a cache before store, which stays the caller's, to be closed after
// the cache. If store is a [session.Watcher], a goroutine watches it from now on
// until Close is called, over a connection of its own where the store has it so;
// if its Watch returns at once, since it is switched off, the goroutine has ended.
//
// The error says what is wrong with opts, or that store is nil, or that it
// implements a set of optional interfaces which no store of this module has: it
// may have none, [session.UserIndex] alone, or that with [session.Lister],
// [session.Counter], [session.Clearer] and perhaps [session.Pruner], and in each
// case [session.Watcher].
func New(store session.Store, opts Options) (Store, error) {
	var errs []error
	if store == nil {
		errs = append(errs, errors.New("pillbox: new near cache: store is nil"))
	}
	if opts.Lease < 0 || opts.Lease > maxLease {
		errs = append(errs, fmt.Errorf("pillbox: new near cache: Options.Lease is %v, and must be at most %v and not negative", opts.Lease, maxLease))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if opts.Lease == 0 {
		opts.Lease = defaultLease
	}
	if opts.MaxRecords == 0 {
		opts.MaxRecords = defaultMaxRecords
	}
	if opts.MaxBytes == 0 {
		opts.MaxBytes = defaultMaxBytes
	}
	c := &cache{store: store, lease: opts.Lease, maxRecords: int64(opts.MaxRecords), maxBytes: opts.MaxBytes, opened: time.Now()}
	for i := range c.shards {
		c.shards[i].entries = make(map[digest]*entry)
	}
	s, err := withPowers(c)
	if err != nil {
		return nil, err
	}
	c.unwatch = c.watchStore()
	return s, nil
}

// A cache is a [Store] without optional powers.
type cache struct {
	store      session.Store
	lease      time.Duration
	maxRecords int64
	maxBytes   int64
	unwatch    func()

	closed  atomic.Bool
	records atomic.Int64
	bytes   atomic.Int64
	shards  [shardCount]shard
	sweeper sweeper

	// fading is until when other processes may know a record of which this
	// one knows that it has ended, because somebody did not wait. It counts
	// from opened.
	fading atomic.Int64
	opened time.Time
}

// Format implements [fmt.Formatter]. It writes nothing of what is stored.
func (c *cache) Format(f fmt.State, _ rune) { fmt.Fprint(f, "nearcache.Store{…}") }

// Close implements [Store].
func (c *cache) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.unwatch()
		c.forgetAll()
	}
	return nil
}

// Load implements [session.Store].
func (c *cache) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	if err := ctx.Err(); err != nil {
		return session.Record{}, fmt.Errorf("pillbox: load session: %w", err)
	}
	key := digestOf(id)
	sh := c.shard(key)
	now := time.Now()
	e, pass := sh.look(key)
	if e != nil && c.trusts(e, now) && !slide.Moves(e.deadline) {
		return e.record(), nil
	}
	rec, err := c.store.Load(ctx, id, slide)
	if err != nil {
		sh.forget(c, key)
		if errors.Is(err, session.ErrNotFound) {
			if faded := c.faded(ctx); faded != nil {
				return session.Record{}, fmt.Errorf("pillbox: load session: %w", faded)
			}
		}
		return session.Record{}, err
	}
	sh.loaded(c, key, pass, newEntry(rec.Data, rec.Deadline, now))
	return rec, nil
}

// trusts reports whether an entry is good for a call that has begun at now. The
// wall clock is asked as well because the monotonic clock stands still while a
// machine is suspended.
func (c *cache) trusts(e *entry, now time.Time) bool {
	wall := now.Round(0).Sub(e.asked.Round(0))
	return now.Sub(e.asked) < c.lease && wall.Abs() < c.lease && now.Before(e.deadline)
}

// Create implements [session.Store].
func (c *cache) Create(ctx context.Context, id string, rec session.Record) error {
	err := c.write(id, rec.Data, rec.Deadline, func() error { return c.store.Create(ctx, id, rec) })
	if err != nil {
		return err
	}
	if _, ok := c.store.(session.UserIndex); ok && rec.Owner.User != "" && rec.Owner.Max > 0 && !rec.Owner.Reject {
		return c.settle(ctx, "create session")
	}
	return nil
}

// Update implements [session.Store].
func (c *cache) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	err := c.write(id, data, deadline, func() error { return c.store.Update(ctx, id, old, data, deadline) })
	if err == nil && time.Until(deadline) < c.lease {
		// Others may know a later deadline for longer than this one lasts.
		return c.settle(ctx, "update session")
	}
	return err
}

// Touch implements [session.Store].
func (c *cache) Touch(ctx context.Context, id string, deadline time.Time) error {
	return c.write(id, nil, time.Time{}, func() error { return c.store.Touch(ctx, id, deadline) })
}

// Delete implements [session.Store]. An ErrNotFound takes as long as success, since
// the Manager takes it for that: somebody else has ended the record, and may be
// waiting still.
func (c *cache) Delete(ctx context.Context, id string, old []byte) error {
	err := c.write(id, nil, time.Time{}, func() error { return c.store.Delete(ctx, id, old) })
	if err == nil || errors.Is(err, session.ErrNotFound) {
		if unsettled := c.settle(ctx, "delete session"); unsettled != nil {
			return unsettled
		}
	}
	return err
}

// write runs do, which writes to the record under id. Until it has returned
// nothing is cached of it, and nothing that was read meanwhile will be. If it
// succeeds and data is not nil, the record is then known to hold that.
func (c *cache) write(id string, data []byte, deadline time.Time, do func() error) error {
	key := digestOf(id)
	sh := c.shard(key)
	pass := sh.begin(c, key)
	now := time.Now()
	err := do()
	if err != nil || data == nil {
		sh.end(c, key, pass, nil)
	} else {
		sh.end(c, key, pass, newEntry(data, deadline, now))
	}
	return err
}

// settle waits until no process trusts any more what it read before now, of which
// the store has just said that it has ended.
func (c *cache) settle(ctx context.Context, verb string) error {
	// Clocks of machines run at different rates, by 1 part in 2,000 at most
	// where time is kept over a network, and timers round.
	wait := c.lease + c.lease/32
	until := time.Since(c.opened) + wait
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
	}
	for {
		others := c.fading.Load()
		if others >= int64(until) || c.fading.CompareAndSwap(others, int64(until)) {
			break
		}
	}
	return fmt.Errorf("pillbox: %s: it has ended in the store, but other processes may know it for up to %v: %w", verb, c.lease, ctx.Err())
}

// faded waits until no process knows what calls of settle did not wait for.
func (c *cache) faded(ctx context.Context) error {
	left := time.Duration(c.fading.Load()) - time.Since(c.opened)
	if left <= 0 {
		return nil
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
