package dynamostore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/dynamostore"
)

// What does not fit is refused before the server hears of it, by an error that
// names the limit.
func TestTooLongIsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		ctx, long := t.Context(), []byte(object(dynamostore.MaxBytes+1))
		if err := l.store.Create(ctx, "id", record(bob)); err != nil {
			t.Fatal(err)
		}
		calls := map[string]func() error{
			"Create": func() error {
				return l.store.Create(ctx, "long", session.Record{Data: long, Deadline: in(time.Hour)})
			},
			"Update": func() error { return l.store.Update(ctx, "id", []byte(bob), long, in(time.Hour)) },
		}
		for name, call := range calls {
			var err error
			commands := 0
			if l.gateway != nil {
				commands = len(l.gateway.count(func() { err = call() }))
			} else {
				err = call()
			}
			if err == nil || !strings.Contains(err.Error(), "400 KB") || !strings.Contains(err.Error(), fmt.Sprint(dynamostore.MaxBytes)) || commands > 0 {
				t.Errorf("%s of %d bytes = %v, with %d commands; want an error that names the limit, and none", name, len(long), err, commands)
			}
		}
		if rec, err := l.store.Load(ctx, "id", session.Slide{}); err != nil || string(rec.Data) != bob {
			t.Errorf("Load afterwards = %d bytes, %v; want what was there", len(rec.Data), err)
		}
	})
}

// What others have added counts too, and the server knows that.
func TestNoRoomLeft(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		l.put(t, row{
			"id": str("sess:id"), "expires": num(expressSeconds(time.Hour)), "type": str("connect-session"), "sess": str(bob),
			"avatar": str(strings.Repeat("x", 100_000)),
		})
		err := l.store.Update(t.Context(), "id", []byte(bob), []byte(object(dynamostore.MaxBytes)), in(time.Hour))
		if err == nil || !strings.Contains(err.Error(), "400 KB") {
			t.Errorf("Update beside 100 KB of others = %v; want an error that names the limit", err)
		}
	})
}

// DynamoDB's text is UTF-8, and the SDK would make it so.
func TestNotUTF8(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		ctx := t.Context()
		if err := l.store.Create(ctx, "bad", record("{\"a\":\"\xff\"}")); err == nil {
			t.Error("Create with data that is not UTF-8 = nil; want an error")
		}
		if err := l.store.Create(ctx, "id", record("{\"a\":\"\ufffd\"}")); err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{
			"Update": l.store.Update(ctx, "id", []byte("{\"a\":\"\xff\"}"), []byte(bob), in(time.Hour)),
			"Delete": l.store.Delete(ctx, "id", []byte("{\"a\":\"\xff\"}")),
		} {
			if !errors.Is(err, session.ErrConflict) {
				t.Errorf("%s with old data that is not UTF-8 = %v; want %v", name, err, session.ErrConflict)
			}
		}
		if err := l.store.Update(ctx, "unknown", []byte("\xff"), []byte(bob), in(time.Hour)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Update of an unknown id = %v; want %v", err, session.ErrNotFound)
		}
	})
}

// A deadline that cannot be kept must not become one that is kept for ever.
func TestDeadlineOutOfRange(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		for _, deadline := range []time.Time{{}, time.Now(), time.Unix(0, 0), time.Unix(1<<62, 0), time.Unix(-1<<62, 0)} {
			err := l.store.Create(t.Context(), "id", session.Record{Data: []byte(bob), Deadline: deadline})
			if err == nil {
				t.Errorf("Create with the deadline %d s = nil; want an error", deadline.Unix())
			}
		}
	})
}

// An item lists no more than so many sessions. Once it is full, somebody looks
// which of them still live.
func TestIndexIsFull(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	ctx := t.Context()
	rec := record(bob)
	rec.Owner = session.Owner{User: "alice", AsOf: time.Now()}
	if err := l.store.Create(ctx, "id", rec); err != nil {
		t.Fatal(err)
	}
	for _, r := range l.all(t) {
		if strings.HasPrefix(shown(r["id"]), "user ") {
			var ids []string
			for i := range 3060 { // of 128 characters each
				ids = append(ids, fmt.Sprintf(`"%0128d"`, i))
			}
			r["doc"] = str(`{"ids":[` + strings.Join(ids, ",") + `],"full":1000000}`)
			l.put(t, r)
		}
	}
	if err := l.store.Create(ctx, "another", rec); err != nil {
		t.Errorf("Create for a user whose index is full of dead sessions = %v", err)
	}
	// The list that the test has written leaves "id" out.
	if n, err := l.store.RevokeUser(ctx, "alice", time.Now()); n != 1 || err != nil {
		t.Errorf("RevokeUser = %d, %v; want the living", n, err)
	}
	if _, err := l.store.Load(ctx, "another", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load of a revoked session = %v; want %v", err, session.ErrNotFound)
	}
}
