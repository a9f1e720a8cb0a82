// Package prune removes a store's dead records from time to time.
package prune

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	defaultEvery = 5 * time.Minute

	// Batch is how many records one call removes. Others get their turn in
	// between.
	Batch = 128
)

// A Pruner calls a store's Prune until it is stopped.
type Pruner struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// Start begins to call batch about every so often: the interval varies by a
// quarter to either side, so that processes that were started together do not
// prune together. Zero means every five minutes; with a negative interval Start
// begins nothing.
//
// It calls batch again at once while that removes as many as it may, and tells
// the logger (nil means [slog.Default]) when it fails. The context that batch
// gets ends when the Pruner is stopped.
func Start(every time.Duration, logger *slog.Logger, batch func(ctx context.Context, limit int) (int, error)) *Pruner {
	p := &Pruner{cancel: func() {}}
	if every < 0 {
		return p
	}
	if every == 0 {
		every = defaultEvery
	}
	if logger == nil {
		logger = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(jittered(every)):
			}
			for {
				removed, err := batch(ctx, Batch)
				if err != nil && ctx.Err() == nil {
					logger.Error("pillbox: removing dead sessions", "error", err)
				}
				if err != nil || removed < Batch {
					break
				}
			}
		}
	})
	return p
}

// Stop ends the calls and waits for the one that is under way. It may be called
// more than once.
func (p *Pruner) Stop() {
	p.cancel()
	p.done.Wait()
}

func jittered(every time.Duration) time.Duration {
	return every - every/4 + rand.N(every/2+1)
}
