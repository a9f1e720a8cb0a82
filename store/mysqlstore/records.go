package mysqlstore

import (
	"bytes"
	"cmp"
	"context"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
	"github.com/pillboxgo/pillbox/store/internal/sqltable"
)

// Load implements [session.Store]. A Load with a Slide waits for a transaction
// that holds the record's row, even if its deadline need not be moved. The Owner
// of the record is not filled in.
//
// On a server that has become read-only, records whose deadline need not be moved
// can still be loaded.
func (s *Store) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	var rec session.Record
	err := s.do(ctx, "load session", func(l *layout) (err error) {
		to, due := int64(0), int64(0)
		if !slide.To.IsZero() {
			to = l.seconds(slide.To)
			due = to
			if !slide.Before.IsZero() {
				due = min(to, contract.Seconds(slide.Before))
			}
		}
		if l.several && due > 0 {
			rec, err = s.slideAndRead(ctx, id, to, due)
			if !isReadOnly(err) {
				return err
			}
		}
		rec, err = s.readAndSlide(ctx, id, to, due)
		return err
	})
	if err != nil {
		return session.Record{}, err
	}
	return rec, nil
}

// slideAndRead moves the deadline to the moment to if it is before the moment due,
// and takes one round trip. The transaction keeps others from changing between the
// two statements what the first has moved.
func (s *Store) slideAndRead(ctx context.Context, id string, to, due int64) (rec session.Record, err error) {
	for {
		var answer error
		err = s.transact(ctx, func(q querier) error {
			load, found := s.load(id)
			err := steps(ctx, q, true,
				step{statement: "START TRANSACTION"},
				step{statement: s.table.slide(id, to, due, "")},
				load, commit)
			rec, answer = found()
			return err
		})
		// A record that is due all the same has come, or got that deadline,
		// after the first statement.
		if err != nil || answer != nil || rec.Deadline.Unix() >= due {
			return rec, cmp.Or(err, answer)
		}
	}
}

// readAndSlide takes a second round trip if the deadline has to be moved. It
// moves that of the data which it has read, or reads again.
func (s *Store) readAndSlide(ctx context.Context, id string, to, due int64) (session.Record, error) {
	for {
		load, found := s.load(id)
		if err := steps(ctx, s.db, true, load); err != nil {
			return session.Record{}, err
		}
		rec, err := found()
		if err != nil || rec.Deadline.Unix() >= due {
			return rec, err
		}
		moved, expires, err := exec(ctx, s.db, s.table.slide(id, to, due, " AND "+s.table.holds(rec.Data)))
		if err != nil || moved > 0 || expires > 0 {
			rec.Deadline = time.Unix(to, 0)
			return rec, err
		}
	}
}

// load returns the step that reads a record, and what it has found once it is
// done.
func (s *Store) load(id string) (step, func() (session.Record, error)) {
	var rec session.Record
	err := session.ErrNotFound
	load := step{s.table.load(id), 2, func(scan func(...any) error) error {
		var expires int64
		err = scan(&rec.Data, &expires)
		rec.Deadline = time.Unix(expires, 0)
		if err == nil && len(rec.Data) == 0 {
			err = session.ErrDamaged // null, which Express never writes
		}
		return nil
	}}
	return load, func() (session.Record, error) { return rec, err }
}

// insert stores a new record, unless a live one is in the way, and then does
// what comes after it.
func (s *Store) insert(ctx context.Context, q querier, l *layout, id, statement string, after ...step) error {
	for try := 1; ; try++ {
		err := steps(ctx, q, l.several, append([]step{{statement: statement}}, after...)...)
		if code(err) != errDuplicateKey || try == insertTries {
			return err
		}
		removed, _, err := exec(ctx, q, s.table.removeDead(s.table.at(id)))
		if err != nil {
			return err
		}
		if removed > 0 {
			continue
		}
		live, err := exists(ctx, q, s.table.alive(s.table.at(id)))
		switch {
		case err != nil:
			return err
		case live:
			return session.ErrExists
		}
		// It ended just now.
	}
}

// insertTries bounds the attempts where no record is in the way, as when the
// application has made another column of the table unique.
const insertTries = 8

func exists(ctx context.Context, q querier, statement string) (bool, error) {
	found := false
	err := query(ctx, q, statement, 1, func(func(...any) error) error {
		found = true
		return nil
	})
	return found, err
}

// Update implements [session.Store]. It compares the SHA-256 of what is stored
// with that of old.
func (s *Store) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	return s.do(ctx, "update session", func(l *layout) error {
		if err := l.check(data); err != nil {
			return err
		}
		expires, err := l.expiry(deadline)
		if err != nil {
			return err
		}
		changed, told, err := exec(ctx, s.db, s.table.update(id, old, data, expires))
		switch {
		case err != nil:
			return err
		case changed > 0 || told == updateDone:
			return nil
		case told == updateConflict:
			return session.ErrConflict
		case !bytes.Equal(old, data):
			return session.ErrNotFound
		}
		return s.settle(ctx, id, s.table.holds(data)+" AND "+s.table.expires+" = "+number(expires))
	})
}

// Touch implements [session.Store].
func (s *Store) Touch(ctx context.Context, id string, deadline time.Time) error {
	return s.do(ctx, "touch session", func(l *layout) error {
		to := l.seconds(deadline)
		changed, expires, err := exec(ctx, s.db, s.table.touch(id, to))
		if err != nil || changed > 0 || expires > 0 {
			return err
		}
		return s.settle(ctx, id, s.table.expires+" >= "+number(to))
	})
}

// settle says what an UPDATE has left open that changed nothing and told nothing.
// Either it has found no record; or the record was already like that, and the
// table has a trigger: an UPDATE that fires one tells no insert id. Where there is
// a record by now that is not like that, it came later, and the UPDATE is sent
// again.
func (s *Store) settle(ctx context.Context, id, like string) error {
	err := session.ErrNotFound
	failed := query(ctx, s.db, s.table.is(id, like), 1, func(scan func(...any) error) error {
		var alike bool
		if err := scan(&alike); err != nil {
			return err
		}
		if err = sqltable.ErrAgain; alike {
			err = nil
		}
		return nil
	})
	return cmp.Or(failed, err)
}

// Delete implements [session.Store].
func (s *Store) Delete(ctx context.Context, id string, old []byte) error {
	return s.do(ctx, "delete session", func(*layout) error {
		if old == nil {
			_, _, err := exec(ctx, s.db, s.table.remove(id))
			return err
		}
		removed, _, err := exec(ctx, s.db, s.table.removeIf(id, old))
		if err != nil || removed > 0 {
			return err
		}
		live, err := exists(ctx, s.db, s.table.alive(s.table.exactly(id)))
		switch {
		case err != nil:
			return err
		case live:
			return session.ErrConflict
		}
		return session.ErrNotFound
	})
}
