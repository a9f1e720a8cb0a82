package history

import (
	"bytes"
	"context"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// A ledger is a correct store in memory or, if bug is set, one that is broken in
// the one way that bug names. A broken one lets others go first where it is to
// lose a race, never with its lock held.
type ledger struct {
	bug string

	mu      sync.Mutex
	rows    map[string]*entry
	graves  map[string]*entry // what was deleted last under an id
	seq     int
	revoked map[string]time.Time
}

type entry struct {
	session.Record
	seq int
	old session.Record // what it held before the latest Update

	condemned bool // by a RevokeUser that is about to end it
}

func newLedger(bug string) *ledger {
	return &ledger{bug: bug, rows: map[string]*entry{}, graves: map[string]*entry{}, revoked: map[string]time.Time{}}
}

// is reports whether the ledger is broken like this.
func (l *ledger) is(bug string) bool { return l.bug == bug }

// pause lets others go first in a ledger that is broken like this.
func (l *ledger) pause(bug string) {
	if !l.is(bug) {
		return
	}
	l.mu.Unlock()
	for range 20 {
		runtime.Gosched()
	}
	l.mu.Lock()
}

// lock begins a method.
func (l *ledger) lock(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	runtime.Gosched() // on the way to a server
	l.mu.Lock()
	return l.mu.Unlock, nil
}

func (l *ledger) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	unlock, err := l.lock(ctx)
	if err != nil {
		return session.Record{}, err
	}
	defer unlock()
	r := l.rows[id]
	if r == nil && l.is("serves what was deleted, now and then") && rand.IntN(20) == 0 {
		r = l.graves[id]
	}
	if r == nil {
		return session.Record{}, session.ErrNotFound
	}
	if l.is("reads from a replica that lags") && r.old.Data != nil && rand.IntN(20) == 0 {
		return session.Record{Data: bytes.Clone(r.old.Data), Deadline: r.old.Deadline}, nil
	}
	before := r.Deadline
	moves := slide.Moves(r.Deadline)
	switch l.bug {
	case "slides back":
		moves = !slide.To.IsZero() && (slide.Before.IsZero() || r.Deadline.Before(slide.Before))
	case "slides past Before":
		moves = slide.To.After(r.Deadline)
	}
	if moves {
		r.Deadline = slide.To
	}
	rec := session.Record{Data: bytes.Clone(r.Data), Deadline: r.Deadline}
	if l.is("returns the deadline from before the slide") {
		rec.Deadline = before
	}
	if l.is("returns the data of another version") && rand.IntN(100) == 0 {
		rec.Data = append(rec.Data, ' ')
	}
	return rec, nil
}

// put stores a record.
func (l *ledger) put(id string, rec session.Record) {
	rec.Data = bytes.Clone(rec.Data)
	l.seq++
	l.rows[id] = &entry{Record: rec, seq: l.seq}
}

// drop ends a record.
func (l *ledger) drop(id string) {
	if r := l.rows[id]; r != nil {
		l.graves[id] = r
		delete(l.rows, id)
	}
}

func (l *ledger) Create(ctx context.Context, id string, rec session.Record) error {
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if l.rows[id] != nil && !l.is("creates over what is there") {
		return session.ErrExists
	}
	l.pause("creates without a lock")
	if l.is("creates nothing where something was deleted") && l.graves[id] != nil {
		return nil
	}
	var doomed []string
	if owner := rec.Owner; owner.User != "" {
		l.finish(owner.User)
		if doomed, err = l.admit(owner); err != nil {
			if l.is("stores what it refuses") {
				l.put(id, rec)
			}
			return err
		}
	}
	l.pause("admits before it creates")
	for _, id := range doomed {
		l.drop(id)
	}
	l.put(id, rec)
	return nil
}

// admit decides on a sign-in, and returns what has to end for it.
func (l *ledger) admit(owner session.Owner) (doomed []string, err error) {
	at, ok := l.revoked[owner.User]
	late := ok && !at.Before(owner.AsOf)
	switch l.bug {
	case "takes AsOf to the millisecond for later":
		late = ok && at.After(owner.AsOf)
	case "forgets revocations":
		late = false
	}
	if late {
		return nil, session.ErrRevoked
	}
	ids := l.ids(owner.User)
	if !l.is("counts what is replaced") {
		ids = slices.DeleteFunc(ids, func(id string) bool { return id == owner.Replaces })
	}
	count := len(ids)
	if l.is("counts the dead") {
		for id, r := range l.graves {
			if l.rows[id] == nil && r.Owner.User == owner.User {
				count++
			}
		}
	}
	if owner.Max <= 0 || count < owner.Max {
		return nil, nil
	}
	if owner.Reject {
		return nil, session.ErrTooManySessions
	}
	n := min(count-owner.Max+1, len(ids))
	switch l.bug {
	case "ends the newest":
		return ids[len(ids)-n:], nil
	case "ends one too few":
		return ids[:n-1], nil
	case "ends all":
		return ids, nil
	}
	return ids[:n], nil
}

