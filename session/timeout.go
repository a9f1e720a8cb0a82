package session

import (
	"context"
	"sync"
	"time"
)

// A callContext is the context of one call of the store: it is done when the
// call has taken Config.StoreTimeout. Nothing is set up before somebody asks for
// Done, so a store in memory, which asks only for Err, pays for none of it.
type callContext struct {
	parent    context.Context
	deadlines *deadlines // nil: the deadline is not that of StoreTimeout
	deadline  time.Time
	detached  bool // outlives its parent

	mu    sync.Mutex
	asked bool // Err asks the clock from now on
	alarm *alarm
}

// start makes c ready for a call that begins now. A detached context goes on
// when its parent is cancelled, though not beyond its parent's deadline.
func (c *callContext) start(m *Manager, parent context.Context, detached bool, now time.Time) {
	c.parent, c.detached = parent, detached
	if m.config.StoreTimeout > 0 {
		c.deadline, c.deadlines = now.Add(m.config.StoreTimeout), m.deadlines
	}
	if d, ok := parent.Deadline(); ok && (c.deadline.IsZero() || d.Before(c.deadline)) {
		c.deadline, c.deadlines = d, nil
	}
	c.asked = !c.deadline.IsZero() && !now.Before(c.deadline) // too late already
}

// used reports whether c has been started.
func (c *callContext) used() bool { return c.parent != nil }

// release ends what c has set up. The store's call has returned.
func (c *callContext) release() {
	if a := c.ringing(); a != nil {
		a.finish(context.Canceled)
	}
}

// ringing returns the alarm, or nil where nobody has asked for it.
func (c *callContext) ringing() *alarm {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.alarm
}

// set returns the alarm, and sets it the first time.
func (c *callContext) set() *alarm {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.alarm != nil {
		return c.alarm
	}
	a := &alarm{deadline: c.deadline, deadlines: c.deadlines, done: make(chan struct{})}
	c.alarm = a
	if err := c.cancelled(); err != nil {
		a.finish(err)
		return a
	}
	a.mu.Lock() // what is set here may go off at once
	defer a.mu.Unlock()
	switch {
	case c.deadlines != nil:
		c.deadlines.add(a)
	case c.detached && !c.deadline.IsZero():
		timer := time.AfterFunc(time.Until(c.deadline), func() { a.finish(context.DeadlineExceeded) })
		a.stop = append(a.stop, timer.Stop)
	}
	if !c.detached && c.parent.Done() != nil {
		a.stop = append(a.stop, context.AfterFunc(c.parent, func() { a.finish(c.parent.Err()) }))
	}
	return a
}

// cancelled returns the parent's error, if it is c's as well.
func (c *callContext) cancelled() error {
	if c.detached {
		return nil
	}
	return c.parent.Err()
}

// Deadline implements [context.Context].
func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done implements [context.Context].
func (c *callContext) Done() <-chan struct{} {
	if c.deadline.IsZero() && (c.detached || c.parent.Done() == nil) {
		return nil
	}
	return c.set().done
}

// Err implements [context.Context]. The clock is not asked for the first answer:
// it is given as the call begins.
func (c *callContext) Err() error {
	c.mu.Lock()
	a, first := c.alarm, !c.asked
	c.asked = true
	c.mu.Unlock()
	cancelled := c.cancelled()
	if a != nil {
		if cancelled != nil {
			a.finish(cancelled) // it is on its way there
		}
		return a.outcome()
	}
	if cancelled != nil {
		return cancelled
	}
	if !first && !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements [context.Context]. It hides the parent's cancellation, about
// which package context asks by a key of its own: it is not c's.
func (c *callContext) Value(key any) any { return context.WithoutCancel(c.parent).Value(key) }

// AfterFunc is what package context calls for a context that is derived from c.
// Without it, each would need a goroutine that waits for Done.
func (c *callContext) AfterFunc(f func()) (stop func() bool) { return c.set().after(f) }

// An alarm tells those who wait for a call's context that it is done.
type alarm struct {
	deadline  time.Time
	deadlines *deadlines // which has it in its list, or nil
	stop      []func() bool
	done      chan struct{}

	mu    sync.Mutex
	err   error // not nil: it is done
	calls map[*func()]struct{}

	older, newer *alarm // in the list of deadlines, and guarded by it
	listed       bool
}

func (a *alarm) outcome() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// after has f called in a goroutine of its own when a is done, unless it is
// stopped before.
func (a *alarm) after(f func()) (stop func() bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		go f()
		return func() bool { return false }
	}
	if a.calls == nil {
		a.calls = make(map[*func()]struct{})
	}
	a.calls[&f] = struct{}{}
	return func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		_, stopped := a.calls[&f]
		delete(a.calls, &f)
		return stopped
	}
}

// finish makes a done, if it is not.
func (a *alarm) finish(err error) {
	a.mu.Lock()
	if a.err != nil {
		a.mu.Unlock()
		return
	}
	a.err = err
	calls := a.calls
	a.calls = nil
	close(a.done)
	a.mu.Unlock()
	for _, stop := range a.stop {
		stop()
	}
	if a.deadlines != nil {
		a.deadlines.remove(a)
	}
	for f := range calls {
		go (*f)()
	}
}

// deadlines are the calls under way whose time is limited by Config.StoreTimeout.
// Since all have the same time, the first that began is the first whose time is
// over, and one timer does for all of them: it is set once in a StoreTimeout,
// where a timer for each call would be most of what the call costs.
type deadlines struct {
	mu     sync.Mutex
	oldest *alarm
	newest *alarm
	set    bool // the timer
}

func (d *deadlines) add(a *alarm) {
	d.mu.Lock()
	defer d.mu.Unlock()
	older := d.newest
	for older != nil && older.deadline.After(a.deadline) {
		older = older.older // which has been a little slower in coming here
	}
	a.older, a.listed = older, true
	if older != nil {
		a.newer, older.newer = older.newer, a
	} else {
		a.newer, d.oldest = d.oldest, a
	}
	if a.newer != nil {
		a.newer.older = a
	} else {
		d.newest = a
	}
	if !d.set {
		d.set = true
		time.AfterFunc(time.Until(a.deadline), d.ring)
	}
}

func (d *deadlines) remove(a *alarm) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unlink(a)
}

func (d *deadlines) unlink(a *alarm) {
	if !a.listed {
		return
	}
	if a.older != nil {
		a.older.newer = a.newer
	} else {
		d.oldest = a.newer
	}
	if a.newer != nil {
		a.newer.older = a.older
	} else {
		d.newest = a.older
	}
	a.older, a.newer, a.listed = nil, nil, false
}

// ring finishes the calls whose time is over, and sets the timer for the next.
func (d *deadlines) ring() {
	var over []*alarm
	d.mu.Lock()
	now := time.Now()
	for d.oldest != nil && !now.Before(d.oldest.deadline) {
		over = append(over, d.oldest)
		d.unlink(d.oldest)
	}
	if d.set = d.oldest != nil; d.set {
		time.AfterFunc(d.oldest.deadline.Sub(now), d.ring)
	}
	d.mu.Unlock()
	for _, a := range over {
		a.finish(context.DeadlineExceeded)
	}
}
