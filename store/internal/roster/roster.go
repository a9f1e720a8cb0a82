// Package roster is the by-user index of stores whose engine changes one key at
// a time: one document for each user, a roster, that lists the user's records
// and is only ever replaced by compare-and-swap. No transaction over several
// keys is needed, so it works on a Redis Cluster as well as on one table.
//
// Whatever happens to a user's records as a whole happens at the moment when a
// new roster replaces the one before: from then on a record is listed, or is to
// end, or every sign-in that began earlier is refused. The records themselves
// follow before the method returns. A process that dies in between leaves them
// on the roster as to be ended, and whoever comes next ends them.
//
// A record that ends by itself or by Delete stays on the roster until somebody
// notices. Ids are random and never used twice, so that does no harm.
package roster

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// A Backend is what a [Roster] needs of a store. Its methods may be called
// concurrently.
type Backend interface {
	// ReadRoster returns the document under key, or nil if there is none. It
	// sees every WriteRoster that has returned.
	ReadRoster(ctx context.Context, key string) ([]byte, error)

	// WriteRoster replaces the document under key if it is still old, byte
	// for byte, and reports whether it was; a nil old means that there is
	// none. Nil data removes it. The engine may remove the document after
	// until; the zero time means never.
	WriteRoster(ctx context.Context, key string, old, data []byte, until time.Time) (bool, error)

	// CreateRecord stores a record without regard to its owner, or returns
	// [session.ErrExists] if a live one is there.
	CreateRecord(ctx context.Context, id string, rec session.Record) error

	// DeleteRecords deletes the records under ids, live or dead, of which
	// some may not exist.
	DeleteRecords(ctx context.Context, ids []string) error

	// Living returns those of ids under which there is a live record, in the
	// order given.
	Living(ctx context.Context, ids []string) ([]string, error)
}

// A Roster finds a store's records by their owner. Its methods do what
// [session.UserIndex] says, and may be called concurrently.
type Roster struct {
	backend Backend
	limit   int
	seed    maphash.Seed
	turns   [256]chan struct{} // hold one token each
}

// ErrFull refuses a record for a user who has more of them than a document can
// list.
var ErrFull = errors.New("the list of the user's sessions is full: set Config.MaxPerUser, or end some of them")

// New returns a Roster on a store. No Create makes a document larger than limit
// bytes; zero means no limit. Other changes may, by 256 bytes at most: whoever
// cannot sign in any more can still be revoked.
func New(b Backend, limit int) *Roster {
	r := &Roster{backend: b, limit: limit, seed: maphash.MakeSeed()}
	for i := range r.turns {
		r.turns[i] = make(chan struct{}, 1)
	}
	return r
}

// Key returns the name of a user's document: the SHA-256 of the user in
// base64url, which is 43 characters long and tells nobody who it is.
func Key(user string) string {
	sum := sha256.Sum256([]byte(user))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Create stores a record and enters it on its owner's roster. The owner must
// not be empty.
func (r *Roster) Create(ctx context.Context, id string, rec session.Record) error {
	// The record comes first. Until Create returns nobody knows its id, so
	// that a record which is not to be can be taken away again; a roster that
	// lists what does not exist yet would show it to others.
	if err := r.backend.CreateRecord(ctx, id, rec); err != nil {
		return err
	}
	key := Key(rec.Owner.User)
	evicts, err := r.enter(ctx, id, rec.Owner)
	switch {
	case err == nil && evicts:
		return r.end(ctx, key)
	case err == nil:
		return nil
	case contract.Answers(err) || errors.Is(err, ErrFull):
		// It is not entered. Nobody will ever ask for it, and it would end by
		// itself; still it is not to be counted until then.
		ctx, cancel := afterwards(ctx)
		defer cancel()
		_ = r.backend.DeleteRecords(ctx, []string{id})
	default:
		r.settle(ctx, key, id)
	}
	return err
}

// settle sees to it that a Create which cannot tell whether it has entered its
// record is either done or not.
func (r *Roster) settle(ctx context.Context, key, id string) {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	entered := false
	err := r.change(ctx, key, id, func(p *page) error {
		if entered = slices.Contains(p.IDs, id); !entered {
			// It stays on the roster as ended until somebody else changes
			// it: an attempt that is still on its way to the engine then
			// does not find what it expects.
			p.Ending = append(p.Ending, id)
		}
		return nil
	})
	if err == nil && !entered {
		_ = r.backend.DeleteRecords(ctx, []string{id})
	}
}

// afterwards returns a context for finishing what would else be half done when
// the caller's own has ended: a second of it.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Second)
}

// enter puts id on the owner's roster, and reports whether that condemns others.
func (r *Roster) enter(ctx context.Context, id string, owner session.Owner) (evicts bool, err error) {
	err = r.change(ctx, Key(owner.User), id, func(p *page) error {
		if p.Revoked != nil && *p.Revoked >= contract.Nanos(owner.AsOf) {
			return session.ErrRevoked
		}
		p.IDs = without(p.IDs, []string{id}) // of an earlier life
		if owner.Max > 0 && p.count(owner.Replaces) >= owner.Max || len(p.IDs) >= p.Full || r.full(p, id) {
			if err := r.sort(ctx, p); err != nil {
				return err
			}
			p.Full = 2*len(p.IDs) + minFull
		}
		if surplus := p.count(owner.Replaces) - owner.Max + 1; owner.Max > 0 && surplus > 0 {
			if owner.Reject {
				return session.ErrTooManySessions
			}
			p.condemn(p.oldest(surplus, owner.Replaces))
		}
		switch {
		case r.full(p, id) && len(p.Ending) > 0:
			return errAgain // once those have made room
		case r.full(p, id):
			return ErrFull
		}
		p.IDs = append(p.IDs, id)
		evicts = len(p.Ending) > 0
		return nil
	})
	return evicts, err
}

