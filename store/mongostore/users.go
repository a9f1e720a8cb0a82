package mongostore

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pillboxgo/pillbox/session"
)

// A user's document, in a collection of its own so that Express does not meet
// it: {_id: hash of the user, doc: what package roster keeps, until: Date}.
const (
	fieldDoc   = "doc"
	fieldUntil = "until"
)

// Create implements [session.Store], and does what [session.Owner] asks.
func (s *Store) Create(ctx context.Context, id string, rec session.Record) error {
	create := s.create
	if rec.Owner.User != "" {
		create = s.roster.Create
	}
	return s.fail(ctx, "create session", create(ctx, id, rec))
}

// UserIDs implements [session.UserIndex]. It returns the ids of live records
// only.
func (s *Store) UserIDs(ctx context.Context, user string) ([]string, error) {
	ids, err := s.roster.UserIDs(ctx, user)
	if err != nil {
		return nil, s.fail(ctx, "list user's sessions", err)
	}
	return ids, nil
}

// RevokeUser implements [session.UserIndex]. The empty user, whom no record
// belongs to, has nothing to revoke.
func (s *Store) RevokeUser(ctx context.Context, user string, at time.Time, except ...string) (int, error) {
	ended, err := s.roster.RevokeUser(ctx, user, at, except...)
	if err != nil {
		return 0, s.fail(ctx, "revoke user's sessions", err)
	}
	return ended, nil
}

// A backend is the store as its roster sees it: see [roster.Backend]. There are
// no transactions, which a standalone server does not have.
type backend struct{ *Store }

func (b backend) CreateRecord(ctx context.Context, id string, rec session.Record) error {
	return b.create(ctx, id, rec)
}

func (b backend) ReadRoster(ctx context.Context, key string) ([]byte, error) {
	doc, err := find(ctx, b.users, key)
	if errors.Is(err, session.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text, ok := doc.Lookup(fieldDoc).StringValueOK()
	if !ok {
		return nil, errRoster
	}
	return []byte(text), nil
}

func (b backend) WriteRoster(ctx context.Context, key string, old, data []byte, until time.Time) (bool, error) {
	doc := bson.D{{Key: fieldID, Value: key}, {Key: fieldDoc, Value: stringValue(data)}}
	if !until.IsZero() {
		doc = append(doc, bson.E{Key: fieldUntil, Value: date(until)})
	}
	if old == nil {
		_, err := b.users.InsertOne(ctx, doc)
		if mongo.IsDuplicateKeyError(err) {
			return false, nil
		}
		return err == nil, err
	}
	is := bson.D{{Key: fieldID, Value: key}, {Key: fieldDoc, Value: stringValue(old)}}
	if data == nil {
		result, err := b.users.DeleteOne(ctx, is)
		return err == nil && result.DeletedCount == 1, err
	}
	result, err := b.users.ReplaceOne(ctx, is, doc)
	return err == nil && result.MatchedCount == 1, err
}

func (b backend) DeleteRecords(ctx context.Context, ids []string) error {
	_, err := b.sessions.DeleteMany(ctx, bson.D{among(ids)})
	return err
}

func (b backend) Living(ctx context.Context, ids []string) ([]string, error) {
	there := make(map[string]bool, len(ids))
	err := each(ctx, b.sessions, bson.D{among(ids), alive(time.Now())}, options.Find(), func(id bson.RawValue) {
		there[id.StringValue()] = true
	})
	if err != nil {
		return nil, err
	}
	living := make([]string, 0, len(there))
	for _, id := range ids {
		if there[id] {
			living = append(living, id)
		}
	}
	return living, nil
}

func among(ids []string) bson.E {
	return bson.E{Key: fieldID, Value: bson.D{{Key: "$in", Value: ids}}}
}

// each calls do with the id of each document that meets filter. The id is valid
// until do returns.
func each(ctx context.Context, c *mongo.Collection, filter bson.D, opts *options.FindOptionsBuilder, do func(id bson.RawValue)) error {
	cursor, err := c.Find(ctx, filter, opts.SetProjection(bson.D{{Key: fieldID, Value: 1}}))
	if err != nil {
		return err
	}
	defer cursor.Close(context.WithoutCancel(ctx))
	for cursor.Next(ctx) {
		do(cursor.Current.Lookup(fieldID))
	}
	return cursor.Err()
}
