package pgstore

import (
	"bytes"
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
	"github.com/pillboxgo/pillbox/store/internal/sqltable"
)

// errFar refuses a deadline that JavaScript and others cannot read.
var errFar = errors.New("the deadline is beyond the year 9999")

// errRaced means that a statement met another one that changed the same record.
// Sent again, it sees what that has left.
var errRaced = sqltable.ErrAgain

// far stands for a deadline that somebody else has set beyond the year 9999.
var far = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)

// seconds returns a time as to_timestamp takes it, in whole milliseconds.
func seconds(millis int64) float64 { return float64(millis) / 1000 }

// present is the moment that a record's deadline is compared with.
func present() float64 { return seconds(time.Now().UnixMilli()) }

// checked returns a deadline for the table, or an error if the record would be
// dead at once.
func checked(deadline time.Time) (float64, error) {
	if err := contract.CheckDeadline(deadline, time.Now()); err != nil {
		return 0, err
	}
	if deadline.Year() > far.Year() {
		return 0, errFar
	}
	return seconds(contract.Millis(deadline)), nil
}

// Load implements [session.Store]. The Owner of the record is not filled in.
func (s *Store) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	rec, err := s.load(ctx, id, slide)
	if err != nil {
		return session.Record{}, s.fail(ctx, "load session", err)
	}
	return rec, nil
}

// read moves the deadline if it has to. A deadline that is to be moved whatever it
// is gets the shortest statement that can do that. Where this finds nothing to
// move, because the record is gone or another request has moved it further, the
// one that also reads is sent.
func (l *layout) read(ctx context.Context, c *pgx.Conn, id string, slide session.Slide) (session.Record, error) {
	now := time.Now()
	to, before := move(slide, now)
	if to == 0 {
		return scan(c.QueryRow(ctx, l.load, id, seconds(now.UnixMilli())))
	}
	if before == to {
		rec, err := scan(c.QueryRow(ctx, l.move, id, seconds(now.UnixMilli()), seconds(to)))
		if err != session.ErrNotFound {
			return rec, err
		}
	}
	return scan(c.QueryRow(ctx, l.slide, id, present(), seconds(to), seconds(before)))
}

// move returns the deadline that a slide sets, and before which a deadline is moved
// there, in milliseconds. Both are zero if it moves none.
func move(slide session.Slide, now time.Time) (to, before int64) {
	if !slide.To.After(now) {
		return 0, 0
	}
	to = contract.Millis(slide.To)
	if slide.Before.IsZero() {
		return to, to
	}
	return to, max(0, min(to, contract.Millis(slide.Before)))
}

// scan returns what a statement that reads a record has answered. Columns beyond
// those of the record go to more.
func scan(row pgx.Row, more ...any) (session.Record, error) {
	var rec session.Record
	var micros *int64
	var raced bool
	err := row.Scan(append([]any{&rec.Data, &micros, &raced}, more...)...)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return rec, session.ErrNotFound
	case err != nil:
		return rec, err
	case raced:
		return rec, errRaced
	case rec.Data == nil:
		return rec, session.ErrDamaged
	}
	rec.Deadline = far
	if micros != nil {
		rec.Deadline = time.UnixMicro(*micros)
	}
	return rec, nil
}

// Create implements [session.Store], and does what [session.Owner] asks. On a
// table that has not been migrated it stores a record without its owner, unless
// the owner has a bound.
func (s *Store) Create(ctx context.Context, id string, rec session.Record) error {
	err := contract.CheckData(rec.Data, maxData)
	if err == nil {
		err = s.do(ctx, func(c *pgx.Conn) error {
			deadline, err := checked(rec.Deadline)
			if err != nil {
				return err
			}
			if rec.Owner.User != "" {
				known, err := s.withOwners(ctx, c)
				if !errors.Is(err, errOwners) || rec.Owner.Max > 0 {
					if err != nil {
						return err
					}
					return known.createOwned(ctx, c, id, rec, deadline)
				}
			}
			known, err := s.layout(ctx, c)
			if err != nil {
				return err
			}
			done, err := c.Exec(ctx, known.create, id, present(), string(rec.Data), deadline)
			if err == nil && done.RowsAffected() == 0 {
				err = session.ErrExists
			}
			return err
		})
	}
	return s.fail(ctx, "create session", err)
}

// Update implements [session.Store].
func (s *Store) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	err := contract.CheckData(data, maxData)
	if err == nil {
		err = s.do(ctx, func(c *pgx.Conn) error {
			until, err := checked(deadline)
			if err != nil {
				return err
			}
			known, err := s.layout(ctx, c)
			if err != nil {
				return err
			}
			return compare(ctx, c, known.update, id, present(), asText(old), string(data), until)
		})
	}
	return s.fail(ctx, "update session", err)
}

// asText returns data for the server to compare with. What cannot be in the
// table would be an error to the server; it is unequal to all that can, and so is
// nothing at all.
func asText(old []byte) string {
	if !utf8.Valid(old) || bytes.IndexByte(old, 0) >= 0 {
		return ""
	}
	return string(old)
}

// compare sends a compare-and-swap and returns what the contract answers.
func compare(ctx context.Context, c *pgx.Conn, text string, args ...any) error {
	var verdict *string
	if err := c.QueryRow(ctx, text, args...).Scan(&verdict); err != nil {
		return err
	}
	switch {
	case verdict == nil:
		return session.ErrNotFound
	case *verdict == "conflict":
		return session.ErrConflict
	case *verdict == "raced":
		return errRaced
	}
	return nil
}

// Touch implements [session.Store].
func (s *Store) Touch(ctx context.Context, id string, deadline time.Time) error {
	return s.fail(ctx, "touch session", s.do(ctx, func(c *pgx.Conn) error {
		known, err := s.layout(ctx, c)
		if err != nil {
			return err
		}
		// A deadline that is past moves nothing, however far away.
		to := max(0, contract.Millis(deadline))
		var lives bool
		err = c.QueryRow(ctx, known.touch, id, present(), seconds(to)).Scan(&lives)
		if err == nil && !lives {
			err = session.ErrNotFound
		}
		return err
	}))
}

// Delete implements [session.Store].
func (s *Store) Delete(ctx context.Context, id string, old []byte) error {
	return s.fail(ctx, "delete session", s.do(ctx, func(c *pgx.Conn) error {
		known, err := s.layout(ctx, c)
		if err != nil {
			return err
		}
		if old == nil {
			_, err := c.Exec(ctx, known.remove, id)
			return err
		}
		return compare(ctx, c, known.removeIf, id, present(), asText(old))
	}))
}
