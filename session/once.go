package session

import "sync"

// once remembers what was said, so that a client which comes back with the same
// cookie as often as it likes does not fill the log with it. The zero once is
// ready for use.
type once struct {
	mu             sync.Mutex
	recent, before map[uint64]bool
}

// maxOnce bounds each of the two generations that are remembered.
const maxOnce = 1024

// first reports whether a key, given as its hash, comes for the first time among
// the last thousand.
func (o *once) first(key uint64) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.recent[key] || o.before[key] {
		return false
	}
	if o.recent == nil || len(o.recent) == maxOnce {
		o.recent, o.before = make(map[uint64]bool), o.recent
	}
	o.recent[key] = true
	return true
}
