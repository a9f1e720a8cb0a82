package memstore

import (
	"bytes"
	"encoding/binary"
	"time"
)

const (
	shardBits  = 10
	shardCount = 1 << shardBits

	// An entry of the index is one more than the number of a slot, in its
	// low bits, and the high bits of the id's hash.
	slotBits = 20
	slotMask = 1<<slotBits - 1
	maxSlots = slotMask // a thousand million records in all shards
)

// A shard keeps the records whose ids have a certain hash. All of its methods
// are called with its lock held. Shards are many, so that each is small: the
// longest that anybody waits is for one of them to get a larger index or an
// eighth more slots, which takes some ten microseconds in a store of a million
// records.
type shard struct {
	mu    paddedMutex
	store *Store
	slots []slot // without gaps: the last moves where one goes

	// index finds slots by hash. It is a table with open addressing and
	// linear probing, of which at most three quarters are used. Its
	// positions follow from the low bits of the hash.
	index []uint32

	arena
	prefixes
	bytes   int64 // what its records count for Options.MaxBytes
	coldest []cold
	hand    int // the slot that is swept next
}

// find returns the number of the slot with the key, dead or alive, or -1.
func (sh *shard) find(k *key) int {
	if len(sh.index) == 0 {
		return -1
	}
	hash, mask := uint32(k.hash), uint32(len(sh.index)-1)
	for p := hash & mask; ; p = (p + 1) & mask {
		e := sh.index[p]
		if e == 0 {
			return -1
		}
		if e>>slotBits != hash>>slotBits {
			continue
		}
		i := int(e&slotMask) - 1
		s := &sh.slots[i]
		if s.hash == hash && int(s.id) == k.id && s.packed() == k.packed {
			at := s.idAt()
			if bytes.Equal(sh.at(s)[at:at+k.size], k.bytes[:k.size]) {
				return i
			}
		}
	}
}

// findLive is find for records that are live.
func (sh *shard) findLive(k *key, now time.Time) int {
	i := sh.find(k)
	if i >= 0 && !sh.slots[i].live(now) {
		return -1
	}
	return i
}

// findNumber returns the live record with this number and hash, or -1.
func (sh *shard) findNumber(hash uint64, number uint64, now time.Time) int {
	if len(sh.index) == 0 {
		return -1
	}
	low, mask := uint32(hash), uint32(len(sh.index)-1)
	for p := low & mask; sh.index[p] != 0; p = (p + 1) & mask {
		i := int(sh.index[p]&slotMask) - 1
		s := &sh.slots[i]
		if s.hash == low && s.owned() && sh.number(i) == number {
			if s.live(now) {
				return i
			}
			return -1
		}
	}
	return -1
}

// position returns where the index has slot i.
func (sh *shard) position(i int) uint32 {
	mask := uint32(len(sh.index) - 1)
	for p := sh.slots[i].hash & mask; ; p = (p + 1) & mask {
		if int(sh.index[p]&slotMask) == i+1 {
			return p
		}
	}
}

func (sh *shard) entry(i int) uint32 {
	return sh.slots[i].hash>>slotBits<<slotBits | uint32(i+1)
}

// id returns the id of slot i.
func (sh *shard) id(i int) string {
	s := &sh.slots[i]
	rec := sh.at(s)
	return unpack(rec[s.idAt():s.dataAt()], int(s.id), s.packed())
}

// number returns the number of slot i, or 0 if its record has no owner.
func (sh *shard) number(i int) uint64 {
	s := &sh.slots[i]
	if !s.owned() {
		return 0
	}
	return binary.NativeEndian.Uint64(sh.at(s)[headerSize:])
}

// data returns a copy of the data of slot i.
func (sh *shard) data(i int) []byte {
	s := &sh.slots[i]
	head := sh.text(s.flags & prefixMask)
	at := s.dataAt()
	data := make([]byte, len(head)+int(s.size))
	copy(data[copy(data, head):], sh.at(s)[at:at+int(s.size)])
	return data
}

