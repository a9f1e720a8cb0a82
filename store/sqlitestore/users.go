package sqlitestore

import (
	"context"
	"database/sql/driver"
	"slices"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// Create implements [session.Store], and does what [session.Owner] asks.
func (s *Store) Create(ctx context.Context, id string, rec session.Record) error {
	err := contract.CheckData(rec.Data, maxData)
	if err == nil {
		err = s.writer.do(ctx, true, func(c *conn, now int64) error {
			return createRecord(c, id, rec, now)
		})
	}
	return s.fail("create session", err)
}

// createRecord changes nothing before it knows that it will not answer with one
// of the contract's errors: those do not roll the transaction back.
func createRecord(c *conn, id string, rec session.Record, now int64) error {
	expires, err := expiry(rec.Deadline, now)
	if err != nil {
		return err
	}
	var owner any
	if rec.Owner.User != "" {
		owner = []byte(rec.Owner.User)
		if rec.Owner.Replaces == id {
			rec.Owner.Replaces = "" // what is there is dead, or in the way
		}
		if err := admit(c, id, rec.Owner, now); err != nil {
			return err
		}
	}
	if _, err := c.exec(removeDead, id, now); err != nil {
		return err
	}
	inserted, err := c.exec(insert, id, owner, expires, rec.Data)
	if err != nil {
		return err
	}
	if inserted == 0 {
		return session.ErrExists
	}
	if owner != nil && rec.Owner.Max > 0 {
		live, err := number(context.Background(), c, ownedCount, owner, now, rec.Owner.Replaces)
		if err == nil && live > int64(rec.Owner.Max) {
			// The new record is the last in the order of creation.
			_, err = c.exec(evict, owner, now, rec.Owner.Replaces, live-int64(rec.Owner.Max))
		}
		return err
	}
	return nil
}

// admit says whether a record of this owner may be created.
func admit(c *conn, id string, owner session.Owner, now int64) error {
	user := []byte(owner.User)
	err := c.query(context.Background(), revokedAt, 1, func(row []driver.Value) error {
		if row[0].(int64) >= contract.Nanos(owner.AsOf) {
			return session.ErrRevoked
		}
		return nil
	}, user)
	if err != nil || owner.Max <= 0 || !owner.Reject {
		return err
	}
	if err := lives(c, id, now, session.ErrExists); err != session.ErrNotFound {
		return err
	}
	live, err := number(context.Background(), c, ownedCount, user, now, owner.Replaces)
	if err == nil && live >= int64(owner.Max) {
		err = session.ErrTooManySessions
	}
	return err
}

// number runs a query for a single integer.
func number(ctx context.Context, c *conn, q statement, args ...any) (n int64, err error) {
	err = c.query(ctx, q, 1, func(row []driver.Value) error {
		n = row[0].(int64)
		return nil
	}, args...)
	return n, err
}

// UserIDs implements [session.UserIndex]. It returns the ids of live records
// only.
func (s *Store) UserIDs(ctx context.Context, user string) ([]string, error) {
	var ids []string
	err := s.readers.do(ctx, func(c *conn) error {
		ids = nil
		return c.query(ctx, owned, 1, func(row []driver.Value) error {
			ids = append(ids, row[0].(string))
			return nil
		}, []byte(user), time.Now().UnixMilli())
	})
	if err != nil {
		return nil, s.fail("list user's sessions", err)
	}
	return ids, nil
}

// RevokeUser implements [session.UserIndex]. The empty user, whom no record
// belongs to, has nothing to revoke.
func (s *Store) RevokeUser(ctx context.Context, user string, at time.Time, except ...string) (int, error) {
	if user == "" {
		return 0, nil
	}
	ended := 0
	err := s.writer.do(ctx, true, func(c *conn, now int64) (err error) {
		ended, err = revokeUser(c, []byte(user), at, except, now)
		return err
	})
	if err != nil {
		return 0, s.fail("revoke user's sessions", err)
	}
	return ended, nil
}

func revokeUser(c *conn, user []byte, at time.Time, except []string, now int64) (ended int, err error) {
	if _, err := c.exec(revoke, user, contract.Nanos(at), now+contract.RevocationKept.Milliseconds()); err != nil {
		return 0, err
	}
	var doomed []int64
	err = c.query(context.Background(), ownedAll, 3, func(row []driver.Value) error {
		if slices.Contains(except, row[1].(string)) {
			return nil
		}
		doomed = append(doomed, row[0].(int64))
		if row[2].(int64) > now {
			ended++
		}
		return nil
	}, user)
	if err != nil {
		return 0, err
	}
	for _, seq := range doomed {
		if _, err := c.exec(removeSeq, seq); err != nil {
			return 0, err
		}
	}
	return ended, nil
}
