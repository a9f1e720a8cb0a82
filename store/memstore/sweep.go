package memstore

import (
	"sync"
	"time"
	"weak"
)

const (
	sweepEvery    = time.Second            // between steps, as long as they keep up
	sweepBehind   = time.Millisecond       // between steps that do not, or find much
	sweepMuch     = 500                    // records that are much for a step
	sweepBudget   = 200 * time.Microsecond // the length of a step
	sweepLocked   = 64                     // slots that are looked at in one go
	sweepOnCreate = 2                      // slots that a Create looks at
	sweepRound    = time.Minute            // in which everything is looked at
)

// A sweeper gives back the room of dead records, in steps that a timer starts.
// There is no goroutine between the steps. The timer knows the store only
// weakly: a store that nobody uses any more is garbage even with records.
type sweeper struct {
	mu      sync.Mutex
	running bool
	stopped bool
	timer   *time.Timer

	shard, user int // the shards at which the next step begins
}

// start starts the timer unless it runs.
func (w *sweeper) start(s *Store) {
	if s.sweeping.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running || w.stopped {
		return
	}
	w.running = true
	s.sweeping.Store(true)
	self := weak.Make(s)
	w.timer = time.AfterFunc(sweepEvery, func() {
		if s := self.Value(); s != nil {
			s.step()
		}
	})
}

// stop stops the timer for good.
func (w *sweeper) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped, w.running = true, false
	if w.timer != nil {
		w.timer.Stop()
	}
}

// step does some sweeping and sets the timer for more.
func (s *Store) step() {
	w := &s.sweeper
	wait := sweepEvery
	if removed, done := s.sweepShare(time.Now().Add(sweepBudget)); !done || removed >= sweepMuch {
		wait = sweepBehind
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	// A Create that comes between these two lines starts the timer anew.
	s.sweeping.Store(false)
	if s.count.Load() == 0 && s.accounts.Load() == 0 {
		w.running = false
		return
	}
	s.sweeping.Store(true)
	w.timer.Reset(wait)
}

// sweepShare sweeps as many shards as a step has to for a round to take
// sweepRound. It returns how many records it removed, and whether it was done
// before until.
func (s *Store) sweepShare(until time.Time) (removed int, done bool) {
	w := &s.sweeper // the timer starts one step at a time
	const steps = int(sweepRound / sweepEvery)
	for range (shardCount + steps - 1) / steps {
		sh := &s.shards[w.shard]
		for more := true; more; {
			now := time.Now()
			if now.After(until) {
				return removed, false
			}
			var n int
			sh.mu.Lock()
			n, more = sh.sweep(sweepLocked, now)
			sh.mu.Unlock()
			removed += n
		}
		w.shard = (w.shard + 1) % shardCount
	}
	for range (userShardCount + steps - 1) / steps {
		u := &s.users[w.user]
		for more := true; more; {
			now := time.Now()
			if now.After(until) {
				return removed, false
			}
			u.mu.Lock()
			more = u.sweep(s, sweepLocked, now)
			u.mu.Unlock()
		}
		w.user = (w.user + 1) % userShardCount
	}
	return removed, true
}

// sweep looks at the next n slots and removes dead records. It returns how
// many, and whether there are more slots before the shard's end.
func (sh *shard) sweep(n int, now time.Time) (removed int, more bool) {
	for range n {
		if sh.hand >= len(sh.slots) {
			sh.hand = 0
			return removed, false
		}
		if sh.slots[sh.hand].live(now) {
			sh.hand++
		} else {
			sh.remove(sh.hand) // another has this number now
			removed++
		}
	}
	return removed, true
}
