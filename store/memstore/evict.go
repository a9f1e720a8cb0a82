package memstore

import (
	"log/slog"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// evictions is what there is to say about them.
type evictions struct {
	unsaid atomic.Int64 // since the last warning
	warned atomic.Int64 // one more than when that was, as slot.used; 0 if never
}

const warnEvery = time.Minute

// evict ends records until the bounds are kept. It holds no lock while it
// chooses, and one at a time while it ends.
func (s *Store) evict(now time.Time) {
	n := 0
	for s.full() {
		evicted, ok := s.evictOne(now)
		if !ok {
			break
		}
		n += evicted
	}
	if n > 0 {
		s.say(n, now)
	}
}

func (s *Store) full() bool {
	return s.options.MaxSessions > 0 && s.count.Load() > int64(s.options.MaxSessions) ||
		s.options.MaxBytes > 0 && s.bytes.Load() > s.options.MaxBytes
}

// evictOne ends the record that has gone unused the longest, or one that is
// dead, and returns how many live records that cost. There is no list in the
// order of use, which each Load would have to write to. Instead each shard has
// in Store.oldest a moment that is not after the last use of any of its
// records; so the shard with the earliest is the one to look at, and if its
// coldest record was used later than that, we know better and look again.
func (s *Store) evictOne(now time.Time) (live int, ok bool) {
	for {
		first, second := -1, int64(math.MaxInt64)
		least := int64(math.MaxInt64)
		for i := range s.oldest {
			switch at := s.oldest[i].Load(); {
			case at < least:
				first, least, second = i, at, least
			case at < second:
				second = at
			}
		}
		if first < 0 {
			return 0, false
		}
		sh := &s.shards[first]
		sh.mu.Lock()
		i := sh.leastUsed(now)
		switch {
		case i < 0:
			s.oldest[first].Store(math.MaxInt64)
		case !sh.slots[i].live(now):
			sh.remove(i)
			sh.mu.Unlock()
			return 0, true
		default:
			used := sh.slots[i].used
			s.oldest[first].Store(used)
			if used <= second {
				sh.remove(i)
				sh.mu.Unlock()
				return 1, true
			}
		}
		sh.mu.Unlock()
	}
}

// A cold slot is one of those that had gone unused the longest when the shard
// was last looked through.
type cold struct {
	slot int
	used int64
}

const maxCold = 16

// leastUsed returns the slot that has gone unused the longest, or one that is
// dead, or -1. It looks through the whole shard and remembers the runners-up:
// as long as one of them has not been used since, no other slot can have gone
// unused for longer.
func (sh *shard) leastUsed(now time.Time) int {
	for len(sh.coldest) > 0 {
		c := sh.coldest[0]
		if c.slot >= 0 && c.slot < len(sh.slots) && sh.slots[c.slot].used == c.used {
			return c.slot
		}
		sh.coldest = sh.coldest[1:]
	}
	sh.coldest = make([]cold, 0, maxCold+1)
	for i := range sh.slots {
		s := &sh.slots[i]
		if !s.live(now) {
			sh.coldest = nil
			return i
		}
		if n := len(sh.coldest); n == maxCold && s.used >= sh.coldest[n-1].used {
			continue
		}
		at, _ := slices.BinarySearchFunc(sh.coldest, s.used, func(c cold, used int64) int {
			if c.used <= used {
				return -1
			}
			return 1
		})
		sh.coldest = slices.Insert(sh.coldest, at, cold{i, s.used})
		if len(sh.coldest) > maxCold {
			sh.coldest = sh.coldest[:maxCold]
		}
	}
	if len(sh.coldest) == 0 {
		return -1
	}
	return sh.coldest[0].slot
}

// renumber keeps coldest true when a record moves to another slot.
func (sh *shard) renumber(from, to int) {
	for i := range sh.coldest {
		switch sh.coldest[i].slot {
		case from:
			sh.coldest[i].slot = to
		case to:
			sh.coldest[i].slot = -1
		}
	}
}

// say tells the application that live records were ended.
func (s *Store) say(n int, now time.Time) {
	if s.options.OnEvict != nil {
		s.options.OnEvict(n)
	}
	s.evicted.unsaid.Add(int64(n))
	at, warned := s.since(now)+1, s.evicted.warned.Load()
	if warned != 0 && at-warned < int64(warnEvery) || !s.evicted.warned.CompareAndSwap(warned, at) {
		return
	}
	s.options.Logger.Warn("pillbox: memory store is full: ended the sessions that went unused the longest",
		slog.Int64("ended", s.evicted.unsaid.Swap(0)),
		slog.Int("maxSessions", s.options.MaxSessions),
		slog.Int64("maxBytes", s.options.MaxBytes))
}