// sort condemns the ids of records that are no longer live. To drop them would do
// only if all clocks agreed: on another machine, whose clock is behind, such a
// record may still be live, and then nobody could find it any more.
func (r *Roster) sort(ctx context.Context, p *page) error {
	if len(p.IDs) == 0 {
		return nil
	}
	living, err := r.backend.Living(ctx, p.IDs)
	if err == nil {
		p.condemn(without(slices.Clone(p.IDs), living))
	}
	return err
}

// full reports whether there is no room for one more id.
func (r *Roster) full(p *page, id string) bool {
	if r.limit <= 0 {
		return false
	}
	data, _ := p.text(time.Now())
	return len(data)+len(id)+3 > r.limit
}

// UserIDs returns the ids of the user's live records, oldest first.
func (r *Roster) UserIDs(ctx context.Context, user string) ([]string, error) {
	if user == "" {
		return nil, nil
	}
	text, err := r.backend.ReadRoster(ctx, Key(user))
	if err != nil {
		return nil, err
	}
	p, err := parse(text)
	if err != nil || len(p.IDs) == 0 {
		return nil, err
	}
	return r.backend.Living(ctx, p.IDs)
}

// RevokeUser ends the user's records but those under the ids in except.
func (r *Roster) RevokeUser(ctx context.Context, user string, at time.Time, except ...string) (int, error) {
	if user == "" {
		return 0, nil
	}
	ended := 0
	err := r.change(ctx, Key(user), "", func(p *page) (err error) {
		p.revoke(at, time.Now().Add(contract.RevocationKept))
		condemned := slices.DeleteFunc(slices.Clone(p.IDs), func(id string) bool { return slices.Contains(except, id) })
		if ended, err = r.count(ctx, condemned); err != nil {
			return err
		}
		p.condemn(condemned)
		return nil
	})
	// Where it cannot tell whether that was done, it may have been.
	if err == nil || !contract.Answers(err) {
		err = cmp.Or(err, r.end(ctx, Key(user)))
	}
	if err != nil {
		return 0, err
	}
	return ended, nil
}

// count returns how many of the ids have live records.
func (r *Roster) count(ctx context.Context, ids []string) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	living, err := r.backend.Living(ctx, ids)
	return len(living), err
}

// Prune drops from one document what is no longer live, and the document itself
// once it says nothing any more. A document that cannot be read is left as it is:
// it must not keep the others from being pruned.
func (r *Roster) Prune(ctx context.Context, key string) error {
	err := r.change(ctx, key, "", func(p *page) error { return r.sort(ctx, p) })
	switch {
	case errors.Is(err, session.ErrDamaged):
		return nil
	case err != nil:
		return err
	}
	return r.end(ctx, key)
}

// end ends the records that a roster condemns, and takes them off it. Condemned
// is condemned: it goes on for a while if ctx ends. What is left even then, the
// next one to change the roster ends.
func (r *Roster) end(ctx context.Context, key string) error {
	nothing := func(*page) error { return nil }
	err := r.change(ctx, key, "", nothing)
	if err != nil && !contract.Answers(err) {
		ctx, cancel := afterwards(ctx)
		defer cancel()
		_ = r.change(ctx, key, "", nothing)
	}
	return err
}

// change replaces the roster under key by what edit makes of it, or leaves it
// alone if edit fails. Edit may be called more than once, and asks for that by
// errAgain, after what it has made of the roster is written. The record under
// born has just been created, and is not what an earlier call has condemned.
func (r *Roster) change(ctx context.Context, key, born string, edit func(*page) error) error {
	// Of the calls of one process only one at a time tries: with all of them
	// trying, each change would undo the attempts of all the others.
	turn := r.turns[maphash.String(r.seed, key)%uint64(len(r.turns))]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for attempt := 0; ; attempt++ {
		old, err := r.backend.ReadRoster(ctx, key)
		if err != nil {
			return err
		}
		p, err := parse(old)
		if err != nil {
			return err
		}
		p.Ending = without(p.Ending, []string{born})
		rest := p.Ending[min(len(p.Ending), batch):]
		if len(p.Ending) > 0 {
			// Somebody is about to end these, or has died over it.
			if err := r.backend.DeleteRecords(ctx, p.Ending[:len(p.Ending)-len(rest)]); err != nil {
				return err
			}
			p.Ending = rest
		}
		// Where there are more, it is noted how far this has come: whoever
		// runs out of time has not worked for nothing.
		again := len(rest) > 0
		if !again {
			err := edit(p)
			if again = errors.Is(err, errAgain); err != nil && !again {
				return err
			}
		}
		data, until := p.text(time.Now())
		if string(data) == string(old) {
			return nil
		}
		done, err := r.backend.WriteRoster(ctx, key, old, data, until)
		if err != nil || done && !again {
			return err
		}
		if done {
			attempt = 0
			continue
		}
		if err := pause(ctx, attempt); err != nil {
			return err
		}
	}
}

var errAgain = errors.New("roster: edit again")

// batch is how many condemned records are ended before that is written down.
const batch = 128

// pause waits before another attempt: for a random time that grows up to 50 ms.
func pause(ctx context.Context, attempt int) error {
	longest := min(time.Millisecond<<min(attempt, 10), 50*time.Millisecond)
	select {
	case <-time.After(rand.N(longest)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
