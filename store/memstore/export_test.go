package memstore

import (
	"encoding/binary"
	"fmt"
	"time"
)

const ShardCount = shardCount

// ShardOf returns the shard that an id belongs to.
func (s *Store) ShardOf(id string) int {
	var k key
	k.set(s.seed, id)
	return k.shard()
}

// Held returns how many records take room, dead ones included, and how many
// users are known.
func (s *Store) Held() (records, accounts int) {
	return int(s.count.Load()), int(s.accounts.Load())
}

// Sweeping reports whether the timer runs.
func (s *Store) Sweeping() bool {
	s.sweeper.mu.Lock()
	defer s.sweeper.mu.Unlock()
	return s.sweeper.running
}

// Entries returns how many entries the accounts have.
func (s *Store) Entries() (n int) {
	for i := range s.users {
		u := &s.users[i]
		u.mu.Lock()
		for _, a := range u.list {
			n += len(a.entries)
		}
		u.mu.Unlock()
	}
	return n
}

// PackedID returns an id as it is after it was packed and unpacked, and how
// many bytes it took.
func PackedID(id string) (string, int) {
	var buf [maxID]byte
	n, packed := pack(&buf, id)
	return unpack(buf[:n], len(id), packed), n
}

// SweepSlots does what the sweeper does to all shards, and tells how long each
// lock was held.
func (s *Store) SweepSlots(now time.Time, held func(time.Duration)) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.hand = 0
		sh.mu.Unlock()
		for more := true; more; {
			sh.mu.Lock()
			start := time.Now()
			_, more = sh.sweep(sweepLocked, now)
			held(time.Since(start))
			sh.mu.Unlock()
		}
	}
}

// Check returns an error if the store's inner order is broken.
func (s *Store) Check() error {
	var count, bytes int64
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		err := sh.check()
		count += int64(len(sh.slots))
		bytes += sh.bytes
		sh.mu.Unlock()
		if err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
	}
	if count != s.count.Load() || bytes != s.bytes.Load() {
		return fmt.Errorf("store counts %d records of %d bytes; shards have %d of %d", s.count.Load(), s.bytes.Load(), count, bytes)
	}
	return nil
}

func (sh *shard) check() error {
	entries := 0
	for _, e := range sh.index {
		if e != 0 {
			entries++
		}
	}
	if entries != len(sh.slots) {
		return fmt.Errorf("index has %d entries for %d slots", entries, len(sh.slots))
	}
	var k key
	var bytes int64
	var refs [maxPrefixes]uint32
	for i := range sh.slots {
		s := &sh.slots[i]
		bytes += s.bytes()
		if n := s.flags & prefixMask; n > 0 {
			refs[n-1]++
		}
		id := sh.id(i)
		k.set(sh.store.seed, id)
		if found := sh.find(&k); found != i {
			return fmt.Errorf("slot %d is found as %d", i, found)
		}
		if oldest := sh.store.oldest[k.shard()].Load(); oldest > s.used {
			return fmt.Errorf("slot %d was last used at %d, before the oldest at %d", i, s.used, oldest)
		}
	}
	if bytes != sh.bytes {
		return fmt.Errorf("shard counts %d bytes; its records have %d", sh.bytes, bytes)
	}
	for i, p := range sh.prefixes.all {
		if p.refs != refs[i] || p.refs == 0 && p.text != "" {
			return fmt.Errorf("prefix %d counts %d uses; it has %d", i+1, p.refs, refs[i])
		}
	}
	held, dead, records := 0, 0, 0
	for n := range sh.segs {
		g := &sh.segs[n]
		held += cap(g.buf)
		dead += g.dead
		gaps, at := 0, 0
		for at < len(g.buf) {
			header := binary.NativeEndian.Uint32(g.buf[at:])
			if header&deadBit != 0 {
				gaps += int(header &^ deadBit)
				at += int(header &^ deadBit)
				continue
			}
			if int(header) >= len(sh.slots) {
				return fmt.Errorf("segment %d has a record of slot %d of %d", n, header, len(sh.slots))
			}
			s := &sh.slots[header]
			if int(s.seg) != n || int(s.off)*unit != at {
				return fmt.Errorf("slot %d is elsewhere than in segment %d at %d", header, n, at)
			}
			records++
			at += s.room()
		}
		if gaps != g.dead {
			return fmt.Errorf("segment %d counts %d bytes of gaps; it has %d", n, g.dead, gaps)
		}
	}
	if held != sh.held || dead != sh.dead || records != len(sh.slots) {
		return fmt.Errorf("arena counts %d bytes, %d of gaps; it has %d, %d, and %d records for %d slots", sh.held, sh.dead, held, dead, records, len(sh.slots))
	}
	if dead > held/2+4*minSegment {
		return fmt.Errorf("arena of %d bytes has %d bytes of gaps", held, dead)
	}
	return nil
}