func (l *ledger) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	r := l.rows[id]
	switch {
	case r == nil && l.is("upserts by Update"):
		l.put(id, session.Record{Data: data, Deadline: deadline})
		return nil
	case r == nil:
		return session.ErrNotFound
	case !bytes.Equal(r.Data, old):
		if l.is("moves the deadline in spite of a conflict") {
			r.Deadline = deadline
		}
		return session.ErrConflict
	}
	r.old = session.Record{Data: r.Data, Deadline: r.Deadline}
	l.pause("compares before it swaps")
	if l.is("writes back what was deleted meanwhile") {
		l.pause(l.bug)
		l.rows[id] = r
	}
	if l.is("loses an Update now and then") && rand.IntN(50) == 0 {
		return nil
	}
	r.Data, r.Deadline = bytes.Clone(data), deadline
	if l.is("updates, and says that it could not") && rand.IntN(50) == 0 {
		return session.ErrConflict
	}
	return nil
}

func (l *ledger) Touch(ctx context.Context, id string, deadline time.Time) error {
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	r := l.rows[id]
	if r == nil && l.is("revives by Touch") && l.graves[id] != nil {
		r = l.graves[id]
		l.rows[id] = r
	}
	if r == nil {
		return session.ErrNotFound
	}
	if deadline.After(r.Deadline) || l.is("touches back") {
		r.Deadline = deadline
	}
	return nil
}

func (l *ledger) Delete(ctx context.Context, id string, old []byte) error {
	unlock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if old != nil {
		switch r := l.rows[id]; {
		case r == nil && !l.is("deletes the absent with an old"):
			return session.ErrNotFound
		case r != nil && !bytes.Equal(r.Data, old) && !l.is("deletes what was changed"):
			return session.ErrConflict
		}
		l.pause("compares before it deletes")
	}
	if l.is("deletes later") {
		go func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.pause(l.bug)
			l.drop(id)
		}()
		return nil
	}
	r := l.rows[id]
	l.drop(id)
	if r != nil && l.is("restores what was deleted") {
		go func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.pause(l.bug)
			l.rows[id] = r
		}()
	}
	return nil
}

// finish ends what a RevokeUser has condemned that is still at it.
func (l *ledger) finish(user string) {
	for id, r := range l.rows {
		if r.condemned && r.Owner.User == user {
			l.drop(id)
		}
	}
}

// ids returns those of a user's records, oldest first.
func (l *ledger) ids(user string) []string {
	ids := slices.DeleteFunc(slices.Collect(maps.Keys(l.rows)), func(id string) bool {
		return l.rows[id].Owner.User != user || l.rows[id].condemned
	})
	slices.SortFunc(ids, func(a, b string) int { return l.rows[a].seq - l.rows[b].seq })
	return ids
}

func (l *ledger) UserIDs(ctx context.Context, user string) ([]string, error) {
	unlock, err := l.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	ids := l.ids(user)
	switch l.bug {
	case "lists the newest first":
		slices.Reverse(ids)
	case "lists all but one":
		ids = ids[:max(0, len(ids)-1)]
	case "lists everybody's":
		for id, r := range l.rows {
			if r.Owner.User == "" {
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

func (l *ledger) RevokeUser(ctx context.Context, user string, at time.Time, except ...string) (int, error) {
	unlock, err := l.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	l.finish(user)
	doomed := slices.DeleteFunc(l.ids(user), func(id string) bool { return slices.Contains(except, id) })
	switch l.bug {
	case "spares nobody":
		doomed = l.ids(user)
	case "spares the newest":
		doomed = doomed[:max(0, len(doomed)-1)]
	}
	l.pause("looks before it revokes")
	if at.After(l.revoked[user]) || l.is("takes the last moment for the latest") {
		l.revoked[user] = at
	}
	if l.is("revokes later") {
		go func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.pause(l.bug)
			for _, id := range doomed {
				l.drop(id)
			}
		}()
		return len(doomed), nil
	}
	for _, id := range doomed {
		if r := l.rows[id]; r != nil {
			r.condemned = true
		}
	}
	for _, id := range doomed {
		l.pause("ends records one by one")
		l.drop(id)
	}
	if l.is("miscounts") {
		return len(doomed) + 1, nil
	}
	return len(doomed), nil
}
