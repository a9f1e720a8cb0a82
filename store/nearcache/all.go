package nearcache

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// beginAll begins a write to any number of records. Until endAll nothing is cached.
func (c *cache) beginAll() {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		sh.clear(c)
		sh.all.writing++
		sh.mu.Unlock()
	}
}

func (c *cache) endAll() {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		sh.all.writing--
		sh.all.age++
		sh.mu.Unlock()
	}
}

// forgetAll is forget for all records.
func (c *cache) forgetAll() {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		sh.clear(c)
		sh.mu.Unlock()
	}
}

// clear drops everything, with the lock held.
func (sh *shard) clear(c *cache) {
	for key := range sh.entries {
		sh.drop(c, key)
	}
	sh.all.age++
}

// A sweeper drops what nobody asks for any more. Its timer runs only while there
// are records.
type sweeper struct{ running atomic.Bool }

func (s *sweeper) start(c *cache) {
	if !s.running.Load() && s.running.CompareAndSwap(false, true) {
		time.AfterFunc(c.lease, c.sweep)
	}
}

func (c *cache) sweep() {
	now := time.Now()
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		for key, e := range sh.entries {
			if !c.trusts(e, now) {
				sh.drop(c, key)
			}
		}
		sh.mu.Unlock()
	}
	c.sweeper.running.Store(false)
	if c.records.Load() > 0 {
		c.sweeper.start(c)
	}
}

// watchStore drops what the store below tells of, if it does, until the function
// that it returns is called.
func (c *cache) watchStore() (stop func()) {
	w, ok := c.store.(session.Watcher)
	if !ok {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// Where it is switched off it returns an error, and leases are all
		// that there is, which is enough.
		_ = w.Watch(ctx, func(text string) {
			if key, ok := parseDigest(text); ok {
				c.shard(key).tell(c, key)
			} else {
				c.forgetAll()
			}
		})
	}()
	return func() {
		cancel()
		<-ended
	}
}
