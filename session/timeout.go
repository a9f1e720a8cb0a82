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

	mu     sync.Mutex
	inner  context.Context // not nil once somebody asked for Done
	cancel context.CancelFunc
}

// readContext returns the context for a call that only reads: it ends with the
// request.
func (s *Session) readContext() *callContext { return s.m.callContext(s.ctx, s.ctx) }

// writeContext returns the context for a call that writes. It outlives a
// request whose client has gone, though not the request's deadline: a visitor
// who signs out and closes the page is signed out.
func (s *Session) writeContext() *callContext {
	return s.m.callContext(context.WithoutCancel(s.ctx), s.ctx)
}

func (m *Manager) callContext(parent, bound context.Context) *callContext {
	c := &callContext{parent: parent}
	if m.config.StoreTimeout > 0 {
		c.deadline = time.Now().Add(m.config.StoreTimeout)
	}
	if d, ok := bound.Deadline(); ok && (c.deadline.IsZero() || d.Before(c.deadline)) {
		c.deadline = d
	}
	return c
}

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
		if c.deadline.IsZero() {
			return c.parent.Done()
		}
		c.inner, c.cancel = context.WithDeadline(c.parent, c.deadline)
	}
	return c.inner.Done()
}

// Err implements [context.Context].
func (c *callContext) Err() error {
	if inner := c.started(); inner != nil {
		return inner.Err()
	}
	if err := c.parent.Err(); err != nil {
		return err
	}
	if !c.deadline.IsZero() && !time.Now().Before(c.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// Value implements [context.Context].
func (c *callContext) Value(key any) any {
	if inner := c.started(); inner != nil {
		return inner.Value(key)
	}
	return c.parent.Value(key)
}