// holds reports whether slot i has this data.
func (sh *shard) holds(i int, data []byte) bool {
	s := &sh.slots[i]
	head := sh.text(s.flags & prefixMask)
	if len(data) != len(head)+int(s.size) || string(data[:len(head)]) != head {
		return false
	}
	at := s.dataAt()
	return bytes.Equal(data[len(head):], sh.at(s)[at:at+int(s.size)])
}

// insert adds a record. There is none with this key.
func (sh *shard) insert(k *key, data []byte, number uint64, deadline, used int64) {
	if len(sh.slots) == 0 {
		sh.store.oldest[k.shard()].Store(used)
	}
	i := len(sh.slots)
	sh.reserve(i + 1)
	s := slot{
		deadline: deadline,
		used:     used,
		hash:     uint32(k.hash),
		id:       uint8(k.id),
		flags:    sh.acquire(sh.store.seed, data, 0),
	}
	data = data[len(sh.text(s.flags)):]
	s.size = uint32(len(data))
	if k.packed {
		s.flags |= flagPacked
	}
	if number != 0 {
		s.flags |= flagOwned
	}
	sh.alloc(&s, s.room())
	rec := sh.at(&s)
	binary.NativeEndian.PutUint32(rec, uint32(i))
	if number != 0 {
		binary.NativeEndian.PutUint64(rec[headerSize:], number)
	}
	copy(rec[s.idAt():], k.bytes[:k.size])
	copy(rec[s.dataAt():], data)
	sh.slots = append(sh.slots, s)
	sh.enter(i)
	sh.store.count.Add(1)
	sh.weigh(s.bytes())
	sh.tell(i)
}

// replace gives slot i other data.
func (sh *shard) replace(i int, data []byte) {
	s := &sh.slots[i]
	was, before := *s, s.bytes()
	head := sh.acquire(sh.store.seed, data, s.flags&prefixMask)
	sh.release(s.flags & prefixMask)
	data = data[len(sh.text(head)):]
	s.flags = s.flags&^prefixMask | head
	s.size = uint32(len(data))
	from, to, at := was.room(), s.room(), int(was.off)*unit
	switch {
	case to == from:
	case to < from && from <= maxSegment/8:
		sh.free(s.seg, at+to, from-to)
	default:
		old := sh.at(&was)
		sh.alloc(s, to)
		copy(sh.at(s), old[:was.dataAt()])
		sh.free(was.seg, at, from)
	}
	copy(sh.at(s)[s.dataAt():], data)
	if after := s.bytes(); after != before {
		sh.weigh(after - before)
	}
	sh.tell(i)
	sh.compact()
}

// remove ends slot i. The last slot has its number afterwards.
func (sh *shard) remove(i int) {
	sh.tell(i)
	s := sh.slots[i]
	sh.leave(i)
	sh.free(s.seg, int(s.off)*unit, s.room())
	sh.release(s.flags & prefixMask)
	last := len(sh.slots) - 1
	if i != last {
		p := sh.position(last)
		sh.slots[i] = sh.slots[last]
		sh.index[p] = sh.entry(i)
		binary.NativeEndian.PutUint32(sh.at(&sh.slots[i]), uint32(i))
		sh.renumber(last, i)
	}
	sh.slots = sh.slots[:last]
	sh.shrink()
	sh.compact()
	sh.store.count.Add(-1)
	sh.weigh(-s.bytes())
}

// reset ends all records.
func (sh *shard) reset() {
	sh.store.count.Add(-int64(len(sh.slots)))
	sh.store.bytes.Add(-sh.bytes)
	sh.store.watchers.TellDigest("")
	sh.slots, sh.index, sh.coldest, sh.hand, sh.bytes = nil, nil, nil, 0, 0
	sh.arena, sh.prefixes = arena{}, prefixes{}
}

func (sh *shard) weigh(bytes int64) {
	sh.bytes += bytes
	sh.store.bytes.Add(bytes)
}
