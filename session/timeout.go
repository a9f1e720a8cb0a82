package session

import (
	"context"
	"sync"
	"time"
)

// A callContext is the context of one call of the store: it is done when the
// call has taken Config.StoreTimeout. Its timer starts when somebody asks for
// Done, so a store in memory, which asks only for Err, costs no timer.
type callContext struct {
	parent   context.Context
	deadline time.Time
	detached bool // outlives its parent

	mu     sync.Mutex
	asked  bool            // Err asks the clock from now on
	inner  context.Context // not nil once somebody asked for Done
	cancel context.CancelFunc
}

// start makes c ready for a call that begins now. A detached context goes on
// when its parent is cancelled, though not beyond its parent's deadline.
func (c *callContext) start(m *Manager, parent context.Context, detached bool, now time.Time) {
	c.parent, c.detached = parent, detached
	if m.config.StoreTimeout > 0 {
		c.deadline = now.Add(m.config.StoreTimeout)
	}
	if d, ok := parent.Deadline(); ok && (c.deadline.IsZero() || d.Before(c.deadline)) {
		c.deadline = d
	}
	c.asked = !c.deadline.IsZero() && !now.Before(c.deadline) // too late already
}

// used reports whether c has been started.
func (c *callContext) used() bool { return c.parent != nil }

// release stops the timer. The store's call has returned.
func (c *callContext) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
}

func (c *callContext) started() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inner
}

// Deadline implements [context.Context].
func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Done implements [context.Context].
func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		parent := c.parent
		if c.detached {
			parent = context.WithoutCancel(parent)
		}
		if c.deadline.IsZero() {
			return parent.Done()
		}
		c.inner, c.cancel = context.WithDeadline(parent, c.deadline)
	}
	return c.inner.Done()
}

// Err implements [context.Context]. The clock is not asked for the first answer:
// it is given as the call begins.
func (c *callContext) Err() error {
	c.mu.Lock()
	inner, first := c.inner, !c.asked
	c.asked = true
	c.mu.Unlock()
	if inner != nil {
		return inner.Err()
	}
	if err := c.parent.Err(); err != nil && !c.detached {
		return err
	}
	if !first && !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements [context.Context].
func (c *callContext) Value(key any) any {
	if inner := c.started(); inner != nil {
		return inner.Value(key)
	}
	if c.detached {
		// The parent would answer questions about its own cancellation.
		return context.WithoutCancel(c.parent).Value(key)
	}
	return c.parent.Value(key)
}
