package mongostore

import (
	"bytes"
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

const (
	// maxData bounds a record's data. A command that replaces it carries the
	// old and the new, and has to stay below MongoDB's 16 MiB.
	maxData = 4 << 20

	// maxRoster bounds what lists the sessions of a user: about 100,000.
	maxRoster = 4 << 20

	// maxSubdocument bounds a subdocument together with the text that is kept
	// beside it, for the same reason. What is larger is stored as text.
	maxSubdocument = 7 << 20

	// maxTries bounds how often a method tries again because others change
	// the document between its commands.
	maxTries = 16
)

// Load implements [session.Store]. A Load that may move the deadline is one
// command as well, findAndModify, which writes only if the deadline has to move.
// The Owner of the record is not filled in.
//
// A session that connect-mongo has encrypted is an error that wraps
// [errors.ErrUnsupported], and stays as it is.
func (s *Store) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	rec, err := s.load(ctx, id, slide)
	if err != nil {
		return session.Record{}, s.fail(ctx, "load session", err)
	}
	return rec, nil
}

func (s *Store) load(ctx context.Context, id string, slide session.Slide) (rec session.Record, err error) {
	now := time.Now()
	var doc bson.Raw
	if slide.To.IsZero() {
		doc, err = find(ctx, s.sessions, id)
	} else {
		doc, err = s.findAndSlide(ctx, id, slide, now)
	}
	if err != nil {
		return session.Record{}, err
	}
	var live bool
	if rec.Deadline, live = deadline(doc, now); !live {
		return session.Record{}, session.ErrNotFound
	}
	rec.Data, err = text(doc)
	return rec, err
}

// find returns the document under id, dead or alive, or [session.ErrNotFound].
func find(ctx context.Context, c *mongo.Collection, id string) (bson.Raw, error) {
	return found(c.FindOne(ctx, bson.D{{Key: fieldID, Value: id}}))
}

func found(result *mongo.SingleResult) (bson.Raw, error) {
	doc, err := result.Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		err = session.ErrNotFound
	}
	return doc, err
}

// findAndSlide returns the live document under id, with its deadline moved. The
// update is a pipeline because no operator of MongoDB moves a date forward only
// if it lies before a third one.
func (s *Store) findAndSlide(ctx context.Context, id string, slide session.Slide, now time.Time) (bson.Raw, error) {
	const expires = "$" + fieldExpires
	before := date(slide.To)
	if !slide.Before.IsZero() {
		before = min(before, date(slide.Before))
	}
	move := bson.D{{Key: "$cond", Value: bson.A{
		bson.D{{Key: "$and", Value: bson.A{
			// Not true either if there is no deadline to move.
			bson.D{{Key: "$gt", Value: bson.A{expires, clock(now)}}},
			bson.D{{Key: "$lt", Value: bson.A{expires, before}}},
		}}},
		date(slide.To),
		expires,
	}}}
	return found(s.sessions.FindOneAndUpdate(ctx,
		bson.D{{Key: fieldID, Value: id}, alive(now)},
		mongo.Pipeline{{{Key: "$set", Value: bson.D{{Key: fieldExpires, Value: move}}}}},
		options.FindOneAndUpdate().SetReturnDocument(options.After)))
}

// create stores a new record, whatever its owner.
func (s *Store) create(ctx context.Context, id string, rec session.Record) error {
	if err := check(rec.Data); err != nil {
		return err
	}
	doc := append(bson.D{{Key: fieldID, Value: id}}, s.encode(rec.Data, bson.RawValue{}).fields(rec.Deadline)...)
	for range maxTries {
		now := time.Now()
		if err := contract.CheckDeadline(rec.Deadline, now); err != nil {
			return err
		}
		if _, err := s.sessions.InsertOne(ctx, doc); !mongo.IsDuplicateKeyError(err) {
			return err
		}
		result, err := s.sessions.ReplaceOne(ctx, bson.D{{Key: fieldID, Value: id}, dead(now)}, doc)
		if err != nil || result.MatchedCount == 1 {
			return err
		}
		there, err := find(ctx, s.sessions, id)
		if err == nil {
			if _, live := deadline(there, now); live {
				return session.ErrExists
			}
		} else if !errors.Is(err, session.ErrNotFound) {
			return err
		}
	}
	return errContended
}

