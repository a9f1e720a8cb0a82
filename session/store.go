package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// A Store keeps records, each under an id, until their deadline.
//
// A record is live from its creation until its deadline, the deadline itself
// excluded, or until it is deleted. A record that is no longer live does not
// exist to any method, whether or not its bytes still lie somewhere: the store
// compares the record's own deadline with the clock in every method, and never
// relies on its engine to have removed it.
//
// Each method is atomic across goroutines, and across processes and machines
// where the store is shared by them. No method but Create makes a record come
// into being. That is what makes an ended session final: a request in flight
// can update, touch or delete only what is still there.
//
// The id is an opaque string of 1 to 128 visible ASCII characters. Methods are
// safe for concurrent use, return promptly once ctx is done (with an error that
// wraps ctx.Err(); the work is then done or not done, never half), and return
// errors that name neither the id nor the data. An unexpected error is never
// turned into [ErrNotFound]: a store that cannot tell must say so.
//
// The package storetest checks an implementation against this contract.
type Store interface {
	// Load returns the live record under id, or [ErrNotFound]. It returns
	// [ErrDamaged] where something lies under the id that cannot be a
	// record, such as a value of another type that a stranger wrote there;
	// Delete with a nil old removes that too.
	//
	// If slide says so, Load also moves the record's deadline forward, in
	// the same round trip and without writing its data; Record.Deadline is
	// then the deadline that is in force when Load returns. Record.Owner
	// need not be filled in.
	//
	// The returned Data belongs to the caller. It is, byte for byte, what
	// Create or Update was last given.
	Load(ctx context.Context, id string, slide Slide) (Record, error)

	// Create stores a record under an id that has none, or returns
	// [ErrExists] if a live record is there. A dead one is replaced.
	// A deadline that is not in the future is an error, and nothing is
	// stored: no deadline means "for ever".
	//
	// A store that implements [UserIndex] enters the record under its
	// owner in the same atomic step, and enforces what [Owner] asks.
	//
	// The store does not keep rec.Data after it returns.
	Create(ctx context.Context, id string, rec Record) error

	// Update replaces the data of the live record under id if it is still,
	// byte for byte, old, and sets its deadline, which may be earlier than
	// the one before. It returns [ErrNotFound] if there is no live record,
	// and [ErrConflict] if the data has changed; nothing is changed then.
	// A deadline that is not in the future is an error, as in Create.
	// The record's owner stays what it was.
	Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error

	// Touch moves the deadline of the live record under id forward, without
	// writing its data. A deadline that is not later than the record's own
	// leaves it as it is, which is no error. It returns [ErrNotFound] if
	// there is no live record.
	Touch(ctx context.Context, id string, deadline time.Time) error

	// Delete ends the record under id. With a nil old it does so whatever
	// the record holds, and succeeds if there is none. With a non-nil old
	// it does so only if the record is live and still holds old; else it
	// returns [ErrNotFound] or [ErrConflict], and deletes nothing.
	//
	// Once Delete has returned nil, no crash brings the record back.
	Delete(ctx context.Context, id string, old []byte) error
}

// A Record is what a [Store] keeps under an id.
type Record struct {
	// Data is a JSON object in UTF-8. It is opaque to the store, and holds
	// at least one byte. A store keeps at least 256 KiB, and says
	// in its documentation if it does not keep 1 MiB.
	Data []byte

	// Deadline is the moment at which the record is no longer live. The
	// Manager passes whole milliseconds; a store whose layout is coarser
	// rounds up.
	Deadline time.Time

	// Owner says whose session this is. It is zero for a session that
	// nobody has signed in to.
	Owner Owner
}

// Format implements [fmt.Formatter]. It writes nothing of the session's data.
func (r Record) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "session.Record{%d bytes}", len(r.Data)) }

// LogValue implements [slog.LogValuer], for handlers that do not format.
func (r Record) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(r)) }

// An Owner is the signed-in user of a record, for a store that implements
// [UserIndex]. Any other store ignores it.
type Owner struct {
	// User is the application's own name for the user: an account's id,
	// not a display name. Empty means that nobody is signed in, and then
	// nothing else here applies. At most 255 bytes.
	User string

	// AsOf is the last moment at which the caller knew that the user had
	// not been revoked. Create returns [ErrRevoked], and stores nothing, if
	// [UserIndex.RevokeUser] was called for this user with a moment that is
	// not before AsOf, to the millisecond at least. That is how revoking
	// beats a sign-in that is already under way.
	AsOf time.Time

	// Max bounds how many live records the user may have, this one
	// included. Zero means no bound. Create ends the user's oldest records
	// in the same atomic step, so that the bound is never exceeded.
	Max int

	// Replaces is the id of a record that is about to be deleted in favour
	// of this one: it does not count towards Max, and Create does not end
	// it. Empty means none.
	Replaces string

	// Reject makes Create return [ErrTooManySessions] rather than end the
	// user's oldest record where Max would be exceeded.
	Reject bool
}

