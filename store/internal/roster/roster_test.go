package roster_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/session/storetest"
	"github.com/pillboxgo/pillbox/store/internal/roster"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// An engine keeps records and documents as an engine does that changes one key
// at a time.
type engine struct {
	records *memstore.Store

	mu   sync.Mutex
	docs map[string][]byte

	// fault, if set, is asked before each call what to answer instead, and
	// lost after it: then the work is done.
	fault, lost func(call string) error
}

func newEngine() *engine {
	return &engine{records: memstore.New(memstore.Options{}), docs: make(map[string][]byte)}
}

func (e *engine) fails(ctx context.Context, call string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.fault != nil {
		return e.fault(call)
	}
	return nil
}

func (e *engine) ReadRoster(ctx context.Context, key string) ([]byte, error) {
	if err := e.fails(ctx, "ReadRoster"); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.docs[key]), nil
}

func (e *engine) WriteRoster(ctx context.Context, key string, old, data []byte, until time.Time) (bool, error) {
	if err := e.fails(ctx, "WriteRoster"); err != nil {
		return false, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	now, there := e.docs[key]
	if there != (old != nil) || !bytes.Equal(now, old) {
		return false, nil
	}
	if data == nil {
		delete(e.docs, key)
	} else {
		e.docs[key] = bytes.Clone(data)
	}
	if e.lost != nil {
		if err := e.lost("WriteRoster"); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (e *engine) CreateRecord(ctx context.Context, id string, rec session.Record) error {
	if err := e.fails(ctx, "CreateRecord"); err != nil {
		return err
	}
	rec.Owner = session.Owner{}
	return e.records.Create(ctx, id, rec)
}

func (e *engine) DeleteRecords(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if err := e.fails(ctx, "DeleteRecords"); err != nil {
			return err
		}
		if err := e.records.Delete(ctx, id, nil); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) Living(ctx context.Context, ids []string) ([]string, error) {
	if err := e.fails(ctx, "Living"); err != nil {
		return nil, err
	}
	var living []string
	for _, id := range ids {
		_, err := e.records.Load(ctx, id, session.Slide{})
		if err == nil {
			living = append(living, id)
		} else if !errors.Is(err, session.ErrNotFound) {
			return nil, err
		}
	}
	return living, nil
}

// A store is the smallest one that has a roster.
type store struct {
	engine *engine
	*roster.Roster
}

func newStore(e *engine) store { return store{e, roster.New(e, 0)} }

func (s store) Create(ctx context.Context, id string, rec session.Record) error {
	if rec.Owner.User == "" {
		return s.engine.CreateRecord(ctx, id, rec)
	}
	return s.Roster.Create(ctx, id, rec)
}

func (s store) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	return s.engine.records.Load(ctx, id, slide)
}

func (s store) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	return s.engine.records.Update(ctx, id, old, data, deadline)
}

func (s store) Touch(ctx context.Context, id string, deadline time.Time) error {
	return s.engine.records.Touch(ctx, id, deadline)
}

func (s store) Delete(ctx context.Context, id string, old []byte) error {
	return s.engine.records.Delete(ctx, id, old)
}

// What a store promises about users, it keeps with a roster, also when two
// processes have the same records.
func TestContract(t *testing.T) {
	storetest.RunConfig(t, storetest.Config{
		Open: func(t *testing.T) session.Store {
			e := newEngine()
			t.Cleanup(func() { e.records.Close() })
			return newStore(e)
		},
		Peer: func(_ *testing.T, s session.Store) session.Store { return newStore(s.(store).engine) },
	})
}

func rec(user string, owner session.Owner) session.Record {
	owner.User = user
	if owner.AsOf.IsZero() {
		owner.AsOf = time.Now()
	}
	return session.Record{Data: []byte(`{}`), Deadline: time.Now().Add(time.Hour), Owner: owner}
}

// The process dies at each of its calls in turn. Whatever the next process then
// does, no session that was to end is left.
func TestWhatADeadProcessLeavesIsEndedByTheNext(t *testing.T) {
	died := errors.New("died")
	for calls := range 12 {
		for _, what := range []string{"evict", "revoke"} {
			e := newEngine()
			defer e.records.Close()
			first := newStore(e)
			ctx := t.Context()
			if err := first.Create(ctx, "one", rec("ada", session.Owner{})); err != nil {
				t.Fatal(err)
			}
			left := calls
			e.fault = func(string) error {
				if left--; left < 0 {
					return died
				}
				return nil
			}
			var err error
			if what == "evict" {
				err = first.Create(ctx, "two", rec("ada", session.Owner{Max: 1}))
			} else {
				_, err = first.RevokeUser(ctx, "ada", time.Now())
			}
			e.fault = nil
			if err != nil && !errors.Is(err, died) {
				t.Fatalf("%s, dead after %d calls: %v; want the engine's failure", what, calls, err)
			}
			next := newStore(e)
			if err := next.Create(ctx, "three", rec("ada", session.Owner{AsOf: time.Now().Add(time.Second), Max: 2})); err != nil {
				t.Fatalf("%s, dead after %d calls: the next Create: %v", what, calls, err)
			}
			ids, err := next.UserIDs(ctx, "ada")
			if err != nil {
				t.Fatal(err)
			}
			// Of the second session nobody has ever got the id.
			_, err = next.Load(ctx, "one", session.Slide{})
			if lives := !errors.Is(err, session.ErrNotFound); lives && !slices.Contains(ids, "one") {
				t.Errorf("%s, dead after %d calls: the session lives and nobody can find it", what, calls)
			}
		}
	}
}

// The network loses the answer to a call, or the caller gives up in the middle of
// it, and goes on to work. Whatever the caller was told, the sign-in is then done
// or not done, and so is the revocation.
func TestLostAnswersLeaveNothingHalf(t *testing.T) {
	for _, how := range []string{"answer lost", "call lost", "given up"} {
		for calls := range 8 {
			for _, what := range []string{"evict", "revoke"} {
				e := newEngine()
				defer e.records.Close()
				s := newStore(e)
				if err := s.Create(t.Context(), "one", rec("ada", session.Owner{})); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				left := calls
				strike := func(string) error {
					if left--; left != -1 {
						return nil
					}
					cancel()
					return errors.New("reset by peer")
				}
				switch how {
				case "answer lost":
					e.lost = strike
				case "call lost":
					e.fault = strike
				case "given up":
					e.fault = func(call string) error {
						_ = strike(call) // what is under way is finished
						return nil
					}
				}
				var err error
				if what == "evict" {
					err = s.Create(ctx, "two", rec("ada", session.Owner{Max: 1}))
				} else {
					_, err = s.RevokeUser(ctx, "ada", time.Now())
				}
				cancel()
				e.fault, e.lost = nil, nil
				living, lerr := e.Living(t.Context(), []string{"one", "two"})
				listed, uerr := s.UserIDs(t.Context(), "ada")
				if err := errors.Join(lerr, uerr); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(living, listed) {
					t.Errorf("%s, %s at call %d (%v): %q live and %q are listed", what, how, calls, err, living, listed)
				}
				if what == "evict" && len(living) != 1 {
					t.Errorf("%s, %s at call %d (%v): %q live; want one, the old or the new", what, how, calls, err, living)
				}
				if err == nil && slices.Contains(living, "one") {
					t.Errorf("%s, %s at call %d: acknowledged, and the old session lives", what, how, calls)
				}
			}
		}
	}
}

// A roster does not grow with the sign-ins of years, although nothing tells it
// of the sessions that have ended.
func TestRosterForgetsWhatHasEnded(t *testing.T) {
	e := newEngine()
	defer e.records.Close()
	s := newStore(e)
	longest := 0
	for i := range 1000 {
		id := fmt.Sprint("session-", i)
		if err := s.Create(t.Context(), id, rec("ada", session.Owner{})); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, len(e.docs[roster.Key("ada")]))
		if err := s.Delete(t.Context(), id, nil); err != nil {
			t.Fatal(err)
		}
	}
	if longest > 1000 {
		t.Errorf("the document has grown to %d bytes; want at most 1000 for no live session", longest)
	}
}

