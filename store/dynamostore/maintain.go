package dynamostore

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// A query is one page of a Scan. DynamoDB looks at no more than a megabyte of
// items for each, and those that the filter leaves out cost as much as others.
type query struct {
	filter  string
	project string // which attributes; empty counts instead
	values  item
	from    string // the key after which to go on; empty for the beginning
	limit   int    // how many items to look at; zero means as many as fit
}

// scan runs a query. After the last page next is empty.
func (s *Store) scan(ctx context.Context, q query) (items []item, count int, next string, err error) {
	in := &dynamodb.ScanInput{
		TableName:                 &s.table,
		ConsistentRead:            yes(), // else a record that was created lately could be missing
		FilterExpression:          &q.filter,
		ExpressionAttributeNames:  s.names(q.filter, q.project),
		ExpressionAttributeValues: q.values,
	}
	if q.project == "" {
		in.Select = types.SelectCount
	} else {
		in.ProjectionExpression = &q.project
	}
	if q.from != "" {
		in.ExclusiveStartKey = item{s.hashKey: text(q.from)}
	}
	if q.limit > 0 {
		in.Limit = aws.Int32(int32(min(q.limit, 1<<20)))
	}
	var out *dynamodb.ScanOutput
	_, err = s.call(ctx, func(opt func(*dynamodb.Options)) (err error) {
		out, err = s.client.Scan(ctx, in, opt)
		return err
	})
	if err != nil {
		return nil, 0, "", err
	}
	for _, it := range out.Items {
		items = append(items, it)
	}
	return items, int(out.Count), s.keyOf(out.LastEvaluatedKey), nil
}

// mine restricts a filter to this store's records.
func (s *Store) mine(filter string, values item) (string, item) {
	if s.prefix != "" { // there is no beginning with nothing
		filter = "begins_with(#key, :prefix) AND " + filter
		values[":prefix"] = text(s.prefix)
	}
	return filter, values
}

func (s *Store) living() (string, item) {
	return s.mine(isLive, item{":text": text("S"), ":now": seconds(time.Now().UnixMilli())})
}

const (
	cursorMark = "k"
	minPage    = 100 // how many items List looks at in one command at least
)

// List implements [session.Lister]. The order is DynamoDB's own. It reads the
// table from the cursor on, which costs as much for records of other stores and
// dead ones. The cursor contains an id: keep it as secret as the ids.
func (s *Store) List(ctx context.Context, cursor string, limit int) (ids []string, next string, err error) {
	err = contract.CheckLimit(limit)
	from, ok := strings.CutPrefix(cursor, cursorMark)
	if err == nil && cursor != "" && (!ok || from == "") {
		err = contract.ErrCursor
	}
	if err == nil {
		ids, next, err = s.list(ctx, from, limit)
	}
	if err != nil {
		return nil, "", s.fail("list sessions", err)
	}
	return ids, next, nil
}

func (s *Store) list(ctx context.Context, from string, limit int) (ids []string, next string, err error) {
	filter, values := s.living()
	for {
		items, _, last, err := s.scan(ctx, query{
			filter: filter, values: values, project: "#key", from: from, limit: max(limit-len(ids), minPage),
		})
		if err != nil {
			return nil, "", err
		}
		for i, it := range items {
			ids = append(ids, s.idOf(it))
			if len(ids) == limit {
				if last == "" && i == len(items)-1 {
					return ids, "", nil
				}
				// A scan can go on after any key.
				return ids, cursorMark + s.keyOf(it), nil
			}
		}
		if last == "" {
			return ids, "", nil
		}
		from = last
	}
}

// Count implements [session.Counter]. It reads the whole table.
func (s *Store) Count(ctx context.Context) (int, error) {
	filter, values := s.living()
	total, from := 0, ""
	for {
		_, n, next, err := s.scan(ctx, query{filter: filter, values: values, from: from})
		if err != nil {
			return 0, s.fail("count sessions", err)
		}
		total += n
		if from = next; next == "" {
			return total, nil
		}
	}
}

// Clear implements [session.Clearer]. It reads the whole table, and deletes 25
// records at a time. Revocations stay in force, and so does what others keep in
// the table. If it fails half-way, some records are gone.
func (s *Store) Clear(ctx context.Context) error {
	return s.fail("clear sessions", s.clear(ctx))
}

