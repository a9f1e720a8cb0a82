package dynamostore

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// deadlines remembers when sessions that this process has seen expire, so that a
// Load can know beforehand whether it is going to move a deadline: a read cannot
// write, and a write that turns out not to be needed costs as much as one that
// is.
//
// What it remembers is a hint. Where it is wrong, because of another process or
// because two sessions share a slot, a Load costs more than it need, and does
// the same.
type deadlines struct {
	seed  maphash.Seed
	slots []atomic.Uint64 // tagBits of the id's hash, then the deadline in ms
}

const (
	tagBits = 20
	msBits  = 64 - tagBits // enough until the year 2527
)

func newDeadlines(n int) *deadlines {
	n = 1 << bits.Len(uint(n-1)) // a power of two, for slot
	return &deadlines{seed: maphash.MakeSeed(), slots: make([]atomic.Uint64, n)}
}

func (d *deadlines) slot(id string) (slot *atomic.Uint64, tag uint64) {
	hash := maphash.String(d.seed, id)
	return &d.slots[hash&uint64(len(d.slots)-1)], hash >> msBits << msBits
}

func (d *deadlines) remember(id string, deadline time.Time) {
	if d == nil {
		return
	}
	slot, tag := d.slot(id)
	if ms := deadline.UnixMilli(); ms > 0 && ms < 1<<msBits {
		slot.Store(tag | uint64(ms))
	}
}

// moves reports whether a Load with this slide is likely to move the deadline.
// Of a session that it does not know it says so: the first Load by a process
// is seldom soon after the last one by another.
func (d *deadlines) moves(id string, slide session.Slide) bool {
	if d == nil || slide.To.IsZero() {
		return false
	}
	slot, tag := d.slot(id)
	known := slot.Load()
	if known>>msBits<<msBits != tag || known == tag {
		return true
	}
	return slide.Moves(time.UnixMilli(int64(known &^ tag)))
}
