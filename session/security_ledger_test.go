package session_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// A ledger is a store in memory whose rows a test can look into and tamper with,
// as somebody with access to a database can.
type ledger struct {
	mu      sync.Mutex
	rows    map[string]session.Record
	order   []string // of creation
	revoked map[string]time.Time
}

func newLedger() *ledger {
	return &ledger{rows: map[string]session.Record{}, revoked: map[string]time.Time{}}
}

func (l *ledger) live(id string) (session.Record, error) {
	rec, ok := l.rows[id]
	if !ok || !time.Now().Before(rec.Deadline) {
		return session.Record{}, session.ErrNotFound
	}
	return rec, nil
}

func (l *ledger) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec, err := l.live(id)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return session.Record{}, err
	}
	if slide.Moves(rec.Deadline) {
		rec.Deadline = slide.To
		l.rows[id] = rec
	}
	rec.Data = bytes.Clone(rec.Data)
	return rec, nil
}

var errPast = errors.New("ledger: deadline is not in the future")

func (l *ledger) Create(ctx context.Context, id string, rec session.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := l.live(id); err == nil {
		return session.ErrExists
	}
	if !time.Now().Before(rec.Deadline) {
		return errPast
	}
	if o := rec.Owner; o.User != "" {
		if at, ok := l.revoked[o.User]; ok && !at.Before(o.AsOf) {
			return session.ErrRevoked
		}
		ids := slices.DeleteFunc(l.userIDs(o.User), func(id string) bool { return id == o.Replaces })
		if o.Max > 0 && len(ids) >= o.Max {
			if o.Reject {
				return session.ErrTooManySessions
			}
			for _, old := range ids[:len(ids)-o.Max+1] {
				delete(l.rows, old)
			}
		}
	}
	rec.Data = bytes.Clone(rec.Data)
	l.rows[id] = rec
	l.order = append(l.order, id)
	return nil
}

func (l *ledger) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec, err := l.live(id)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case !bytes.Equal(rec.Data, old):
		return session.ErrConflict
	case !time.Now().Before(deadline):
		return errPast
	}
	rec.Data, rec.Deadline = bytes.Clone(data), deadline
	l.rows[id] = rec
	return nil
}

func (l *ledger) Touch(ctx context.Context, id string, deadline time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec, err := l.live(id)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	if deadline.After(rec.Deadline) {
		rec.Deadline = deadline
		l.rows[id] = rec
	}
	return nil
}

func (l *ledger) Delete(ctx context.Context, id string, old []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if old != nil {
		rec, err := l.live(id)
		if err != nil {
			return err
		}
		if !bytes.Equal(rec.Data, old) {
			return session.ErrConflict
		}
	}
	delete(l.rows, id)
	return nil
}

func (l *ledger) userIDs(user string) []string {
	var ids []string
	for _, id := range l.order {
		if rec, err := l.live(id); err == nil && rec.Owner.User == user {
			ids = append(ids, id)
		}
	}
	return ids
}

func (l *ledger) UserIDs(_ context.Context, user string) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.userIDs(user), nil
}

func (l *ledger) RevokeUser(_ context.Context, user string, at time.Time, except ...string) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	spared := map[string]bool{}
	for _, id := range except {
		spared[id] = true
	}
	if at.After(l.revoked[user]) {
		l.revoked[user] = at
	}
	n := 0
	for _, id := range l.userIDs(user) {
		if !spared[id] {
			delete(l.rows, id)
			n++
		}
	}
	return n, nil
}

// count returns the number of live rows.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for id := range l.rows {
		if _, err := l.live(id); err == nil {
			n++
		}
	}
	return n
}

// has reports whether there is a live row under id.
func (l *ledger) has(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.live(id)
	return err == nil
}

// tamper changes the row under id behind the manager's back.
func (l *ledger) tamper(id string, f func(rec *session.Record)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rec := l.rows[id]
	f(&rec)
	l.rows[id] = rec
}

// dump returns all that a thief of the database gets.
func (l *ledger) dump() map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows := map[string]string{}
	for id, rec := range l.rows {
		rows[id] = string(rec.Data)
	}
	return rows
}
