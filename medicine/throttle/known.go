package throttle

import (
	"container/list"
	"sync"
	"time"
)

// Known remembers keys for a time. Make one with [NewKnown]. Its methods may be
// called concurrently.
type Known struct {
	most int
	keep time.Duration

	mu    sync.Mutex
	keys  map[string]*list.Element // of seen
	order list.List                // the key added last at the front
}

type seen struct {
	key string
	at  time.Time
}

// NewKnown returns a set that remembers the most keys added last, each for keep.
// A most below 1 means 1.
func NewKnown(most int, keep time.Duration) *Known {
	return &Known{most: max(1, most), keep: keep, keys: make(map[string]*list.Element)}
}

// Add remembers a key from now on.
func (k *Known) Add(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e, ok := k.keys[key]; ok {
		k.remove(e)
	}
	for len(k.keys) >= k.most {
		k.remove(k.order.Back())
	}
	k.keys[key] = k.order.PushFront(seen{key, time.Now()})
}

// Has reports whether a key is remembered.
func (k *Known) Has(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, ok := k.keys[key]
	return ok && time.Since(e.Value.(seen).at) < k.keep
}

func (k *Known) remove(e *list.Element) {
	delete(k.keys, e.Value.(seen).key)
	k.order.Remove(e)
}
