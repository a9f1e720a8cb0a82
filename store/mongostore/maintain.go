package mongostore

import (
	"context"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pillboxgo/pillbox/store/internal/contract"
	"github.com/pillboxgo/pillbox/store/internal/prune"
)

// above is the condition that an id is a text after another. All texts, and
// nothing else, are at or after the empty one: MongoDB compares like with like.
func above(id string) bson.E {
	op := "$gt"
	if id == "" {
		op = "$gte"
	}
	return bson.E{Key: fieldID, Value: bson.D{{Key: op, Value: id}}}
}

func byID(limit int) *options.FindOptionsBuilder {
	return options.Find().SetSort(bson.D{{Key: fieldID, Value: 1}}).SetLimit(int64(limit))
}

// List implements [session.Lister]. The order is that of the ids' bytes, and the
// cursor is the last id of a page.
func (s *Store) List(ctx context.Context, cursor string, limit int) (ids []string, next string, err error) {
	err = contract.CheckLimit(limit)
	if err == nil {
		err = each(ctx, s.sessions, bson.D{above(cursor), alive(time.Now())}, byID(limit), func(id bson.RawValue) {
			ids = append(ids, id.StringValue())
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

// Count implements [session.Counter]. The server looks at every session.
func (s *Store) Count(ctx context.Context) (int, error) {
	n, err := s.sessions.CountDocuments(ctx, bson.D{above(""), alive(time.Now())})
	if err != nil {
		return 0, s.fail(ctx, "count sessions", err)
	}
	return int(n), nil
}

// Clear implements [session.Clearer]. It empties the collection, as
// connect-mongo does; the index by user stays, and with it what has been
// revoked.
func (s *Store) Clear(ctx context.Context) error {
	_, err := s.sessions.DeleteMany(ctx, bson.D{})
	return s.fail(ctx, "clear sessions", err)
}

// Prune implements [session.Pruner]. It removes dead records in batches of at
// most 128, so that it may be given a high limit, and looks through as many
// users of the index by user, going on where the last call has stopped, for ids
// that nobody needs; these are not counted. If it fails half-way, it returns the
// number of records that it has removed beside the error.
func (s *Store) Prune(ctx context.Context, limit int) (int, error) {
	if err := contract.CheckLimit(limit); err != nil {
		return 0, s.fail(ctx, "prune sessions", err)
	}
	total := 0
	for total < limit {
		seen, removed, err := s.pruneBatch(ctx, min(prune.Batch, limit-total))
		total += removed
		if err != nil {
			return total, s.fail(ctx, "prune sessions", err)
		}
		if seen < prune.Batch && removed == seen {
			break
		}
	}
	return total, s.fail(ctx, "prune index by user", s.pruneUsers(ctx, prune.Batch))
}

// pruneBatch finds at most limit dead records, and removes those of them that
// are dead still.
func (s *Store) pruneBatch(ctx context.Context, limit int) (seen, removed int, err error) {
	now := time.Now()
	var ids []bson.RawValue // of any type: a stranger's are dead as well
	err = each(ctx, s.sessions, bson.D{ended(now)}, options.Find().SetLimit(int64(limit)), func(id bson.RawValue) {
		id.Value = append([]byte(nil), id.Value...)
		ids = append(ids, id)
	})
	if err != nil || len(ids) == 0 {
		return 0, 0, err
	}
	result, err := s.sessions.DeleteMany(ctx, bson.D{{Key: fieldID, Value: bson.D{{Key: "$in", Value: ids}}}, ended(now)})
	if err != nil {
		return len(ids), 0, err
	}
	return len(ids), int(result.DeletedCount), nil
}

// A walk goes through the users, a part of the way at a time and then again
// from the start.
type walk struct {
	mu sync.Mutex
	at string // the last user that was looked at
}

func (s *Store) pruneUsers(ctx context.Context, limit int) error {
	if !s.walk.mu.TryLock() {
		return nil // somebody else is at it
	}
	defer s.walk.mu.Unlock()
	var keys []string
	err := each(ctx, s.users, bson.D{above(s.walk.at)}, byID(limit), func(id bson.RawValue) {
		keys = append(keys, id.StringValue())
	})
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := s.roster.Prune(ctx, key); err != nil {
			return err
		}
		s.walk.at = key
	}
	if len(keys) < limit {
		s.walk.at = ""
	}
	return nil
}
