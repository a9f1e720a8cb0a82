package pgstore_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// What cannot be a session is reported once, by its public id, and costs the
// visitor nothing but the session.
func TestDamagedRows(t *testing.T) {
	to := shared(t)
	for _, test := range []struct {
		name, sess string // sess is an expression of SQL
		jsonless   bool   // only where the column is text
	}{
		{name: "truncated JSON", sess: `left(sess::text, 20)`, jsonless: true},
		{name: "empty text", sess: `''`, jsonless: true},
		{name: "no JSON", sess: `'Zolpidem'`, jsonless: true},
		{name: "NULL", sess: `NULL`},
		{name: "null", sess: `'null'`},
		{name: "a list", sess: `'[{"cookie":{}}]'`},
		{name: "text", sess: `'"{\"cookie\":{}}"'`},
		{name: "a number", sess: `'1'`},
		{name: "a row of another application", sess: `'{"user_id":7,"ip":"127.0.0.1"}'`},
		{name: "no cookie", sess: `'{"visits":1}'`},
		{name: "a cookie that is none", sess: `'{"cookie":7,"visits":1}'`},
		{name: "16 MiB", sess: `'"' || repeat('x', 16 << 20) || '"'`},
	} {
		for _, column := range []string{"json", "text"} {
			if test.jsonless && column == "json" {
				continue // PostgreSQL keeps it out
			}
			t.Run(test.name+" in "+column, func(t *testing.T) {
				t.Parallel()
				name := table()
				s := open(t, connect(t, to), pgstore.Options{Table: name})
				execute(t, to, "ALTER TABLE "+name+" ALTER COLUMN sess TYPE "+column+", ALTER COLUMN sess DROP NOT NULL")
				a := newApplication(t, s)
				if status := a.visit("POST"); status != 200 {
					t.Fatalf("POST = %d", status)
				}
				cookie := a.cookie
				execute(t, to, "UPDATE "+name+" SET sess = ("+test.sess+")::"+column)
				a.happened(session.EventDamaged)
				if status := a.visit("GET"); status != 200 {
					t.Errorf("GET with a damaged session = %d; want 200", status)
				}
				if !strings.HasSuffix(a.cookie, "=") {
					t.Errorf("the cookie is now %.30q; want it cleared", a.cookie)
				}
				events := a.happened(session.EventDamaged)
				if len(events) != 1 || events[0].PublicID == "" || !errors.Is(events[0].Err, session.ErrDamaged) {
					t.Errorf("events = %v; want one of a damaged session, with its public id", events)
				} else if text := events[0].Err.Error(); strings.Contains(text, "Zolpidem") {
					t.Errorf("the event quotes the data: %s", text)
				}
				a.cookie = cookie
				if status := a.visit("GET"); status != 200 {
					t.Errorf("GET with a damaged session once more = %d; want 200", status)
				}
				if events := a.happened(session.EventDamaged); len(events) != 0 {
					t.Errorf("the damaged session is reported again: %v", events)
				}
				a.cookie = ""
				for _, method := range []string{"POST", "GET", "POST"} {
					if status := a.visit(method); status != 200 {
						t.Errorf("%s afterwards = %d; want 200", method, status)
					}
				}
			})
		}
	}
}

// A NULL is no record, but can be deleted, whatever it holds.
func TestNullIsDamaged(t *testing.T) {
	to, name := shared(t), table()
	s := open(t, connect(t, to), pgstore.Options{Table: name})
	execute(t, to, "ALTER TABLE "+name+" ALTER COLUMN sess DROP NOT NULL, ALTER COLUMN expire DROP NOT NULL")
	execute(t, to, "INSERT INTO "+name+" (sid, sess, expire) VALUES ('sess', NULL, 'infinity'), ('expire', '{}', NULL), ('far', '{}', 'infinity')")
	for _, slide := range []session.Slide{{}, {To: time.Now().Add(time.Hour)}} {
		if _, err := s.Load(t.Context(), "sess", slide); !errors.Is(err, session.ErrDamaged) {
			t.Errorf("Load of NULL = %v; want %v", err, session.ErrDamaged)
		}
		if _, err := s.Load(t.Context(), "expire", slide); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load of a row that expires never = %v; want %v, as Express has it", err, session.ErrNotFound)
		}
		if rec, err := s.Load(t.Context(), "far", slide); err != nil || rec.Deadline.Year() != 9999 {
			t.Errorf("Load of a row that expires in infinity = %v, %v; want the year 9999", rec.Deadline, err)
		}
	}
	if err := s.Update(t.Context(), "sess", []byte("{}"), []byte("{}"), time.Now().Add(time.Hour)); !errors.Is(err, session.ErrConflict) {
		t.Errorf("Update of NULL = %v; want %v", err, session.ErrConflict)
	}
	if err := s.Delete(t.Context(), "sess", nil); err != nil {
		t.Errorf("Delete of NULL = %v", err)
	}
	create(t, s, "sess", bob, time.Now().Add(time.Hour))
	create(t, s, "expire", bob, time.Now().Add(time.Hour))
}
