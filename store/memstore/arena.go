package memstore

import (
	"encoding/binary"
	"math/bits"
)

const (
	minSegment = 512
	maxSegment = 16 << 10

	// A header with this bit is of room that is not used; the other bits
	// are its size. A record is therefore smaller than this.
	deadBit = 1 << 31
)

// An arena holds the records of a shard in segments, which it fills one after
// the other. A record that goes leaves a gap; when too much of the arena is
// gaps, the records of the segment with the most of them move on to the end,
// and the segment is given back. One segment at a time: nobody waits for more.
//
// A record that is large for its segment has one of its own, so that the end of a
// segment that is too short for the next record is not much.
type arena struct {
	segs   []segment
	vacant []uint32 // the numbers of segments that were given back
	open   int      // one more than the segment that is being filled, or 0
	held   int      // bytes of all segments
	dead   int      // bytes of gaps, what is short at the end of a segment not counted
}

type segment struct {
	buf  []byte // as far as it is filled; its capacity is the segment's
	dead int    // bytes of gaps
}

// at returns the record in a slot.
func (a *arena) at(s *slot) []byte { return a.segs[s.seg].buf[int(s.off)*unit:] }

// alloc finds room for a record, and points the slot to it.
func (a *arena) alloc(s *slot, room int) {
	size := min(max(minSegment, 1<<bits.Len(uint(a.held/32))), maxSegment)
	if room > size/4 {
		s.seg, s.off = a.add(room), 0
		a.segs[s.seg].buf = a.segs[s.seg].buf[:room]
		return
	}
	if a.open == 0 || a.segs[a.open-1].left() < room {
		a.open = int(a.add(size)) + 1
	}
	g := &a.segs[a.open-1]
	s.seg, s.off = uint32(a.open-1), uint16(len(g.buf)/unit)
	g.buf = g.buf[:len(g.buf)+room]
}

func (g *segment) left() int { return cap(g.buf) - len(g.buf) }

// add makes a new segment and returns its number.
func (a *arena) add(size int) uint32 {
	g := segment{buf: make([]byte, 0, size)}
	a.held += size
	if n := len(a.vacant); n > 0 {
		i := a.vacant[n-1]
		a.vacant = a.vacant[:n-1]
		a.segs[i] = g
		return i
	}
	a.segs = append(a.segs, g)
	return uint32(len(a.segs) - 1)
}

// free makes a gap of room that a record, or its end, took.
func (a *arena) free(seg uint32, at, room int) {
	g := &a.segs[seg]
	binary.NativeEndian.PutUint32(g.buf[at:], deadBit|uint32(room))
	g.dead += room
	a.dead += room
	switch {
	case int(seg) == a.open-1:
		if g.dead == len(g.buf) { // fill it from the start again
			a.dead -= g.dead
			g.buf, g.dead = g.buf[:0], 0
		}
	case g.dead == len(g.buf):
		a.drop(seg)
	}
}

// drop gives a segment back that is all gaps.
func (a *arena) drop(seg uint32) {
	g := &a.segs[seg]
	a.held -= cap(g.buf)
	a.dead -= g.dead
	*g = segment{}
	a.vacant = append(a.vacant, seg)
}

// wasteful reports whether a segment should be emptied.
func (a *arena) wasteful() bool { return a.dead > a.held/5+minSegment/2 }

// compact empties the segment with the most gaps, if there are too many.
func (sh *shard) compact() {
	if len(sh.segs) > 8 && len(sh.vacant) > len(sh.segs)/4*3 {
		sh.renumberSegments()
	}
	if !sh.wasteful() {
		return
	}
	worst, waste := 0, 0.0
	for i := range sh.segs {
		g := &sh.segs[i]
		if w := float64(g.dead) / float64(cap(g.buf)); g.dead > 0 && w > waste {
			worst, waste = i, w
		}
	}
	if worst == sh.open-1 {
		sh.open = 0
	}
	buf := sh.segs[worst].buf
	for len(buf) > 0 {
		header := binary.NativeEndian.Uint32(buf)
		if header&deadBit != 0 {
			buf = buf[header&^deadBit:]
			continue
		}
		s := &sh.slots[header]
		room := s.room()
		sh.alloc(s, room)
		copy(sh.at(s), buf[:room])
		buf = buf[room:]
	}
	sh.drop(uint32(worst))
}

// renumberSegments gives back the room of the list of segments, which many
// may have left.
func (sh *shard) renumberSegments() {
	numbers := make([]uint32, len(sh.segs))
	kept := make([]segment, 0, len(sh.segs)-len(sh.vacant))
	for i, g := range sh.segs {
		if cap(g.buf) > 0 {
			numbers[i] = uint32(len(kept))
			kept = append(kept, g)
		}
	}
	for i := range sh.slots {
		sh.slots[i].seg = numbers[sh.slots[i].seg]
	}
	if sh.open > 0 {
		sh.open = int(numbers[sh.open-1]) + 1
	}
	sh.segs, sh.vacant = kept, nil
}
