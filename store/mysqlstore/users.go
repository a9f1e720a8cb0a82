package mysqlstore

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

const maxUser = 255 // bytes

// Create implements [session.Store], and does what [session.Owner] asks.
func (s *Store) Create(ctx context.Context, id string, rec session.Record) error {
	return s.do(ctx, "create session", func(l *layout) error {
		if err := l.check(rec.Data); err != nil {
			return err
		}
		expires, err := l.expiry(rec.Deadline)
		switch {
		case err != nil:
			return err
		case rec.Owner.User == "":
			return s.insert(ctx, s.db, l, id, s.table.insert(id, rec.Data, expires, "", 0))
		case len(rec.Owner.User) > maxUser:
			return errUser
		}
		return s.transact(ctx, func(q querier) error {
			return s.createOwned(ctx, q, l, id, rec, expires)
		})
	})
}

// createOwned locks the user's row first, so that sign-ins and revocations of
// one user come one after the other.
func (s *Store) createOwned(ctx context.Context, q querier, l *layout, id string, rec session.Record, expires int64) error {
	owner := rec.Owner
	if owner.Replaces == id {
		owner.Replaces = "" // what is there is dead, or in the way
	}
	var revoked sql.NullInt64
	var live []string // the user's, oldest first, without the one to be replaced
	ownedAt := time.Now().UnixMicro()
	err := steps(ctx, q, l.several, append(s.begin(),
		step{statement: s.table.lockUser(owner.User)},
		step{s.table.revokedAt(owner.User), 1, func(scan func(...any) error) error { return scan(&revoked) }},
		step{s.table.owned(owner.User), 2, func(scan func(...any) error) error {
			var other string
			var at int64
			err := scan(&other, &at)
			// The order is that of creation, whatever the clocks say.
			ownedAt = max(ownedAt, at+1)
			if other != owner.Replaces {
				live = append(live, other)
			}
			return err
		}},
	)...)
	if err != nil {
		return err
	}
	if revoked.Valid && revoked.Int64 >= contract.Nanos(owner.AsOf) {
		return session.ErrRevoked
	}
	excess := 0
	if owner.Max > 0 {
		excess = max(len(live)+1-owner.Max, 0)
	}
	if excess > 0 && owner.Reject {
		taken, err := exists(ctx, q, s.table.alive(s.table.at(id)))
		switch {
		case err != nil:
			return err
		case taken:
			return session.ErrExists
		}
		return session.ErrTooManySessions
	}
	after := []step{commit}
	if excess > 0 {
		after = []step{{statement: s.table.removeOwned(owner.User, live[:excess])}, commit}
	}
	return s.insert(ctx, q, l, id, s.table.insert(id, rec.Data, expires, owner.User, ownedAt), after...)
}

// UserIDs implements [session.UserIndex]. It returns the ids of live records
// only.
func (s *Store) UserIDs(ctx context.Context, user string) ([]string, error) {
	var ids []string
	err := s.do(ctx, "list user's sessions", func(*layout) error {
		ids = nil
		return query(ctx, s.db, s.table.owned(user), 2, func(scan func(...any) error) error {
			var id string
			err := scan(&id, new(int64))
			ids = append(ids, id)
			return err
		})
	})
	if err != nil {
		return nil, err
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
	err := s.do(ctx, "revoke user's sessions", func(l *layout) error {
		if len(user) > maxUser {
			return errUser
		}
		return s.transact(ctx, func(q querier) (err error) {
			ended, err = s.revokeUser(ctx, q, l, user, at, except)
			return err
		})
	})
	if err != nil {
		return 0, err
	}
	return ended, nil
}

func (s *Store) revokeUser(ctx context.Context, q querier, l *layout, user string, at time.Time, except []string) (ended int, err error) {
	var ids []string
	err = steps(ctx, q, l.several, append(s.begin(),
		step{statement: s.table.revoke(user, contract.Nanos(at), int64(contract.RevocationKept/time.Second))},
		step{s.table.owned(user), 2, func(scan func(...any) error) error {
			var id string
			err := scan(&id, new(int64))
			if !slices.Contains(except, id) {
				ids = append(ids, id)
			}
			return err
		}},
	)...)
	if err != nil {
		return 0, err
	}
	// By their ids, since every other writer locks a row before its entries
	// in the indexes, too.
	for some := range slices.Chunk(ids, 500) {
		n, _, err := exec(ctx, q, s.table.removeOwned(user, some))
		if err != nil {
			return 0, err
		}
		ended += int(n)
	}
	return ended, steps(ctx, q, l.several, commit)
}
