package memstore

import "slices"

const minIndex = 8

// reserve makes room for n slots. Slots grow by an eighth rather than to the
// double, because copying them is cheap and room that is not used is not.
func (sh *shard) reserve(n int) {
	if n > cap(sh.slots) {
		grown := slices.Grow([]slot(nil), n+n/8+3)
		sh.slots = append(grown, sh.slots...)
	}
	if size := max(len(sh.index), minIndex); len(sh.index) == 0 || n > size/4*3 {
		for n > size/4*3 {
			size *= 2
		}
		sh.rehash(size)
	}
}

// shrink gives back what has become too large.
func (sh *shard) shrink() {
	n := len(sh.slots)
	if n == 0 {
		sh.slots, sh.index, sh.coldest, sh.hand = nil, nil, nil, 0
		sh.arena = arena{}
		sh.prefixes.all = nil
		return
	}
	if c := cap(sh.slots); c > 16 && n < c/2 {
		sh.slots = append(slices.Grow([]slot(nil), n+n/8+3), sh.slots...)
	}
	if size := len(sh.index); size > minIndex && n < size/8 {
		sh.rehash(size / 2)
	}
}

// rehash makes a new index. It reads the slots in their order, and no ids.
func (sh *shard) rehash(size int) {
	sh.index = make([]uint32, size)
	for i := range sh.slots {
		sh.enter(i)
	}
}

// enter puts slot i into the index.
func (sh *shard) enter(i int) {
	mask := uint32(len(sh.index) - 1)
	p := sh.slots[i].hash & mask
	for sh.index[p] != 0 {
		p = (p + 1) & mask
	}
	sh.index[p] = sh.entry(i)
}

// leave takes slot i out of the index. What comes after it moves up, so that
// no search ends too early and no marks of removed slots pile up.
func (sh *shard) leave(i int) {
	mask := uint32(len(sh.index) - 1)
	hole := sh.position(i)
	for p := (hole + 1) & mask; sh.index[p] != 0; p = (p + 1) & mask {
		home := sh.slots[sh.index[p]&slotMask-1].hash & mask
		if (p-home)&mask >= (p-hole)&mask {
			sh.index[hole] = sh.index[p]
			hole = p
		}
	}
	sh.index[hole] = 0
}
