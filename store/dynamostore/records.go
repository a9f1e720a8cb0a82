package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// Conditions on the item under a key, with #name for an attribute. A comparison
// with an attribute that is absent or of another type does not hold.
const (
	isFree    = "attribute_not_exists(#sess) OR #expires <= :now"
	isLive    = "attribute_type(#sess, :text) AND #expires > :now"
	isEarlier = isLive + " AND #expires < :limit"
	isOld     = "#sess = :old AND #expires > :now"
)

// Load implements [session.Store]. It is one command where this process has
// seen the session before, and most often where it has not: see the package's
// documentation. The Owner of the record is not filled in.
func (s *Store) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	rec, err := s.load(ctx, id, slide)
	return rec, s.fail("load session", err)
}

func (s *Store) load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	write := s.deadlines.moves(id, slide)
	for {
		now := time.Now().UnixMilli()
		var it item
		var err error
		if write {
			var out outcome
			out, err = s.move(ctx, s.prefix+id, now, slide, true)
			it = out.item
		} else {
			it, err = s.get(ctx, s.prefix+id)
		}
		if err != nil {
			return session.Record{}, err
		}
		rec, err := it.record(now)
		if err != nil {
			return session.Record{}, err
		}
		if !slide.Moves(rec.Deadline) {
			s.deadlines.remember(id, rec.Deadline)
			return rec, nil
		}
		write = true
	}
}

// move does what a slide asks, if it is to. The outcome has the item as it is then:
// where nothing was moved, or if it is to be read.
func (s *Store) move(ctx context.Context, key string, now int64, slide session.Slide, read bool) (outcome, error) {
	limit := slide.To
	if !slide.Before.IsZero() && slide.Before.Before(limit) {
		limit = slide.Before
	}
	return s.update(ctx, key, change{
		set:  "SET #expires = :deadline",
		only: isEarlier,
		values: item{
			":text": text("S"), ":now": seconds(now),
			":limit": seconds(contract.Millis(limit)), ":deadline": seconds(contract.Millis(slide.To)),
		},
		read: read,
	})
}

// Create implements [session.Store], and does what [session.Owner] asks.
func (s *Store) Create(ctx context.Context, id string, rec session.Record) error {
	var err error
	if rec.Owner.User == "" {
		err = s.create(ctx, id, rec)
	} else {
		err = s.users.Create(ctx, id, rec)
	}
	return s.fail("create session", err)
}

// create stores a record without regard to its owner.
func (s *Store) create(ctx context.Context, id string, rec session.Record) error {
	expires, err := check(rec.Data, rec.Deadline)
	if err != nil {
		return err
	}
	name := changeName()
	it := item{
		s.hashKey:   text(s.prefix + id),
		attrSess:    text(string(rec.Data)),
		attrExpires: seconds(expires),
		attrType:    text(typeRecord),
		attrChange:  text(name),
	}
	for {
		now := time.Now().UnixMilli()
		out, err := s.put(ctx, it, isFree, item{":now": seconds(now)})
		if err != nil {
			return err
		}
		if out.done || out.item.is(attrChange, name) {
			s.deadlines.remember(id, time.UnixMilli(expires))
			return nil
		}
		if _, err := out.item.record(now); !errors.Is(err, session.ErrNotFound) {
			return session.ErrExists
		}
	}
}

// Update implements [session.Store].
func (s *Store) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	return s.fail("update session", s.replace(ctx, id, old, data, deadline))
}

func (s *Store) replace(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	expires, err := check(data, deadline)
	if err != nil {
		return err
	}
	key, name := s.prefix+id, changeName()
	if !storable(old) {
		return s.differs(ctx, key)
	}
	for {
		now := time.Now().UnixMilli()
		out, err := s.update(ctx, key, change{
			set:  "SET #sess = :new, #expires = :deadline, #change = :change",
			only: isOld,
			values: item{
				":old": text(string(old)), ":now": seconds(now),
				":new": text(string(data)), ":deadline": seconds(expires), ":change": text(name),
			},
		})
		if err != nil {
			return err
		}
		if out.done || out.item.is(attrChange, name) {
			s.deadlines.remember(id, time.UnixMilli(expires))
			return nil
		}
		rec, err := out.item.record(now)
		switch {
		case err != nil:
			return session.ErrNotFound
		case string(rec.Data) == string(old):
			continue // it was another when the condition was looked at
		case out.uncertain:
			return errUncertain
		}
		return session.ErrConflict
	}
}

