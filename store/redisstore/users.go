package redisstore

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/roster"
)

// Create implements [session.Store], and does what [session.Owner] asks.
func (s *Store) Create(ctx context.Context, id string, rec session.Record) error {
	if rec.Owner.User == "" {
		return fail("create session", s.createRecord(ctx, id, rec))
	}
	return fail("create session", s.users.Create(ctx, id, rec))
}

// UserIDs implements [session.UserIndex]. It returns the ids of live records
// only.
func (s *Store) UserIDs(ctx context.Context, user string) ([]string, error) {
	ids, err := s.users.UserIDs(ctx, user)
	return ids, fail("list user's sessions", err)
}

// RevokeUser implements [session.UserIndex]. The empty user, whom no record
// belongs to, has nothing to revoke.
func (s *Store) RevokeUser(ctx context.Context, user string, at time.Time, except ...string) (int, error) {
	n, err := s.users.RevokeUser(ctx, user, at, except...)
	return n, fail("revoke user's sessions", err)
}

// PruneIndex drops from the index by user what it still lists of sessions that
// are gone. A goroutine of the store does the same from time to time, unless
// Options.PruneEvery forbids it. Redis itself removes dead sessions.
//
// It looks at every key of the database, 1,000 at a time.
func (s *Store) PruneIndex(ctx context.Context) error {
	return fail("prune index", s.pruneIndex(ctx))
}

func (s *Store) pruneIndex(ctx context.Context) error {
	return s.scan(ctx, s.index, "hash", func(_ engine, keys []string) error {
		for _, key := range keys {
			// Another store's index may begin with the same text.
			if name := strings.TrimPrefix(key, s.index); len(name) == len(roster.Key("")) {
				if err := s.users.Prune(ctx, name); err != nil && !errors.Is(err, session.ErrDamaged) {
					return err
				}
			}
		}
		return nil
	})
}

// pruneInTurn prunes if no other process has done so lately.
func (s *Store) pruneInTurn(ctx context.Context, every time.Duration) error {
	// The lease runs out by itself, before the next turn of the process that
	// has it.
	r, err := s.do(ctx, command{
		words: []string{"SET"}, key: s.lease,
		args: []string{"1", "NX", "PX", strconv.FormatInt(max(1, (every/2).Milliseconds()), 10)},
	})
	if err != nil || r.null {
		return fail("prune index", err)
	}
	return s.PruneIndex(ctx)
}

// An index is the store as package roster sees it. A user's document is the one
// field of a hash: what lists or reads sessions as strings passes it by.
type index struct{ *Store }

func (x index) ReadRoster(ctx context.Context, key string) ([]byte, error) {
	r, err := x.do(ctx, command{words: []string{"HGET"}, key: x.index + key, args: []string{"roster"}, again: true})
	if err != nil || r.null {
		return nil, damaged(err)
	}
	return []byte(r.text), nil
}

func (x index) WriteRoster(ctx context.Context, key string, old, data []byte, until time.Time) (bool, error) {
	var moment string
	if !until.IsZero() {
		moment = millis(until)
	}
	r, err := rosterScript.run(ctx, x.write, x.index+key, false, string(old), string(data), moment)
	return r.number == 1, err
}

func (x index) CreateRecord(ctx context.Context, id string, rec session.Record) error {
	return x.createRecord(ctx, id, rec)
}

// atOnce bounds how many of a user's records are ended at the same time.
const atOnce = 16

func (x index) DeleteRecords(ctx context.Context, ids []string) error {
	return roster.Each(ids, atOnce, func(id string) error { return x.remove(ctx, id) })
}

func (x index) Living(ctx context.Context, ids []string) ([]string, error) { return x.living(ctx, ids) }

// living returns those of ids under which there is a record.
func (s *Store) living(ctx context.Context, ids []string) ([]string, error) {
	cmds := make([]command, len(ids))
	for i, id := range ids {
		cmds[i] = command{words: []string{"EXISTS"}, key: s.key(id), again: true}
	}
	replies, err := pipe(ctx, s.engine, cmds)
	if err != nil {
		return nil, err
	}
	var live []string
	for i, r := range replies {
		if r.number > 0 {
			live = append(live, ids[i])
		}
	}
	return live, nil
}
