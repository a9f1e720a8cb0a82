package dynamostore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/roster"
)

const (
	getBatch    = 100 // the most keys of a BatchGetItem
	writeBatch  = 25  // the most requests of a BatchWriteItem
	deletesOnce = 8   // DeleteItems at a time
)

// UserIDs implements [session.UserIndex]. It returns the ids of live records
// only.
func (s *Store) UserIDs(ctx context.Context, user string) ([]string, error) {
	ids, err := s.users.UserIDs(ctx, user)
	return ids, s.fail("list user's sessions", err)
}

// RevokeUser implements [session.UserIndex]. The empty user, whom no record
// belongs to, has nothing to revoke.
func (s *Store) RevokeUser(ctx context.Context, user string, at time.Time, except ...string) (int, error) {
	n, err := s.users.RevokeUser(ctx, user, at, except...)
	return n, s.fail("revoke user's sessions", err)
}

// A backend is a store as the index of its users sees it.
type backend struct{ *Store }

// rosterKey returns where a user's document is. An id has no space in it, so
// that with whatever prefix no record gets there.
func (s *Store) rosterKey(key string) string { return s.rosterPrefix() + key }

func (s *Store) rosterPrefix() string { return "user " + s.prefix + " " }

// ReadRoster implements [roster.Backend].
func (b backend) ReadRoster(ctx context.Context, key string) ([]byte, error) {
	it, err := b.get(ctx, b.rosterKey(key))
	if err != nil || it[attrDoc] == nil {
		return nil, err
	}
	doc, ok := it[attrDoc].(*types.AttributeValueMemberS)
	if !ok {
		return nil, fmt.Errorf("the user's index: %w", session.ErrDamaged)
	}
	return []byte(doc.Value), nil
}

// WriteRoster implements [roster.Backend]. Where a repeated write finds its own
// work undone by another, it says that it was not done: the roster then looks
// again, and does not mind.
func (b backend) WriteRoster(ctx context.Context, key string, old, data []byte, until time.Time) (bool, error) {
	only, values := "attribute_not_exists(#doc)", item(nil)
	if old != nil {
		only, values = "#doc = :old", item{":old": text(string(old))}
	}
	if data == nil {
		out, err := b.remove(ctx, b.rosterKey(key), only, values)
		return out.done, err
	}
	name := changeName()
	it := item{
		b.hashKey:  text(b.rosterKey(key)),
		attrType:   text(typeRoster),
		attrDoc:    text(string(data)),
		attrChange: text(name),
	}
	if !until.IsZero() {
		it[attrExpires] = seconds(until.UnixMilli())
	}
	out, err := b.put(ctx, it, only, values)
	return out.done || out.item.is(attrChange, name), err
}

// CreateRecord implements [roster.Backend].
func (b backend) CreateRecord(ctx context.Context, id string, rec session.Record) error {
	return b.create(ctx, id, rec)
}

// DeleteRecords implements [roster.Backend]. It deletes one by one, some at a time:
// a batch would have to be looked through for what was left undone.
func (b backend) DeleteRecords(ctx context.Context, ids []string) error {
	return roster.Each(ids, deletesOnce, func(id string) error {
		_, err := b.remove(ctx, b.prefix+id, "", nil)
		return err
	})
}

// Living implements [roster.Backend]. It asks for the type of an item, which only
// records have, rather than for the data, which may be long.
func (b backend) Living(ctx context.Context, ids []string) ([]string, error) {
	project := "#key, #type, #expires"
	live := make(map[string]bool, len(ids))
	for batch := range slices.Chunk(distinct(ids), getBatch) {
		ask := types.KeysAndAttributes{
			ConsistentRead:           yes(),
			ProjectionExpression:     &project,
			ExpressionAttributeNames: b.names(project),
		}
		for _, id := range batch {
			ask.Keys = append(ask.Keys, item{b.hashKey: text(b.prefix + id)})
		}
		for turn := 0; len(ask.Keys) > 0; turn++ {
			if err := backOff(ctx, turn); err != nil {
				return nil, err
			}
			var out *dynamodb.BatchGetItemOutput
			_, err := b.call(ctx, func(opt func(*dynamodb.Options)) (err error) {
				out, err = b.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{
					RequestItems: map[string]types.KeysAndAttributes{b.table: ask},
				}, opt)
				return err
			})
			if err != nil {
				return nil, err
			}
			now := time.Now().UnixMilli()
			for _, found := range out.Responses {
				for _, it := range found {
					deadline, ok := item(it).deadline()
					if ok && deadline > now && item(it).is(attrType, typeRecord) {
						live[b.idOf(it)] = true
					}
				}
			}
			left := 0
			for _, unprocessed := range out.UnprocessedKeys {
				ask.Keys = unprocessed.Keys
				left += len(unprocessed.Keys)
			}
			if left == 0 {
				break
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !live[id] }), nil
}

// idOf returns the id of a record's item.
func (s *Store) idOf(it item) string { return s.keyOf(it)[len(s.prefix):] }

func (s *Store) keyOf(it item) string {
	if key, ok := it[s.hashKey].(*types.AttributeValueMemberS); ok {
		return key.Value
	}
	return ""
}

// distinct returns ids without repetitions, which DynamoDB does not take.
func distinct(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	var all []string
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			all = append(all, id)
		}
	}
	return all
}