// A Slide tells [Store.Load] whether to move a record's deadline. The zero
// Slide leaves the deadline alone.
type Slide struct {
	// To is the new deadline. It never moves a deadline back.
	To time.Time

	// Before limits the move to records whose deadline is before this
	// moment, so that a session in steady use is not written for each of
	// its requests. Zero means no limit.
	Before time.Time
}

// Moves reports whether a record with this deadline is to be moved to s.To.
func (s Slide) Moves(deadline time.Time) bool {
	return s.To.After(deadline) && (s.Before.IsZero() || deadline.Before(s.Before))
}

// UserIndex is implemented by a [Store] that finds records by their owner.
type UserIndex interface {
	// UserIDs returns the ids of the user's live records, oldest first. It
	// may also return ids of records that are no longer live: the caller
	// checks each.
	UserIDs(ctx context.Context, user string) ([]string, error)

	// RevokeUser ends the user's live records but those under the ids in
	// except, returns how many it ended, and remembers at for no less than
	// 24 hours: see [Owner.AsOf]. It is one atomic step with regard to
	// Create. Of several calls the latest at counts. The empty user has no
	// records.
	RevokeUser(ctx context.Context, user string, at time.Time, except ...string) (int, error)
}

// Lister is implemented by a [Store] that can enumerate its records.
type Lister interface {
	// List returns the ids of at most limit live records and a cursor for
	// the next call, which is empty after the last page. The first call
	// passes an empty cursor. A record that lives through the whole
	// listing is returned exactly once; one that comes or goes meanwhile
	// may be missing. A limit below 1 is an error.
	List(ctx context.Context, cursor string, limit int) (ids []string, next string, err error)
}

// Counter is implemented by a [Store] that can count its live records.
type Counter interface {
	// Count returns the number of live records. It may be as expensive as
	// listing them.
	Count(ctx context.Context) (int, error)
}

// Clearer is implemented by a [Store] that can end all of its records.
type Clearer interface {
	// Clear ends every record of this store, and nothing else that its
	// engine holds. What RevokeUser remembers stays.
	Clear(ctx context.Context) error
}

// Pruner is implemented by a [Store] whose dead records take up room until
// they are removed. Being pruned changes nothing that the other methods say.
type Pruner interface {
	// Prune removes at most limit dead records and returns how many it
	// removed: fewer than limit means that none is left. A limit below 1 is
	// an error.
	Prune(ctx context.Context, limit int) (int, error)
}

// Watcher is implemented by a [Store] that tells of changes when they happen.
type Watcher interface {
	// Watch calls changed with the [Digest] of a record's id after each
	// Create, Update, Delete and RevokeUser that any process has made
	// through a store of this kind, until ctx is done; it then returns
	// ctx.Err(). It need not tell of a Touch, of a record whose time has
	// run out, or of what others do to the engine.
	//
	// A change may be told late, in another order or more than once. Watch
	// calls changed with the empty string when it begins to listen, and
	// whenever it may have missed something since: anything may then have
	// changed. It does not give up because the engine fails for a while.
	//
	// The calls are made one after the other, and hold up later ones until
	// they return.
	Watch(ctx context.Context, changed func(digest string)) error
}

// Digest returns what a [Watcher] calls the record under id: the SHA-256 of the
// id in hexadecimal, which is of no use to somebody who overhears it.
func Digest(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}

// What a [Store] answers. They may be wrapped; test with [errors.Is].
var (
	// ErrNotFound: there is no live record under this id.
	ErrNotFound = errors.New("no such session")

	// ErrExists: Create met a live record under this id.
	ErrExists = errors.New("session exists already")

	// ErrConflict: the record no longer holds what the caller read.
	ErrConflict = errors.New("session was changed meanwhile")

	// ErrDamaged: what is stored under this id is no session.
	ErrDamaged = errors.New("stored session is damaged")

	// ErrRevoked: the user's sessions were revoked after this sign-in began.
	ErrRevoked = errors.New("sign-in was revoked meanwhile")

	// ErrTooManySessions: the user has as many sessions as are allowed.
	ErrTooManySessions = errors.New("user has too many sessions")
)
