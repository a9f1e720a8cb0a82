package memstore

import (
	"container/heap"
	"context"
	"slices"
	"time"
)

// List implements [session.Lister]. It goes through the shards, and through
// each in the order of ids, which no change to other records disturbs. The
// cursor is the last id that was returned; it means something to this store
// alone.
func (s *Store) List(ctx context.Context, cursor string, limit int) (ids []string, next string, err error) {
	if err := s.begin(ctx, "list sessions"); err != nil {
		return nil, "", err
	}
	if limit < 1 {
		return nil, "", errLimit
	}
	first := 0
	if cursor != "" {
		first = shardOf(hashString(s.seed, cursor))
	}
	for i := first; i < shardCount; i++ {
		if err := s.begin(ctx, "list sessions"); err != nil {
			return nil, "", err
		}
		ids = append(ids, s.shards[i].after(cursor, limit-len(ids))...)
		if len(ids) == limit {
			return ids, ids[limit-1], nil
		}
		cursor = ""
	}
	return ids, "", nil
}

// after returns the first ids of the shard that come after one.
func (sh *shard) after(id string, limit int) []string {
	var ids highest
	now := time.Now()
	sh.mu.Lock()
	defer sh.mu.Unlock()
	for i := range sh.slots {
		if !sh.slots[i].live(now) {
			continue
		}
		switch found := sh.id(i); {
		case found <= id:
		case len(ids) < limit:
			heap.Push(&ids, found)
		case found < ids[0]:
			ids[0] = found
			heap.Fix(&ids, 0)
		}
	}
	slices.Sort(ids)
	return ids
}

// highest is a heap of ids with the highest on top.
type highest []string

func (h highest) Len() int           { return len(h) }
func (h highest) Less(i, j int) bool { return h[i] > h[j] }
func (h highest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *highest) Push(x any)        { *h = append(*h, x.(string)) }
func (h *highest) Pop() any          { panic("not needed") }

// Count implements [session.Counter]. It looks at every record.
func (s *Store) Count(ctx context.Context) (int, error) {
	n := 0
	for i := range s.shards {
		if err := s.begin(ctx, "count sessions"); err != nil {
			return 0, err
		}
		sh := &s.shards[i]
		sh.mu.Lock()
		now := time.Now()
		for i := range sh.slots {
			if sh.slots[i].live(now) {
				n++
			}
		}
		sh.mu.Unlock()
	}
	return n, nil
}

// Clear implements [session.Clearer]. What [Store.RevokeUser] remembers stays
// remembered: a sign-in that was revoked does not become valid by it.
func (s *Store) Clear(ctx context.Context) error {
	if err := s.begin(ctx, "clear sessions"); err != nil {
		return err
	}
	s.reset()
	return nil
}

// reset ends all records at once. It holds all locks while it forgets where
// they are, which takes no longer the more there are.
func (s *Store) reset() {
	for i := range s.users {
		s.users[i].mu.Lock()
		defer s.users[i].mu.Unlock()
	}
	for i := range s.shards {
		s.shards[i].mu.Lock()
	}
	for i := range s.shards {
		s.shards[i].reset()
	}
	for i := range s.shards {
		s.shards[i].mu.Unlock()
	}
	// Entries lead nowhere now; the sweeper removes them.
}

// Prune implements [session.Pruner]. It is not needed, since the store prunes
// itself.
func (s *Store) Prune(ctx context.Context, limit int) (int, error) {
	if err := s.begin(ctx, "prune sessions"); err != nil {
		return 0, err
	}
	if limit < 1 {
		return 0, errLimit
	}
	n := 0
	for i := range s.shards {
		if err := s.begin(ctx, "prune sessions"); err != nil {
			return n, err
		}
		sh := &s.shards[i]
		for at, more := 0, true; more && n < limit; {
			var removed int
			removed, at, more = sh.prune(at, limit-n)
			n += removed
		}
	}
	return n, nil
}

// prune looks at some slots from one on, removes at most limit dead records,
// and returns how many, where to go on, and whether there is more to look at.
func (sh *shard) prune(at, limit int) (removed, next int, more bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	now := time.Now()
	for range sweepLocked {
		if at >= len(sh.slots) {
			return removed, 0, false
		}
		if sh.slots[at].live(now) {
			at++
			continue
		}
		if removed == limit {
			return removed, at, true
		}
		sh.remove(at)
		removed++
	}
	return removed, at, true
}

// Watch implements [session.Watcher]. It also tells of records that are ended
// because a bound was exceeded, and of dead ones when their room is given back.
func (s *Store) Watch(ctx context.Context, changed func(digest string)) error {
	if err := s.begin(ctx, "watch sessions"); err != nil {
		return err
	}
	return s.watchers.Watch(ctx, changed)
}

// tell tells those who watch of a change to the record in slot i.
func (sh *shard) tell(i int) {
	if w := &sh.store.watchers; w.Listening() {
		w.Tell(sh.id(i))
	}
}
