package mongostore_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/pillboxgo/pillbox/session"
)

// What a stranger, or a failing disk, may leave in a session's document.
var damages = []struct {
	name    string
	session any
	missing bool
}{
	{name: "truncated JSON", session: `{"cookie":{"expires":null},"views`},
	{name: "no JSON", session: "views"},
	{name: "empty text", session: ""},
	{name: "JSON of a list", session: `[1,2]`},
	{name: "JSON without a cookie", session: `{"views":1}`},
	{name: "subdocument without a cookie", session: bson.D{{Key: "views", Value: 1}}},
	{name: "empty subdocument", session: bson.D{}},
	{name: "number", session: 17},
	{name: "array", session: bson.A{"cookie"}},
	{name: "null", session: nil},
	{name: "bytes", session: []byte(`{"cookie":{}}`)},
	{name: "no session", missing: true},
	{name: "16 MiB of text", session: strings.Repeat("pill ", 16<<20/5-100)},
	{name: "8 MiB in a subdocument", session: bson.D{{Key: "cookie", Value: 1}, {Key: "a", Value: strings.Repeat("p", 8<<20)}}},
}

// A visitor whose session is damaged gets none, is told to forget its cookie,
// and begins anew; whoever watches hears of it once.
func TestDamagedSessionsAreGivenUp(t *testing.T) {
	for _, form := range forms {
		for _, damage := range damages {
			t.Run(form.name+"/"+damage.name, func(t *testing.T) {
				t.Parallel()
				db := database(t)
				s := open(t, db, form.Options)
				v := newSite(t, s)
				v.visit("POST")
				before := v.cookie
				ids, _, err := s.List(t.Context(), "", 1)
				if err != nil || len(ids) != 1 {
					t.Fatalf("List = %d ids, %v; want one", len(ids), err)
				}
				change := bson.D{{Key: "$set", Value: bson.D{{Key: "session", Value: damage.session}}}}
				if damage.missing {
					change = bson.D{{Key: "$unset", Value: bson.D{{Key: "session", Value: ""}}}}
				}
				if _, err := db.Collection("sessions").UpdateByID(t.Context(), ids[0], change); err != nil {
					t.Fatal(err)
				}
				v.take(session.EventDamaged)

				w := v.visit("GET")
				if w.Code != http.StatusOK {
					t.Errorf("the request with the damaged session is answered %d; want 200", w.Code)
				}
				events := v.take(session.EventDamaged)
				if len(events) != 1 || events[0].PublicID == "" {
					t.Errorf("events %v; want one of kind damaged, with the public id", events)
				}
				if _, value, _ := strings.Cut(v.cookie, "="); value != "" {
					t.Errorf("the cookie is not cleared")
				}
				for range 2 {
					if w := v.visit("POST"); w.Code != http.StatusOK {
						t.Errorf("the next request is answered %d; want 200", w.Code)
					}
				}
				if v.cookie == before {
					t.Errorf("the visitor got the damaged session's cookie again")
				}
				if events := v.take(session.EventDamaged); len(events) > 0 {
					t.Errorf("the damaged session is reported again: %v", events)
				}
			})
		}
	}
}

// Values that cannot be a record are said to be damaged, are not changed by
// anything that compares, and can be deleted.
func TestDamagedValues(t *testing.T) {
	db := database(t)
	for _, form := range forms {
		s := open(t, db, form.Options)
		for name, value := range map[string]any{
			"number": 1.5, "array": bson.A{}, "null": nil, "bool": true, "bytes": []byte("{}"), "date": in(0), "empty": "",
		} {
			insert(t, db, name, bson.E{Key: "session", Value: value}, bson.E{Key: "expires", Value: in(hour)})
			for _, slide := range []session.Slide{{}, {To: in(2 * hour)}} {
				if _, err := s.Load(t.Context(), name, slide); !errors.Is(err, session.ErrDamaged) {
					t.Errorf("%s: Load = %v; want %v", name, err, session.ErrDamaged)
				}
			}
			if err := s.Update(t.Context(), name, []byte(`{}`), []byte(`{}`), in(hour)); !errors.Is(err, session.ErrConflict) {
				t.Errorf("%s: Update = %v; want %v", name, err, session.ErrConflict)
			}
			if err := s.Delete(t.Context(), name, nil); err != nil {
				t.Errorf("%s: Delete = %v; want nil", name, err)
			}
			if _, err := s.Load(t.Context(), name, session.Slide{}); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s: Load after Delete = %v; want %v", name, err, session.ErrNotFound)
			}
		}
	}
}

// An "expires" that is no date makes a session dead, as it does for
// connect-mongo; none makes it live.
func TestExpiresOfOtherTypes(t *testing.T) {
	db := database(t)
	s := open(t, db, forms[0].Options)
	for name, value := range map[string]any{"text": "2099-01-01T00:00:00.000Z", "number": int64(4102444800000), "null": nil} {
		insert(t, db, name, bson.E{Key: "session", Value: `{"cookie":{}}`}, bson.E{Key: "expires", Value: value})
		for _, slide := range []session.Slide{{}, {To: in(hour)}} {
			if _, err := s.Load(t.Context(), name, slide); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s: Load = %v; want %v", name, err, session.ErrNotFound)
			}
		}
		if err := s.Touch(t.Context(), name, in(hour)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: Touch = %v; want %v", name, err, session.ErrNotFound)
		}
		if err := s.Update(t.Context(), name, []byte(`{"cookie":{}}`), []byte(`{}`), in(hour)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: Update = %v; want %v", name, err, session.ErrNotFound)
		}
		create(t, s, name, `{"cookie":{},"new":1}`)
		holds(t, s, name, `{"cookie":{},"new":1}`)
	}
	insert(t, db, "none", bson.E{Key: "session", Value: `{"cookie":{}}`})
	for _, slide := range []session.Slide{{}, {To: in(hour)}, {To: in(hour), Before: in(hour)}} {
		rec, err := s.Load(t.Context(), "none", slide)
		if err != nil || rec.Deadline.Before(in(1000*hour)) {
			t.Errorf("without expires: Load = %v until %v; want a session that does not end", err, rec.Deadline)
		}
	}
	if err := s.Touch(t.Context(), "none", in(hour)); err != nil {
		t.Errorf("without expires: Touch = %v; want nil", err)
	}
	if doc := raw(t, db, "none"); doc.Lookup("expires").Type != 0 {
		t.Errorf("without expires: a touch gave it one: %v", doc.Lookup("expires"))
	}
	if err := s.Update(t.Context(), "none", []byte(`{"cookie":{}}`), []byte(`{"cookie":{},"n":1}`), in(hour)); err != nil {
		t.Errorf("without expires: Update = %v; want nil", err)
	}
	if rec, err := s.Load(t.Context(), "none", session.Slide{}); err != nil || rec.Deadline.After(in(2*hour)) {
		t.Errorf("after Update: Load = until %v, %v; want the deadline that Update gave it", rec.Deadline, err)
	}
}
