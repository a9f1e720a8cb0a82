package memstore

import "time"

// A slot is what a shard keeps for each record, besides the bytes of its id
// and its data, which lie in the arena:
//
//	header | number, if owned | id | data after the prefix | padding
//	4        8                  1–128
//
// The header is the number of the slot, so that a record can be moved. Slots
// hold no pointers: the garbage collector does not look at them.
type slot struct {
	deadline int64  // in milliseconds since 1970
	used     int64  // when it was last used, in nanoseconds since Store.opened
	hash     uint32 // the low half of the id's
	size     uint32 // of the data after the prefix
	seg      uint32 // the segment in which the record lies,
	off      uint16 // and the offset, in units
	id       uint8  // length of the id
	flags    uint8
}

// The low bits of slot.flags are the number of the record's prefix.
const (
	flagPacked = 0x80 // the id is packed
	flagOwned  = 0x40 // the record has an owner, and so a number
	prefixMask = 0x0f
)

const (
	unit       = 4 // records begin at multiples of this
	headerSize = 4
	numberSize = 8

	// overhead is what a record takes beside its bytes in the arena: its
	// slot, and its share of the index at middling load.
	overhead = 32 + 8
)

func (s *slot) live(now time.Time) bool { return now.UnixMilli() < s.deadline }
func (s *slot) packed() bool            { return s.flags&flagPacked != 0 }
func (s *slot) owned() bool             { return s.flags&flagOwned != 0 }

// idAt returns where the id begins in the record.
func (s *slot) idAt() int {
	if s.owned() {
		return headerSize + numberSize
	}
	return headerSize
}

// dataAt returns where the data begins in the record.
func (s *slot) dataAt() int { return s.idAt() + packedSize(int(s.id), s.packed()) }

// room returns how many bytes of the arena the record takes.
func (s *slot) room() int { return roundUp(s.dataAt() + int(s.size)) }

// bytes returns what the record counts for [Options.MaxBytes].
func (s *slot) bytes() int64 { return int64(s.room() + overhead) }

func roundUp(n int) int { return (n + unit - 1) &^ (unit - 1) }
