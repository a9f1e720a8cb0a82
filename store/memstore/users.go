package memstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

const userShardCount = 256

// A userShard has the accounts of users whose names have a certain hash. Its
// lock is taken before that of any shard, never after.
type userShard struct {
	mu       sync.Mutex
	accounts map[string]*account
	list     []*account // the same, in no order, to sweep in steps
	hand     int        // the account that is swept next
	peak     int        // the most accounts since the map was made
}

// An account has the records of a user. It does not hear when one of them is
// deleted, evicted, or dies: the shard is asked, which knows a record by its
// number and cannot take another under the same id for it. So records without
// an owner cost nothing, and a record that goes needs no other lock.
type account struct {
	user    string
	entries []entry // oldest first, the dead among them
	revoked *revocation
	at      int32 // in userShard.list
	clean   int32 // how many entries there were when the dead were last removed
	swept   int32 // the entry that is swept next
}

// A revocation is the latest moment that RevokeUser was given, and until when
// it counts.
type revocation struct{ at, until time.Time }

// refuses reports whether a sign-in that began at asOf is refused.
func (r *revocation) refuses(asOf, now time.Time) bool {
	return r != nil && now.Before(r.until) && !r.at.Before(asOf)
}

// An entry leads to a record.
type entry struct{ hash, number uint64 }

func (s *Store) userShard(user string) *userShard {
	return &s.users[hashString(s.seed, user)%userShardCount]
}

// account returns the user's account, making it if there is none.
func (u *userShard) account(s *Store, user string) *account {
	a := u.accounts[user]
	if a == nil {
		a = &account{user: user, at: int32(len(u.list))}
		u.accounts[user] = a
		u.list = append(u.list, a)
		u.peak = max(u.peak, len(u.list))
		s.accounts.Add(1)
	}
	return a
}

// drop forgets an account.
func (u *userShard) drop(s *Store, a *account) {
	last := len(u.list) - 1
	u.list[a.at] = u.list[last]
	u.list[a.at].at = a.at
	u.list[last] = nil
	u.list = u.list[:last]
	delete(u.accounts, a.user)
	s.accounts.Add(-1)
	// Neither a map nor a slice gives room back by itself.
	if u.peak > 64 && last < u.peak/4 {
		accounts := make(map[string]*account, last)
		for _, a := range u.list {
			accounts[a.user] = a
		}
		u.accounts, u.list, u.peak = accounts, slices.Clone(u.list), last
	}
}