// Looking which sessions live costs each sign-in a constant share, however many
// the user has.
func TestManySignInsLookRarely(t *testing.T) {
	e := newEngine()
	defer e.records.Close()
	s := newStore(e)
	looks := 0
	e.fault = func(call string) error {
		if call == "Living" {
			looks++
		}
		return nil
	}
	for i := range 1000 {
		if err := s.Create(t.Context(), fmt.Sprint("session-", i), rec("ada", session.Owner{})); err != nil {
			t.Fatal(err)
		}
	}
	if looks > 10 {
		t.Errorf("1000 sign-ins looked %d times which sessions live; want at most 10", looks)
	}
}

func TestPrune(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		defer e.records.Close()
		s := newStore(e)
		key := roster.Key("ada")
		if err := s.Create(t.Context(), "one", rec("ada", session.Owner{})); err != nil {
			t.Fatal(err)
		}
		if _, err := s.RevokeUser(t.Context(), "ada", time.Now(), "one"); err != nil {
			t.Fatal(err)
		}
		early := rec("ada", session.Owner{})
		time.Sleep(2 * time.Hour)
		if err := s.Prune(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if doc := string(e.docs[key]); strings.Contains(doc, "one") || doc == "" {
			t.Errorf("after the session's end the document is %q; want the revocation alone", doc)
		}
		time.Sleep(21 * time.Hour)
		early.Deadline = time.Now().Add(time.Hour)
		if err := s.Prune(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if err := s.Create(t.Context(), "two", early); !errors.Is(err, session.ErrRevoked) {
			t.Errorf("Create as of the revocation, 23 hours later = %v; want ErrRevoked", err)
		}
		time.Sleep(3 * time.Hour)
		if err := s.Prune(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		if doc, there := e.docs[key]; there {
			t.Errorf("26 hours after the revocation the document is %q; want none", doc)
		}
	})
}

// A user who has as many sessions as can be listed is told so, can still be
// revoked, and can sign in once some of them have ended.
func TestFullRoster(t *testing.T) {
	e := newEngine()
	defer e.records.Close()
	s := store{e, roster.New(e, 1000)}
	n := 0
	sign := func() error {
		n++
		return s.Create(t.Context(), fmt.Sprintf("session-%030d", n), rec("ada", session.Owner{AsOf: time.Now().Add(time.Hour)}))
	}
	var err error
	for err == nil && n < 100 {
		err = sign()
	}
	if !errors.Is(err, roster.ErrFull) || n < 10 {
		t.Fatalf("sign-in %d = %v; want %v after ten or more", n, err, roster.ErrFull)
	}
	if living, err := e.Living(t.Context(), []string{fmt.Sprintf("session-%030d", n)}); len(living) > 0 || err != nil {
		t.Errorf("the session that was refused lives: %q, %v", living, err)
	}
	if err := s.Delete(t.Context(), fmt.Sprintf("session-%030d", 3), nil); err != nil {
		t.Fatal(err)
	}
	if err := sign(); err != nil {
		t.Errorf("sign-in after another has ended = %v", err)
	}
	if ended, err := s.RevokeUser(t.Context(), "ada", time.Now()); err != nil || ended != n-2 {
		t.Errorf("RevokeUser = %d, %v; want %d", ended, err, n-2)
	}
	if err := sign(); err != nil {
		t.Errorf("sign-in after RevokeUser = %v", err)
	}
}

// Ending very many sessions takes longer than the caller has. Each attempt brings
// it forward, and the user can sign in again in the end.
func TestManySessionsAreEndedByAndBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine()
		defer e.records.Close()
		s := newStore(e)
		const many = 1000
		for i := range many {
			if err := s.Create(t.Context(), fmt.Sprint("session-", i), rec("ada", session.Owner{})); err != nil {
				t.Fatal(err)
			}
		}
		e.fault = func(call string) error {
			if call == "DeleteRecords" {
				time.Sleep(10 * time.Millisecond)
			}
			return nil
		}
		tries := 0
		for err := error(context.DeadlineExceeded); err != nil; tries++ {
			if tries == 20 {
				left, _ := e.records.Count(t.Context())
				t.Fatalf("%d sessions are left after %d attempts of 2 s", left, tries)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			_, err = s.RevokeUser(ctx, "ada", time.Now())
			cancel()
		}
		if left, err := e.records.Count(t.Context()); left > 0 || err != nil {
			t.Errorf("%d sessions are left, %v", left, err)
		}
		if err := s.Create(t.Context(), "again", rec("ada", session.Owner{AsOf: time.Now().Add(time.Second)})); err != nil {
			t.Errorf("sign-in afterwards = %v", err)
		}
	})
}

// A document that somebody has damaged fails closed, and its text stays out of
// the error.
func TestDamagedRosterRefuses(t *testing.T) {
	e := newEngine()
	defer e.records.Close()
	e.docs[roster.Key("ada")] = []byte(`{"ids":["secret-id"`)
	s := newStore(e)
	err := s.Create(t.Context(), "two", rec("ada", session.Owner{}))
	if !errors.Is(err, session.ErrDamaged) || strings.Contains(err.Error(), "secret") {
		t.Errorf("Create = %v; want ErrDamaged without the document's text", err)
	}
	if _, err := s.Load(t.Context(), "two", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("the session that could not be listed: Load = %v; want ErrNotFound", err)
	}
	if _, err := s.RevokeUser(t.Context(), "ada", time.Now()); !errors.Is(err, session.ErrDamaged) {
		t.Errorf("RevokeUser = %v; want ErrDamaged", err)
	}
	if err := s.Prune(t.Context(), roster.Key("ada")); err != nil {
		t.Errorf("Prune = %v; want nil, so that others are pruned", err)
	}
}
