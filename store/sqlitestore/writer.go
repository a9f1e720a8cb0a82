package sqlitestore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// maxBatch bounds how many writes share a commit, and so how long one of them
// can be kept from hearing that its context is done.
const maxBatch = 128

// A writer runs writes one after the other on its one connection. Writes that
// wait at the same time share a transaction, and so one fsync: whichever of
// their goroutines gets the lock first runs them all. There is no goroutine
// that belongs to the writer.
type writer struct {
	dsn     string
	closing <-chan struct{}
	lock    chan struct{} // holds one token while somebody writes

	mu    sync.Mutex
	queue []*write // those that nobody has begun to run

	// Below, what the holder of lock uses.
	conn *conn // nil until it is needed, and after a failure
	full bool  // whether conn forces each commit to the disk
}

// A write is one caller's work inside a transaction.
type write struct {
	ctx  context.Context
	sync bool // must reach the disk before it is acknowledged
	run  func(c *conn, now int64) error
	done chan error
}

func newWriter(dsn string, closing <-chan struct{}) *writer {
	return &writer{dsn: dsn, closing: closing, lock: make(chan struct{}, 1)}
}

// do runs work in a transaction and returns its result once that is committed.
// An error that is not one of the contract's answers rolls the work back. If
// the context ends before the work has begun, it is not done at all; if it ends
// afterwards, do returns what comes of it, which takes one commit at most.
//
// The time that work is given is the time at which it runs, in milliseconds,
// not the one at which it began to wait.
func (w *writer) do(ctx context.Context, sync bool, work func(c *conn, now int64) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-w.closing:
		return errClosed
	default:
	}
	own := &write{ctx: ctx, sync: sync, run: work, done: make(chan error, 1)}
	w.mu.Lock()
	w.queue = append(w.queue, own)
	w.mu.Unlock()

	select {
	case err := <-own.done:
		return err
	case <-ctx.Done():
		return w.abandon(own, ctx.Err())
	case <-w.closing:
		return w.abandon(own, errClosed)
	case w.lock <- struct{}{}:
	}
	defer func() { <-w.lock }()
	select {
	case err := <-own.done: // the lock was let go after our work was done
		return err
	default:
		return w.lead(own)
	}
}

// abandon takes a write out of the queue and returns err, or what has come of
// the write if somebody has begun to run it.
func (w *writer) abandon(own *write, err error) error {
	w.mu.Lock()
	i := slices.Index(w.queue, own)
	if i >= 0 {
		w.queue = slices.Delete(w.queue, i, i+1)
	}
	w.mu.Unlock()
	if i < 0 {
		return <-own.done
	}
	return err
}

// lead runs own, and what else is waiting by the time the database is ours.
func (w *writer) lead(own *write) error {
	full := w.wantsSync()
	if err := w.begin(own.ctx, full); err != nil {
		return w.abandon(own, err)
	}
	batch := w.take(own, full)
	results, err := w.commit(batch)
	if err != nil && len(batch) == 1 && !isBusy(err) {
		results[0] = err
	} else if err != nil {
		// One of them may have been what went wrong, so each gets a
		// transaction, and an answer, of its own.
		for i, one := range batch {
			results[i] = w.alone(one, full)
		}
	}
	for i, one := range batch {
		one.done <- results[i]
	}
	return <-own.done
}

// alone runs one write in its own transaction.
func (w *writer) alone(one *write, full bool) error {
	for {
		if err := w.begin(one.ctx, full); err != nil {
			return err
		}
		results, err := w.commit([]*write{one})
		if err == nil {
			return results[0]
		}
		if !isBusy(err) {
			return err
		}
	}
}

// wantsSync reports whether anything that waits must reach the disk.
func (w *writer) wantsSync() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.queue, func(one *write) bool { return one.sync })
}

// take takes own and others out of the queue, but none that asks for more than
// the transaction gives.
func (w *writer) take(own *write, full bool) []*write {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch := []*write{own}
	w.queue = slices.DeleteFunc(w.queue, func(one *write) bool {
		if one == own {
			return true
		}
		if len(batch) == maxBatch || one.sync && !full {
			return false
		}
		batch = append(batch, one)
		return true
	})
	return batch
}

// begin opens a transaction that holds the database's write lock, and waits for
// that lock until ctx is done. SQLite's own way to wait makes ever longer
// pauses, so that who has waited longest is the least likely to be next.
func (w *writer) begin(ctx context.Context, full bool) error {
	for {
		err := w.tryBegin(ctx, full)
		if !isBusy(err) {
			return err
		}
		if err := pause(ctx, w.closing); err != nil {
			return err
		}
	}
}

func (w *writer) tryBegin(ctx context.Context, full bool) (err error) {
	if w.conn == nil {
		w.conn, err = connect(ctx, w.dsn)
		if err != nil {
			return err
		}
		w.full = true // as the data source name says
	}
	if w.full != full {
		level := "PRAGMA synchronous = NORMAL"
		if full {
			level = "PRAGMA synchronous = FULL"
		}
		if _, err := w.conn.run(context.Background(), level); err != nil {
			w.discard()
			return err
		}
		w.full = full
	}
	if _, err := w.conn.exec(begin); err != nil {
		if !isBusy(err) {
			w.discard()
		}
		return err
	}
	return nil
}

// commit runs a batch in the open transaction and commits it. If it returns an
// error, nothing of the batch has happened.
func (w *writer) commit(batch []*write) ([]error, error) {
	results := make([]error, len(batch))
	now := time.Now().UnixMilli()
	for i, one := range batch {
		results[i] = one.run(w.conn, now)
		// Work that ends in an answer of the contract has changed nothing
		// that is not meant to stay.
		if !contract.Answers(results[i]) {
			w.discard()
			return results, results[i]
		}
	}
	if _, err := w.conn.exec(commit); err != nil {
		w.discard()
		return results, err
	}
	return results, nil
}

// discard closes the connection, which rolls back what it has begun. After an
// unexpected error that is the one state that is known for certain.
func (w *writer) discard() {
	w.conn.close()
	w.conn = nil
}

// close waits for the write that is under way, and closes the connection. It is
// called once, after closing has been closed, and keeps the lock.
func (w *writer) close() error {
	w.lock <- struct{}{}
	if w.conn == nil {
		return nil
	}
	return w.conn.close()
}

// pause waits about a millisecond before the next attempt to get at a database
// that another process has locked.
func pause(ctx context.Context, closing <-chan struct{}) error {
	timer := time.NewTimer(time.Millisecond/2 + rand.N(time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("another process has the database locked: %w", ctx.Err())
	case <-closing:
		return errClosed
	}
}
