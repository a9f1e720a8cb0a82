package sqlitestore

import (
	"context"
	"sync"

	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// readers is a pool of connections that only read. In WAL mode they see the
// last commit and wait for no writer.
type readers struct {
	dsn     string
	closing <-chan struct{}
	slots   chan struct{} // one for each connection in use

	mu   sync.Mutex
	idle []*conn // the last one used is the first one to be used again
}

func newReaders(dsn string, n int, closing <-chan struct{}) *readers {
	return &readers{dsn: dsn, closing: closing, slots: make(chan struct{}, n)}
}

// do runs read on a connection, again and again while it finds the database
// busy, which a reader does only while another process recovers or closes it.
func (r *readers) do(ctx context.Context, read func(*conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-r.closing:
		return errClosed
	default:
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-r.closing:
		return errClosed
	}
	defer func() { <-r.slots }()
	for {
		err := r.once(ctx, read)
		if !isBusy(err) {
			return err
		}
		if err := pause(ctx, r.closing); err != nil {
			return err
		}
	}
}

func (r *readers) once(ctx context.Context, read func(*conn) error) error {
	c, err := r.get(ctx)
	if err != nil {
		return err
	}
	err = read(c)
	if contract.Answers(err) {
		r.put(c)
	} else {
		c.close() // whatever state it is in, a new one is in a good one
	}
	return err
}

func (r *readers) get(ctx context.Context) (*conn, error) {
	r.mu.Lock()
	if n := len(r.idle); n > 0 {
		c := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		return c, nil
	}
	r.mu.Unlock()
	return connect(ctx, r.dsn)
}

func (r *readers) put(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = append(r.idle, c)
}

// close waits for the reads that are under way, and closes every connection.
// It is called once, after closing has been closed, and leaves no slot free.
func (r *readers) close() error {
	for range cap(r.slots) {
		r.slots <- struct{}{}
	}
	var first error
	for _, c := range r.idle {
		if err := c.close(); first == nil {
			first = err
		}
	}
	r.idle = nil
	return first
}
