package nearcache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

const (
	shardCount = 64 // each with a lock
	slotCount  = 64 // of each shard

	// overhead is about what an entry takes beside its data: itself, its key
	// and its place in a map, and what the allocator rounds up.
	overhead = 256
)

// A digest names a record: it is what [session.Digest] has in hexadecimal.
type digest [sha256.Size]byte

func digestOf(id string) digest {
	var room [128]byte // no id is longer, and this one stays on the stack
	return sha256.Sum256(append(room[:0], id...))
}

// An entry is a record as it was known to be. It never changes.
type entry struct {
	data     []byte
	deadline time.Time
	asked    time.Time // before the call that told of it
	own      bool      // this process wrote it, and has yet to be told so
}

func newEntry(data []byte, deadline, asked time.Time) *entry {
	return &entry{
		data: bytes.Clone(data),
		// As stores round it. One that keeps whole seconds has a later one.
		deadline: time.UnixMilli(contract.Millis(deadline)),
		asked:    asked,
	}
}

// record returns the entry as the caller's own.
func (e *entry) record() session.Record {
	return session.Record{Data: bytes.Clone(e.data), Deadline: e.deadline}
}

func (e *entry) size() int64 { return int64(len(e.data)) + overhead }

// same reports whether two entries tell the same.
func (e *entry) same(f *entry) bool {
	return e.deadline.Equal(f.deadline) && bytes.Equal(e.data, f.data)
}

// A shard has the entries whose digests begin alike.
type shard struct {
	mu      sync.Mutex
	entries map[digest]*entry
	all     slot // what concerns every record
	slots   [slotCount]slot
}

// A slot orders the calls on some of the records of a shard. Calls that share one
// by chance do no harm but that something is not cached.
type slot struct {
	// age changes whenever something becomes known that an older answer of
	// the store might not know: a write that begins, a read that returns.
	age uint64

	// writing is how many writes are under way. What is read meanwhile may
	// be from before or after.
	writing int

	// told is how often the store has told of a record while writes were
	// under way. One of them is what this process does itself.
	told int
}

// A pass says when a call began. What it has to tell may be entered if nothing
// has become known since.
type pass struct {
	age  uint64
	free bool // no write was under way
}

func (c *cache) shard(key digest) *shard { return &c.shards[key[0]%shardCount] }

func (sh *shard) slot(key digest) *slot {
	return &sh.slots[binary.BigEndian.Uint16(key[1:])%slotCount]
}

func (sh *shard) pass(sl *slot) pass {
	return pass{sh.all.age + sl.age, sh.all.writing+sl.writing == 0}
}

// good reports whether a call with this pass may enter what it was told.
func (sh *shard) good(sl *slot, p pass) bool { return p.free && sh.pass(sl) == p }

// look returns what is known of a record, or nil, and a pass for asking the store.
func (sh *shard) look(key digest) (*entry, pass) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.entries[key], sh.pass(sh.slot(key))
}

// loaded takes what the store was read to hold. Of several reads at the same time
// nobody knows which is newest: the first to return is entered, unless another
// one contradicts it, so that no read goes back behind what a caller was told.
func (sh *shard) loaded(c *cache, key digest, p pass, e *entry) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sl := sh.slot(key)
	known := sh.entries[key]
	switch {
	case sh.good(sl, p):
		sh.enter(c, key, e)
	case known != nil && !known.same(e):
		sh.drop(c, key)
	}
	sl.age++
}

// forget drops what is known of a record, and what reads under way will tell.
func (sh *shard) forget(c *cache, key digest) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.drop(c, key)
	sh.slot(key).age++
}

// begin begins a write.
func (sh *shard) begin(c *cache, key digest) pass {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sl := sh.slot(key)
	p := sh.pass(sl)
	sh.drop(c, key)
	sl.age++
	p.age++
	if sl.writing++; sl.writing == 1 {
		sl.told = 0
	}
	return p
}

// end ends a write that began with pass p and after which the record is known to be
// e, if that is not nil.
func (sh *shard) end(c *cache, key digest, p pass, e *entry) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sl := sh.slot(key)
	sl.writing--
	if e != nil && sh.good(sl, p) && sl.told < 2 {
		e.own = sl.told == 0
		sh.enter(c, key, e)
	}
	sl.age++
}

// tell drops a record of which the store tells that it has changed, unless that is
// how it tells this process of what it did itself. Where the store tells of two
// changes at once, the other one is missed until the lease is over.
func (sh *shard) tell(c *cache, key digest) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sl, e := sh.slot(key), sh.entries[key]
	switch {
	case sl.writing > 0: // nothing is known of it
		sl.told++
	case e != nil && e.own:
		known := *e
		known.own = false
		sh.entries[key] = &known
	default:
		sh.drop(c, key)
		sl.age++
	}
}

// enter and drop are called with the lock held.

func (sh *shard) enter(c *cache, key digest, e *entry) {
	sh.drop(c, key)
	if c.closed.Load() || c.maxBytes > 0 && e.size() > c.maxBytes {
		return
	}
	for c.full(e.size()) {
		if len(sh.entries) == 0 {
			return // what is in the way belongs to other shards
		}
		for other := range sh.entries {
			sh.drop(c, other)
			break
		}
	}
	sh.entries[key] = e
	c.records.Add(1)
	c.bytes.Add(e.size())
	c.sweeper.start(c)
}

func (sh *shard) drop(c *cache, key digest) {
	if e := sh.entries[key]; e != nil {
		delete(sh.entries, key)
		c.records.Add(-1)
		c.bytes.Add(-e.size())
	}
}

// full reports whether there is no room for an entry of this size. Shards that
// enter something at the same time may exceed the bounds by one record each.
func (c *cache) full(size int64) bool {
	return c.maxRecords > 0 && c.records.Load() >= c.maxRecords ||
		c.maxBytes > 0 && c.bytes.Load()+size > c.maxBytes
}

// parseDigest returns the digest that [session.Digest] gives as text.
func parseDigest(text string) (digest, bool) {
	var d digest
	if len(text) != hex.EncodedLen(len(d)) {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(text))
	return d, err == nil
}
