package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// createOwned stores a record of a user's, while nobody else creates or revokes
// one of theirs.
func (l *layout) createOwned(ctx context.Context, c *pgx.Conn, id string, rec session.Record, deadline float64) error {
	owner := rec.Owner
	if owner.Replaces == id {
		owner.Replaces = "" // what is there is dead, or in the way
	}
	now := time.Now()
	var verdict string
	err := l.alone(ctx, c, owner.User, &verdict, l.admit, id, seconds(now.UnixMilli()), string(rec.Data), deadline,
		[]byte(owner.User), contract.Nanos(owner.AsOf), int64(owner.Max), owner.Reject && owner.Max > 0, owner.Replaces, now.UnixNano())
	if err != nil {
		return err
	}
	switch verdict {
	case "revoked":
		return session.ErrRevoked
	case "exists":
		return session.ErrExists
	case "too many":
		return session.ErrTooManySessions
	}
	return nil
}

// alone sends a statement that returns one value while it holds the user's
// lock. All of it goes to the server in one piece.
//
// The lock is a statement of its own because a statement sees the database as it
// was when it began, which has to be when the lock is held. For the same reason
// the level of isolation is named: with another one, which may be the
// database's default, the whole transaction would see what the wait for the
// lock began with.
func (l *layout) alone(ctx context.Context, c *pgx.Conn, user string, value any, text string, args ...any) error {
	var b pgx.Batch
	b.Queue("BEGIN ISOLATION LEVEL READ COMMITTED")
	b.Queue("SELECT pg_advisory_xact_lock($1::bigint)", l.lock(user))
	b.Queue(text, args...).QueryRow(func(row pgx.Row) error { return row.Scan(value) })
	b.Queue("COMMIT")
	err := c.SendBatch(ctx, &b).Close()
	if err != nil && !c.IsClosed() && c.PgConn().TxStatus() != 'I' {
		// The transaction is void already. A connection that cannot even
		// say so is one that the pool will not use again.
		_, _ = c.Exec(ctx, "ROLLBACK")
	}
	return err
}

// UserIDs implements [session.UserIndex]. It returns the ids of live records
// only.
func (s *Store) UserIDs(ctx context.Context, user string) ([]string, error) {
	var ids []string
	err := s.do(ctx, func(c *pgx.Conn) error {
		known, err := s.withOwners(ctx, c)
		if err != nil {
			return err
		}
		ids, err = texts(ctx, c, known.owned, []byte(user), present())
		return err
	})
	if err != nil {
		return nil, s.fail(ctx, "list user's sessions", err)
	}
	return ids, nil
}

// texts sends a statement that returns a column of text.
func texts(ctx context.Context, c *pgx.Conn, text string, args ...any) ([]string, error) {
	rows, err := c.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// RevokeUser implements [session.UserIndex]. The empty user, whom no record
// belongs to, has nothing to revoke.
func (s *Store) RevokeUser(ctx context.Context, user string, at time.Time, except ...string) (int, error) {
	if user == "" {
		return 0, nil
	}
	if except == nil {
		except = []string{} // nil would be NULL, which no id is unequal to
	}
	var ended int64
	err := s.do(ctx, func(c *pgx.Conn) error {
		known, err := s.withOwners(ctx, c)
		if err != nil {
			return err
		}
		now := time.Now()
		return known.alone(ctx, c, user, &ended, known.revoke, []byte(user), seconds(now.UnixMilli()),
			contract.Nanos(at), now.Add(contract.RevocationKept).UnixMilli(), except)
	})
	if err != nil {
		return 0, s.fail(ctx, "revoke user's sessions", err)
	}
	return int(ended), nil
}
