package mysqlstore

import (
	"context"
	"encoding/hex"

	"github.com/pillboxgo/pillbox/store/internal/contract"
	"github.com/pillboxgo/pillbox/store/internal/prune"
)

// List implements [session.Lister]. The order is that of the ids.
func (s *Store) List(ctx context.Context, cursor string, limit int) (ids []string, next string, err error) {
	err = s.do(ctx, "list sessions", func(*layout) error {
		ids, next = nil, ""
		after, err := hex.DecodeString(cursor)
		if err != nil {
			return contract.ErrCursor
		}
		if err := contract.CheckLimit(limit); err != nil {
			return err
		}
		return query(ctx, s.db, s.table.list(string(after), limit), 1, func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		})
	})
	if err != nil {
		return nil, "", err
	}
	if len(ids) == limit {
		next = hex.EncodeToString([]byte(ids[limit-1]))
	}
	return ids, next, nil
}

// Count implements [session.Counter]. It reads the index on the deadline from
// now on, or all of a table that has none.
func (s *Store) Count(ctx context.Context) (int, error) {
	n := 0
	err := s.do(ctx, "count sessions", func(*layout) error {
		return query(ctx, s.db, s.table.count(), 1, func(scan func(...any) error) error { return scan(&n) })
	})
	return n, err
}

// Clear implements [session.Clearer], as one transaction, Express's records
// included. Revocations stay in force.
func (s *Store) Clear(ctx context.Context) error {
	return s.do(ctx, "clear sessions", func(*layout) error {
		_, _, err := exec(ctx, s.db, "DELETE FROM "+s.table.name)
		return err
	})
}

// Prune implements [session.Pruner]. It removes the records in transactions of
// at most 128, so that it may be given a high limit. If it fails half-way, it
// returns the number of those that it has removed beside the error. It also
// forgets revocations that are no longer needed, which are not counted.
//
// Several processes may prune at the same time. On a table without an index on
// the deadline, which Migrate makes, each transaction reads the table up to the
// dead records that it finds.
func (s *Store) Prune(ctx context.Context, limit int) (int, error) {
	total := 0
	err := s.do(ctx, "prune sessions", func(l *layout) error {
		if err := contract.CheckLimit(limit); err != nil {
			return err
		}
		for total < limit {
			batch := min(prune.Batch, limit-total)
			var ids []string
			err := query(ctx, s.db, s.table.dead(batch), 1, func(scan func(...any) error) error {
				var id string
				err := scan(&id)
				ids = append(ids, id)
				return err
			})
			if err != nil {
				return err
			}
			if len(ids) > 0 {
				n, _, err := exec(ctx, s.db, s.table.removeDead(s.table.in(ids)))
				if err != nil {
					return err
				}
				// Others may have removed some of them. That is no sign
				// that none is left.
				total += int(n)
			}
			if len(ids) < batch {
				break
			}
		}
		_, _, err := exec(ctx, s.db, s.table.removeRevocations(prune.Batch))
		if code(err) == errNoTable {
			return nil // Express's table alone
		}
		return err
	})
	return total, err
}
