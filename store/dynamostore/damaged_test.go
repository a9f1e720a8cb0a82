package dynamostore_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/pillboxgo/pillbox/session"
)

// What cannot be a session is reported once, by its public id, and costs the
// visitor nothing but the session.
func TestDamagedRows(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		for _, test := range []struct {
			name   string
			change row // nil removes an attribute
		}{
			{"truncated JSON", row{"sess": str(`{"cookie":{"originalMaxAge":null},"vis`)}},
			{"no JSON", row{"sess": str("Zolpidem")}},
			{"empty text", row{"sess": str("")}},
			{"null", row{"sess": str("null")}},
			{"a list", row{"sess": str(`[{"cookie":{}}]`)}},
			{"a map instead of text", row{"sess": &types.AttributeValueMemberM{Value: row{"cookie": &types.AttributeValueMemberM{}}}}},
			{"bytes instead of text", row{"sess": &types.AttributeValueMemberB{Value: []byte(bob)}}},
			{"NULL", row{"sess": &types.AttributeValueMemberNULL{Value: true}}},
			{"a row of another application", row{"sess": str(`{"user_id":7,"ip":"127.0.0.1"}`), "type": str("audit")}},
			{"no cookie", row{"sess": str(`{"visits":1}`)}},
			{"a cookie that is none", row{"sess": str(`{"cookie":7,"visits":1}`)}},
			{"a deadline that is text", row{"expires": str("Zolpidem")}},
			{"no deadline", row{"expires": nil}},
			{"400 KB", row{"sess": str(`"` + strings.Repeat("x", 400_000) + `"`)}}, // an item has no room for more
		} {
			s := newSite(t, l.store)
			if status := s.visit("POST"); status != 200 {
				t.Fatalf("POST = %d", status)
			}
			cookie := s.cookie
			l.damage(t, test.change)
			s.happened(session.EventDamaged)
			if status := s.visit("GET"); status != 200 {
				t.Errorf("%s: GET = %d; want 200", test.name, status)
			}
			if !strings.HasSuffix(s.cookie, "=") {
				t.Errorf("%s: the cookie is now %.30q; want it cleared", test.name, s.cookie)
			}
			events := s.happened(session.EventDamaged)
			if len(events) != 1 || events[0].PublicID == "" || !errors.Is(events[0].Err, session.ErrDamaged) {
				t.Errorf("%s: events = %v; want one of a damaged session, with its public id", test.name, events)
			} else if text := events[0].Err.Error(); strings.Contains(text, "Zolpidem") {
				t.Errorf("%s: the event quotes the data: %s", test.name, text)
			}
			s.cookie = cookie
			if status := s.visit("GET"); status != 200 {
				t.Errorf("%s: GET once more = %d; want 200", test.name, status)
			}
			if events := s.happened(session.EventDamaged); len(events) != 0 {
				t.Errorf("%s: reported again: %v", test.name, events)
			}
			s.cookie = ""
			for _, method := range []string{"POST", "GET", "POST"} {
				if status := s.visit(method); status != 200 {
					t.Errorf("%s: %s afterwards = %d; want 200", test.name, method, status)
				}
			}
			l.empty(t)
		}
	})
}

// damage changes the only row of the table.
func (l *lab) damage(t testing.TB, change row) {
	t.Helper()
	rows := l.all(t)
	if len(rows) != 1 {
		t.Fatalf("%d rows; want 1", len(rows))
	}
	maps.Copy(rows[0], change)
	maps.DeleteFunc(rows[0], func(_ string, v types.AttributeValue) bool { return v == nil })
	l.put(t, rows[0])
}

func (l *lab) empty(t testing.TB) {
	t.Helper()
	for _, r := range l.all(t) {
		_, err := l.client.DeleteItem(context.WithoutCancel(t.Context()), &dynamodb.DeleteItemInput{TableName: &l.table, Key: row{"id": r["id"]}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What is no record cannot be changed as one, nor replaced, but be deleted.
func TestNoRecord(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		ctx := t.Context()
		l.put(t, row{"id": str("sess:id"), "expires": num(expressSeconds(time.Hour)), "sess": num("7")})
		for _, slide := range []session.Slide{{}, {To: in(2 * time.Hour)}} {
			if _, err := l.store.Load(ctx, "id", slide); !errors.Is(err, session.ErrDamaged) {
				t.Errorf("Load with %v = %v; want %v", slide, err, session.ErrDamaged)
			}
		}
		for name, err := range map[string]error{
			"Update": l.store.Update(ctx, "id", []byte("7"), []byte(bob), in(time.Hour)),
			"Touch":  l.store.Touch(ctx, "id", in(2*time.Hour)),
			"Delete": l.store.Delete(ctx, "id", []byte("7")),
		} {
			if !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s of what is no record = %v; want %v", name, err, session.ErrNotFound)
			}
		}
		if err := l.store.Create(ctx, "id", record(bob)); !errors.Is(err, session.ErrExists) {
			t.Errorf("Create over what is no record = %v; want %v", err, session.ErrExists)
		}
		if ids, _, err := l.store.List(ctx, "", 10); err != nil || len(ids) > 0 {
			t.Errorf("List = %q, %v; want none", ids, err)
		}
		if err := l.store.Delete(ctx, "id", nil); err != nil {
			t.Errorf("Delete of anything = %v", err)
		}
		if err := l.store.Create(ctx, "id", record(bob)); err != nil {
			t.Errorf("Create afterwards = %v", err)
		}
	})
}

// A user's index that is none is not taken for an empty one: a revocation could
// be in it.
func TestDamagedIndex(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		ctx := t.Context()
		rec := record(bob)
		rec.Owner = session.Owner{User: "alice", AsOf: time.Now()}
		if err := l.store.Create(ctx, "id", rec); err != nil {
			t.Fatal(err)
		}
		for _, doc := range []types.AttributeValue{str("{"), num("7")} {
			for _, r := range l.all(t) {
				if strings.HasPrefix(shown(r["id"]), "user ") {
					r["doc"] = doc
					l.put(t, r)
				}
			}
			for name, err := range map[string]error{
				"Create":     l.store.Create(ctx, "other", rec),
				"UserIDs":    second(l.store.UserIDs(ctx, "alice")),
				"RevokeUser": second(l.store.RevokeUser(ctx, "alice", time.Now())),
			} {
				if !errors.Is(err, session.ErrDamaged) || strings.Contains(err.Error(), "alice") {
					t.Errorf("%s with a damaged index = %v; want %v", name, err, session.ErrDamaged)
				}
			}
			if _, err := l.store.Load(ctx, "other", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Load of what could not be created = %v; want %v", err, session.ErrNotFound)
			}
		}
	})
}