// Touch implements [session.Store].
func (s *Store) Touch(ctx context.Context, id string, deadline time.Time) error {
	return s.fail("touch session", s.touch(ctx, id, deadline))
}

func (s *Store) touch(ctx context.Context, id string, deadline time.Time) error {
	to := session.Slide{To: time.UnixMilli(contract.Millis(deadline))}
	for {
		now := time.Now().UnixMilli()
		out, err := s.move(ctx, s.prefix+id, now, to, false)
		if err != nil {
			return err
		}
		if out.done {
			s.deadlines.remember(id, to.To)
			return nil
		}
		rec, err := out.item.record(now)
		if err != nil {
			return session.ErrNotFound
		}
		if !to.Moves(rec.Deadline) {
			s.deadlines.remember(id, rec.Deadline)
			return nil
		}
	}
}

// Delete implements [session.Store].
func (s *Store) Delete(ctx context.Context, id string, old []byte) error {
	return s.fail("delete session", s.end(ctx, s.prefix+id, old))
}

func (s *Store) end(ctx context.Context, key string, old []byte) error {
	if old == nil {
		_, err := s.remove(ctx, key, "", nil)
		return err
	}
	if !storable(old) {
		return s.differs(ctx, key)
	}
	for {
		now := time.Now().UnixMilli()
		out, err := s.remove(ctx, key, isOld, item{":old": text(string(old)), ":now": seconds(now)})
		if err != nil || out.done {
			return err
		}
		rec, err := out.item.record(now)
		switch {
		case out.uncertain && out.item == nil:
			return errUncertain // an earlier attempt ended it, or somebody else has
		case err != nil:
			return session.ErrNotFound
		case string(rec.Data) == string(old):
			continue // it was another when the condition was looked at
		}
		return session.ErrConflict
	}
}

// check returns a record's deadline in milliseconds, or why it is refused.
func check(data []byte, deadline time.Time) (expires int64, err error) {
	if err := contract.CheckData(data, MaxBytes); err != nil {
		if len(data) > MaxBytes {
			err = fmt.Errorf("%w: DynamoDB keeps no item of more than 400 KB", err)
		}
		return 0, err
	}
	if !utf8.Valid(data) {
		return 0, errors.New("the data is not UTF-8, so DynamoDB would change it")
	}
	now := time.Now()
	expires = contract.Millis(deadline)
	if expires <= now.UnixMilli() { // a time beyond all milliseconds overflows
		return 0, contract.ErrDeadline
	}
	return expires, contract.CheckDeadline(deadline, now)
}

// storable reports whether a record can hold this. The SDK would make something
// else of text that is not UTF-8, and nothing is not compared with anything.
func storable(data []byte) bool { return len(data) > 0 && utf8.Valid(data) }

// differs answers a call whose old data no record can hold.
func (s *Store) differs(ctx context.Context, key string) error {
	it, err := s.get(ctx, key)
	if err != nil {
		return err
	}
	if _, err := it.record(time.Now().UnixMilli()); err != nil {
		return session.ErrNotFound
	}
	return session.ErrConflict
}

// get reads the item under key, nil if there is none.
func (s *Store) get(ctx context.Context, key string) (item, error) {
	var out *dynamodb.GetItemOutput
	_, err := s.call(ctx, func(opt func(*dynamodb.Options)) (err error) {
		out, err = s.client.GetItem(ctx, &dynamodb.GetItemInput{
			TableName:      &s.table,
			Key:            item{s.hashKey: text(key)},
			ConsistentRead: yes(),
		}, opt)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out.Item, nil
}

func yes() *bool { b := true; return &b }
