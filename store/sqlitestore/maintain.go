package sqlitestore

import (
	"context"
	"database/sql/driver"
	"strconv"
	"time"

	"github.com/pillboxgo/pillbox/store/internal/contract"
	"github.com/pillboxgo/pillbox/store/internal/prune"
)

// List implements [session.Lister]. The order is that of creation.
func (s *Store) List(ctx context.Context, cursor string, limit int) (ids []string, next string, err error) {
	after, err := parseCursor(cursor)
	if err == nil {
		err = contract.CheckLimit(limit)
	}
	if err == nil {
		var last int64
		err = s.readers.do(ctx, func(c *conn) error {
			ids, last = nil, 0
			return c.query(ctx, list, 2, func(row []driver.Value) error {
				last = row[0].(int64)
				ids = append(ids, row[1].(string))
				return nil
			}, after, time.Now().UnixMilli(), int64(limit))
		})
		if len(ids) == limit {
			next = strconv.FormatInt(last, 10)
		}
	}
	if err != nil {
		return nil, "", s.fail("list sessions", err)
	}
	return ids, next, nil
}

func parseCursor(cursor string) (int64, error) {
	if cursor == "" {
		return 0, nil
	}
	after, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil || after < 1 {
		return 0, contract.ErrCursor
	}
	return after, nil
}

// Count implements [session.Counter]. It takes about 3 ms for 100,000 records.
func (s *Store) Count(ctx context.Context) (int, error) {
	var n int64
	err := s.readers.do(ctx, func(c *conn) (err error) {
		n, err = number(ctx, c, count, time.Now().UnixMilli())
		return err
	})
	return int(n), s.fail("count sessions", err)
}

// Clear implements [session.Clearer]. Revocations stay in force, and so do the
// application's own tables.
func (s *Store) Clear(ctx context.Context) error {
	return s.fail("clear sessions", s.writer.do(ctx, true, func(c *conn, _ int64) error {
		_, err := c.exec(clearAll)
		return err
	}))
}

// Prune implements [session.Pruner]. It removes the records in transactions of
// at most 128, so that it may be given a high limit. If it fails half-way, it
// returns the number of those that it has removed beside the error. It also
// forgets revocations that are no longer needed, which are not counted.
//
// The room is used again for other records, but the file does not become
// smaller. To shrink it, run VACUUM through [Store.DB], which keeps every writer
// waiting meanwhile.
func (s *Store) Prune(ctx context.Context, limit int) (int, error) {
	if err := contract.CheckLimit(limit); err != nil {
		return 0, s.fail("prune sessions", err)
	}
	total := 0
	for total < limit {
		batch := min(prune.Batch, limit-total)
		var removed int64
		err := s.writer.do(ctx, false, func(c *conn, now int64) (err error) {
			if _, err := c.exec(pruneRevocations, now, int64(batch)); err != nil {
				return err
			}
			removed, err = c.exec(pruneDead, now, int64(batch))
			return err
		})
		if err != nil {
			return total, s.fail("prune sessions", err)
		}
		total += int(removed)
		if removed < int64(batch) {
			break
		}
	}
	return total, nil
}
