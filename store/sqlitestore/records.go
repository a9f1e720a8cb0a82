package sqlitestore

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// maxData bounds a record's data. SQLite's own bound is a billion bytes a row.
const maxData = 512 << 20

// expiry returns a deadline for the table, or an error if it is not after now.
func expiry(deadline time.Time, now int64) (int64, error) {
	ms := contract.Millis(deadline)
	if ms <= now {
		return 0, contract.ErrDeadline
	}
	return ms, contract.CheckDeadline(deadline, time.Now())
}

// Load implements [session.Store]. A Load that moves the deadline needs the
// write lock for it, and fails if it cannot get it; one that does not, reads
// only. The Owner of the record is not filled in.
func (s *Store) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	var rec session.Record
	err := s.readers.do(ctx, func(c *conn) (err error) {
		rec, err = read(c, id, time.Now().UnixMilli())
		return err
	})
	if err == nil && slide.Moves(rec.Deadline) {
		// The record is read again under the lock: the data must be what
		// was there when the deadline was moved.
		err = s.writer.do(ctx, false, func(c *conn, now int64) (err error) {
			var before any
			if !slide.Before.IsZero() {
				before = contract.Millis(slide.Before)
			}
			if _, err := c.exec(touch, id, now, contract.Millis(slide.To), before); err != nil {
				return err
			}
			rec, err = read(c, id, now)
			return err
		})
	}
	if err != nil {
		return session.Record{}, s.fail("load session", err)
	}
	return rec, nil
}

func read(c *conn, id string, now int64) (session.Record, error) {
	var rec session.Record
	found := false
	err := c.query(context.Background(), load, 2, func(row []driver.Value) error {
		found = true
		rec.Data = row[0].([]byte)
		rec.Deadline = time.UnixMilli(row[1].(int64))
		return nil
	}, id, now)
	if err == nil && !found {
		err = session.ErrNotFound
	}
	return rec, err
}

// lives returns what the contract answers when nothing was changed: that the
// record does not exist, or what otherwise says.
func lives(c *conn, id string, now int64, otherwise error) error {
	err := session.ErrNotFound
	if e := c.query(context.Background(), alive, 1, func([]driver.Value) error {
		err = otherwise
		return nil
	}, id, now); e != nil {
		return e
	}
	return err
}

// Update implements [session.Store].
func (s *Store) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	err := contract.CheckData(data, maxData)
	if err == nil {
		err = s.writer.do(ctx, true, func(c *conn, now int64) error {
			expires, err := expiry(deadline, now)
			if err != nil {
				return err
			}
			changed, err := c.exec(update, id, now, old, data, expires)
			if err != nil || changed == 1 {
				return err
			}
			return lives(c, id, now, session.ErrConflict)
		})
	}
	return s.fail("update session", err)
}

// Touch implements [session.Store].
func (s *Store) Touch(ctx context.Context, id string, deadline time.Time) error {
	return s.fail("touch session", s.writer.do(ctx, false, func(c *conn, now int64) error {
		changed, err := c.exec(touch, id, now, contract.Millis(deadline), nil)
		if err != nil || changed == 1 {
			return err
		}
		return lives(c, id, now, nil)
	}))
}

// Delete implements [session.Store].
func (s *Store) Delete(ctx context.Context, id string, old []byte) error {
	return s.fail("delete session", s.writer.do(ctx, true, func(c *conn, now int64) error {
		if old == nil {
			_, err := c.exec(remove, id)
			return err
		}
		changed, err := c.exec(removeIf, id, now, old)
		if err != nil || changed == 1 {
			return err
		}
		return lives(c, id, now, session.ErrConflict)
	}))
}