func (s *Store) clear(ctx context.Context) error {
	filter, values := s.mine("(attribute_exists(#sess) OR #type = :type)", item{":type": text(typeRecord)})
	from := ""
	for {
		items, _, next, err := s.scan(ctx, query{filter: filter, values: values, project: "#key", from: from})
		if err != nil {
			return err
		}
		for batch := range slices.Chunk(items, writeBatch) {
			if err := s.removeAll(ctx, batch); err != nil {
				return err
			}
		}
		if from = next; next == "" {
			return nil
		}
	}
}

// removeAll deletes up to 25 items, given by their keys.
func (s *Store) removeAll(ctx context.Context, keys []item) error {
	var requests []types.WriteRequest
	for _, key := range keys {
		requests = append(requests, types.WriteRequest{DeleteRequest: &types.DeleteRequest{Key: key}})
	}
	for turn := 0; ; turn++ {
		if err := backOff(ctx, turn); err != nil {
			return err
		}
		var out *dynamodb.BatchWriteItemOutput
		_, err := s.call(ctx, func(opt func(*dynamodb.Options)) (err error) {
			out, err = s.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{
				RequestItems: map[string][]types.WriteRequest{s.table: requests},
			}, opt)
			return err
		})
		if err != nil {
			return err
		}
		requests = nil
		for _, unprocessed := range out.UnprocessedItems {
			requests = append(requests, unprocessed...)
		}
		if len(requests) == 0 {
			return nil
		}
	}
}

// Passes of a Prune that has been interrupted are resumed for so long.
const passKept = time.Minute

// A sweep is where Prune goes on, so that removing many dead records in small
// batches reads the table once and not once for each batch.
type sweep struct {
	mu   sync.Mutex
	from string
	at   time.Time
}

func (p *sweep) resume() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) > passKept {
		return "" // what has died since may lie before
	}
	return p.from
}

func (p *sweep) leave(from string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.from, p.at = from, time.Now()
}

// Prune implements [session.Pruner]. DynamoDB's Time to Live does the same, for
// nothing: see [Store.Migrate]. Prune reads the table, going on where the call
// before it ended if that was within a minute, and deletes what is dead one by
// one. It also tidies the index of each user that it comes across, which is not
// counted. If it fails half-way, it returns the number of those that it has
// removed beside the error.
func (s *Store) Prune(ctx context.Context, limit int) (int, error) {
	n, err := 0, contract.CheckLimit(limit)
	if err == nil {
		n, err = s.prune(ctx, limit)
	}
	return n, s.fail("prune sessions", err)
}

func (s *Store) prune(ctx context.Context, limit int) (removed int, err error) {
	now := item{":now": seconds(time.Now().UnixMilli())}
	filter, values := s.mine("#expires <= :now", item{":now": now[":now"]})
	filter = "(" + filter + ") OR (#type = :roster AND begins_with(#key, :users))"
	values[":roster"], values[":users"] = text(typeRoster), text(s.rosterPrefix())
	from := s.sweep.resume()
	for {
		items, _, next, err := s.scan(ctx, query{filter: filter, values: values, project: "#key", from: from})
		if err != nil {
			return removed, err
		}
		for _, it := range items {
			key := s.keyOf(it)
			if user, ok := strings.CutPrefix(key, s.rosterPrefix()); ok {
				err = s.users.Prune(ctx, user)
			} else {
				var out outcome
				if out, err = s.remove(ctx, key, "#expires <= :now", now); out.done {
					removed++
				}
			}
			if err != nil {
				return removed, err
			}
			if removed == limit {
				s.sweep.leave(key)
				return removed, nil
			}
		}
		s.sweep.leave(next)
		if from = next; next == "" {
			return removed, nil
		}
	}
}

// errThrottled: DynamoDB leaves part of a batch undone when it has no capacity
// for it.
var errThrottled = errors.New("DynamoDB has put off the same requests again and again: " + remedyThrottled)

// backOff waits before another try with what DynamoDB has left undone of a batch:
// not before the first, and then for a random time that grows up to a second.
func backOff(ctx context.Context, turn int) error {
	switch {
	case turn == 0:
		return nil
	case turn > 20:
		return errThrottled
	}
	longest := min(20*time.Millisecond<<turn, time.Second)
	timer := time.NewTimer(rand.N(longest))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