// live reports whether the entry's record is.
func (s *Store) live(e entry, now time.Time) bool {
	sh := &s.shards[shardOf(e.hash)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.findNumber(e.hash, e.number, now) >= 0
}

// prune removes the entries of dead records.
func (a *account) prune(s *Store, now time.Time) {
	a.swept = 0
	a.sweep(s, len(a.entries), now)
	a.clean = int32(len(a.entries))
}

// sweep is prune for the next n entries. It reports whether there are more.
func (a *account) sweep(s *Store, n int, now time.Time) (more bool) {
	from := min(int(a.swept), len(a.entries))
	to := min(from+n, len(a.entries))
	kept := slices.DeleteFunc(a.entries[from:to], func(e entry) bool { return !s.live(e, now) })
	a.swept = int32(from + len(kept))
	more = to < len(a.entries)
	a.entries = slices.Delete(a.entries, from+len(kept), to)
	if !more {
		a.swept = 0
	}
	if c := cap(a.entries); c > 4 && len(a.entries) < c/4 {
		a.entries = slices.Clone(a.entries)
	}
	return more
}

// sweep looks at about n entries of the next accounts, and reports whether
// there are more accounts.
func (u *userShard) sweep(s *Store, n int, now time.Time) (more bool) {
	for n > 0 {
		if u.hand >= len(u.list) {
			u.hand = 0
			return false
		}
		a := u.list[u.hand]
		before := n
		n -= 1 + len(a.entries)
		if a.sweep(s, before, now) {
			continue
		}
		if len(a.entries) == 0 && (a.revoked == nil || !now.Before(a.revoked.until)) {
			u.drop(s, a)
		} else {
			u.hand++
		}
	}
	return true
}

// lock locks the shards of all hashes, each once, in the order of their
// numbers so that no two callers wait for each other.
func (s *Store) lock(hashes []uint64) (unlock func()) {
	shards := make([]int, len(hashes))
	for i, hash := range hashes {
		shards[i] = shardOf(hash)
	}
	slices.Sort(shards)
	shards = slices.Compact(shards)
	for _, i := range shards {
		s.shards[i].mu.Lock()
	}
	return func() {
		for _, i := range shards {
			s.shards[i].mu.Unlock()
		}
	}
}

// createOwned is Create for a record with an owner.
func (s *Store) createOwned(k *key, rec session.Record, now time.Time) error {
	owner := rec.Owner
	u := s.userShard(owner.User)
	u.mu.Lock()
	defer u.mu.Unlock()
	var victims []entry
	if a := u.accounts[owner.User]; a != nil {
		if a.revoked.refuses(owner.AsOf, now) {
			return session.ErrRevoked
		}
		// This goes before the dead are removed: a record that is deleted
		// in between must not count as one that nobody replaces.
		replaced := s.entryOf(owner.Replaces)
		if owner.Max > 0 || len(a.entries) > 2*int(a.clean)+8 {
			a.prune(s, now)
		}
		if owner.Max > 0 {
			counted := slices.DeleteFunc(slices.Clone(a.entries), func(e entry) bool { return e == replaced })
			if over := len(counted) + 1 - owner.Max; over > 0 {
				if owner.Reject {
					return session.ErrTooManySessions
				}
				victims = counted[:over]
			}
		}
	}
	hashes := []uint64{k.hash}
	for _, e := range victims {
		hashes = append(hashes, e.hash)
	}
	number := s.seq.Add(1)
	err := func() error {
		defer s.lock(hashes)()
		sh := &s.shards[k.shard()]
		if sh.findLive(k, now) >= 0 {
			return session.ErrExists
		}
		for _, e := range victims {
			sh := &s.shards[shardOf(e.hash)]
			if i := sh.findNumber(e.hash, e.number, now); i >= 0 {
				sh.remove(i)
			}
		}
		return sh.create(k, rec, number, now)
	}()
	if err != nil {
		return err
	}
	a := u.account(s, owner.User)
	if len(victims) > 0 { // in the same order as in the account
		a.entries = slices.DeleteFunc(a.entries, func(e entry) bool {
			ended := len(victims) > 0 && e == victims[0]
			if ended {
				victims = victims[1:]
			}
			return ended
		})
	}
	a.entries = append(a.entries, entry{k.hash, number})
	return nil
}

// entryOf returns the entry of the record under id, or one that no account has.
func (s *Store) entryOf(id string) entry {
	var k key
	if !k.set(s.seed, id) {
		return entry{}
	}
	sh := &s.shards[k.shard()]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	i := sh.find(&k)
	if i < 0 {
		return entry{}
	}
	return entry{k.hash, sh.number(i)}
}

// UserIDs implements [session.UserIndex].
func (s *Store) UserIDs(ctx context.Context, user string) ([]string, error) {
	if err := s.begin(ctx, "list sessions of a user"); err != nil {
		return nil, err
	}
	now := time.Now()
	u := s.userShard(user)
	u.mu.Lock()
	defer u.mu.Unlock()
	a := u.accounts[user]
	if a == nil {
		return nil, nil
	}
	ids := make([]string, 0, len(a.entries))
	for _, e := range a.entries {
		sh := &s.shards[shardOf(e.hash)]
		sh.mu.Lock()
		if i := sh.findNumber(e.hash, e.number, now); i >= 0 {
			ids = append(ids, sh.id(i))
		}
		sh.mu.Unlock()
	}
	return ids, nil
}

// RevokeUser implements [session.UserIndex]. It remembers the moment for 25
// hours. An empty user has no records, and nothing is remembered.
func (s *Store) RevokeUser(ctx context.Context, user string, at time.Time, except ...string) (int, error) {
	if err := s.begin(ctx, "revoke sessions of a user"); err != nil {
		return 0, err
	}
	if user == "" {
		return 0, nil
	}
	now := time.Now()
	u := s.userShard(user)
	u.mu.Lock()
	defer u.mu.Unlock()
	a := u.account(s, user)
	n := s.revoke(a, except, now)
	if r := a.revoked; r != nil && now.Before(r.until) && r.at.After(at) {
		at = r.at
	}
	// A moment that is still to come counts for as long after it has.
	from := now
	if at.After(from) {
		from = at
	}
	a.revoked = &revocation{at, from.Add(contract.RevocationKept)}
	s.sweeper.start(s)
	return n, nil
}

// revoke ends the records of an account but those under the ids in except.
func (s *Store) revoke(a *account, except []string, now time.Time) int {
	hashes := make([]uint64, len(a.entries))
	for i, e := range a.entries {
		hashes[i] = e.hash
	}
	spared := make(map[string]bool, len(except))
	for _, id := range except {
		spared[id] = true
	}
	defer s.lock(hashes)()
	n := 0
	kept := a.entries[:0]
	for _, e := range a.entries {
		sh := &s.shards[shardOf(e.hash)]
		i := sh.findNumber(e.hash, e.number, now)
		switch {
		case i < 0:
		case spared[sh.id(i)]:
			kept = append(kept, e)
		default:
			sh.remove(i)
			n++
		}
	}
	a.entries, a.clean = slices.Clone(kept), int32(len(kept))
	return n
}
