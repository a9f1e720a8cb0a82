package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// pruneBatch is how many records Prune removes in one transaction. Each may read
// the whole table for them, so they are many.
const pruneBatch = 2048

// List implements [session.Lister]. The order is that of the ids, the cursor is
// the last of them.
func (s *Store) List(ctx context.Context, cursor string, limit int) (ids []string, next string, err error) {
	err = contract.CheckLimit(limit)
	if err == nil {
		err = s.do(ctx, func(c *pgx.Conn) error {
			known, err := s.layout(ctx, c)
			if err != nil {
				return err
			}
			ids, err = texts(ctx, c, known.list, cursor, present(), int64(limit))
			return err
		})
	}
	if err != nil {
		return nil, "", s.fail(ctx, "list sessions", err)
	}
	if len(ids) == limit {
		next = ids[limit-1]
	}
	return ids, next, nil
}

// Count implements [session.Counter]. It reads the whole table.
func (s *Store) Count(ctx context.Context) (int, error) {
	var n int64
	err := s.do(ctx, func(c *pgx.Conn) error {
		known, err := s.layout(ctx, c)
		if err != nil {
			return err
		}
		return c.QueryRow(ctx, known.count, present()).Scan(&n)
	})
	return int(n), s.fail(ctx, "count sessions", err)
}

// Clear implements [session.Clearer]. Revocations stay in force. It deletes the
// records rather than the table's file, so that readers are not held up.
func (s *Store) Clear(ctx context.Context) error {
	return s.fail(ctx, "clear sessions", s.do(ctx, func(c *pgx.Conn) error {
		known, err := s.layout(ctx, c)
		if err != nil {
			return err
		}
		_, err = c.Exec(ctx, known.clear)
		return err
	}))
}

// Prune implements [session.Pruner]. It removes the records in transactions of
// at most 2048, so that it may be given a high limit, and leaves out those that
// another process removes at the same time. If it fails half-way, it returns
// the number of those that it has removed beside the error. It also forgets
// revocations that are no longer needed, which are not counted.
func (s *Store) Prune(ctx context.Context, limit int) (int, error) {
	return s.pruneBy(ctx, limit, func(l *layout) (string, []any) { return l.prune, nil })
}

// pruneInTurn is Prune for the goroutine that calls it from time to time: it
// does nothing while another process prunes in this way.
func (s *Store) pruneInTurn(ctx context.Context, limit int) (int, error) {
	return s.pruneBy(ctx, max(limit, pruneBatch), func(l *layout) (string, []any) { return l.pruneInTurn, []any{l.turn} })
}

func (s *Store) pruneBy(ctx context.Context, limit int, way func(*layout) (string, []any)) (int, error) {
	total := 0
	err := contract.CheckLimit(limit)
	if err == nil {
		err = s.do(ctx, func(c *pgx.Conn) error {
			known, err := s.layout(ctx, c)
			if err != nil {
				return err
			}
			now := time.Now().UnixMilli()
			if known.owners {
				if _, err := c.Exec(ctx, known.forget, now); err != nil {
					return err
				}
			}
			text, more := way(known)
			for total < limit {
				batch := int64(min(pruneBatch, limit-total))
				done, err := c.Exec(ctx, text, append([]any{seconds(now), batch}, more...)...)
				if err != nil {
					return err
				}
				total += int(done.RowsAffected())
				if done.RowsAffected() < batch {
					break
				}
			}
			return nil
		})
	}
	return total, s.fail(ctx, "prune sessions", err)
}