// check refuses data that cannot be stored. BSON's texts are UTF-8.
func check(data []byte) error {
	if err := contract.CheckData(data, maxData); err != nil {
		return err
	}
	if !validText(data) {
		return errNotUTF8
	}
	return nil
}

// Update implements [session.Store]. It is one command if the record holds old
// in the way in which this store would write it, and up to three if it does not:
// after a change of [Options.Object], and where an Express application has
// stored types that JSON does not have.
func (s *Store) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	err := check(data)
	if err == nil {
		err = s.change(ctx, id, old, func(filter bson.D, kept bson.RawValue) (bool, error) {
			if err := contract.CheckDeadline(deadline, time.Now()); err != nil {
				return false, err
			}
			result, err := s.sessions.UpdateOne(ctx, filter, s.encode(data, kept).update(deadline))
			return err == nil && result.MatchedCount == 1, err
		})
	}
	return s.fail(ctx, "update session", err)
}

// Delete implements [session.Store]. Once it has returned nil, a majority of the
// replica set has the record's end in its journal.
func (s *Store) Delete(ctx context.Context, id string, old []byte) error {
	var err error
	if old == nil {
		err = s.end(ctx, id)
	} else {
		err = s.change(ctx, id, old, func(filter bson.D, _ bson.RawValue) (bool, error) {
			result, err := s.sessions.DeleteOne(ctx, filter)
			return err == nil && result.DeletedCount == 1, err
		})
	}
	return s.fail(ctx, "delete session", err)
}

// end deletes whatever is under id.
func (s *Store) end(ctx context.Context, id string) error {
	this := bson.D{{Key: fieldID, Value: id}}
	result, err := s.sessions.DeleteOne(ctx, this)
	if err != nil || result.DeletedCount == 1 {
		return err
	}
	// DocumentDB's deletion of one document passes over it where somebody
	// else changes it at that moment; its deletion of many does not. The first
	// attempt is of the other kind because drivers repeat only that after a
	// failover.
	_, err = s.sessions.DeleteMany(ctx, this)
	return err
}

// change has do change the live document under id if it holds old, or returns
// [session.ErrNotFound] or [session.ErrConflict]. Do gets the filter that says
// so, and the session that is there if it is known, and reports whether a
// document met the filter.
//
// One command does it where the document holds old as this store would write
// it. Otherwise it is read, and compared with what was read.
func (s *Store) change(ctx context.Context, id string, old []byte, do func(filter bson.D, kept bson.RawValue) (bool, error)) error {
	now := time.Now()
	this := func(holds bson.D) bson.D {
		return append(bson.D{{Key: fieldID, Value: id}, alive(now)}, holds...)
	}
	if len(old) > 0 && validText(old) { // else nothing can hold it
		done, err := do(this(s.encode(old, bson.RawValue{}).holds()), bson.RawValue{})
		if done || err != nil {
			return err
		}
	}
	for range maxTries {
		doc, err := find(ctx, s.sessions, id)
		if err != nil {
			return err
		}
		now = time.Now()
		if _, live := deadline(doc, now); !live {
			return session.ErrNotFound
		}
		// What is damaged or encrypted now is not what the caller read.
		data, err := text(doc)
		if err != nil || !bytes.Equal(data, old) {
			return session.ErrConflict
		}
		done, err := do(this(same(doc)), doc.Lookup(fieldSession))
		if done || err != nil {
			return err
		}
	}
	return session.ErrConflict // it has changed before each of the tries
}

// Touch implements [session.Store].
func (s *Store) Touch(ctx context.Context, id string, to time.Time) error {
	return s.fail(ctx, "touch session", s.touch(ctx, id, to))
}

func (s *Store) touch(ctx context.Context, id string, to time.Time) error {
	for range maxTries {
		now := time.Now()
		result, err := s.sessions.UpdateOne(ctx,
			bson.D{{Key: fieldID, Value: id}, after(now)},
			bson.D{{Key: "$max", Value: bson.D{{Key: fieldExpires, Value: date(to)}}}})
		if err != nil || result.MatchedCount == 1 {
			return err
		}
		doc, err := find(ctx, s.sessions, id)
		if err != nil {
			return err
		}
		moment, live := deadline(doc, now)
		if !live {
			return session.ErrNotFound
		}
		if moment.Equal(endless) {
			return nil // it has no deadline to move
		}
	}
	return errContended
}
