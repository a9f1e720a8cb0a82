// Package contract holds what every store does in the same way to keep the
// contract of [session.Store]: how it rounds, what it refuses, what it answers.
package contract

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// RevocationKept is how long a store remembers a revocation. The contract asks
// for 24 hours; the rest makes up for a clock that is set while one is kept.
const RevocationKept = 25 * time.Hour

// ErrDeadline refuses a record that would be dead at once.
var ErrDeadline = errors.New("the deadline is not in the future")

// Millis returns t in whole milliseconds since 1970, rounded up.
func Millis(t time.Time) int64 {
	ms := t.UnixMilli()
	if time.UnixMilli(ms).Before(t) {
		ms++
	}
	return ms
}

// Seconds returns t in whole seconds since 1970, rounded up.
func Seconds(t time.Time) int64 {
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return s
}

// Nanos returns t in nanoseconds since 1970. A time that does not fit, such as
// the zero time, becomes the nearest one that does.
func Nanos(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// CheckDeadline returns [ErrDeadline] for a deadline that is not after now.
func CheckDeadline(deadline, now time.Time) error {
	if !deadline.After(now) {
		return ErrDeadline
	}
	return nil
}

// CheckData refuses a record without data, or with more than limit bytes of it.
func CheckData(data []byte, limit int) error {
	switch {
	case len(data) == 0:
		return errors.New("the record holds no data")
	case len(data) > limit:
		return fmt.Errorf("the record holds more than %d bytes", limit)
	}
	return nil
}

// CheckLimit refuses a limit, of a page or of a batch, that is below one.
func CheckLimit(limit int) error {
	if limit < 1 {
		return fmt.Errorf("limit is %d, and must be at least 1", limit)
	}
	return nil
}

// ErrCursor refuses a cursor that no List has returned.
var ErrCursor = errors.New("the cursor is not one that List has returned")

// Answers reports whether err is nil or what the contract answers to the
// arguments of a call, rather than a failure of the engine.
func Answers(err error) bool {
	for _, answer := range []error{
		nil, session.ErrNotFound, session.ErrConflict, session.ErrExists, session.ErrDamaged,
		session.ErrRevoked, session.ErrTooManySessions, ErrDeadline,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}
