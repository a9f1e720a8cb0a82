package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// A new id that was acknowledged reaches the visitor even if something later in
// the request fails: the old id is dead, so it is all that he has.
func TestFaultsAfterAnAcknowledgedSave(t *testing.T) {
	for name, save := range map[string]func(s *session.Session) error{
		"Set, Save": func(s *session.Session) error { return errors.Join(note.Set(s, "mine"), s.Save()) },
		"Update": func(s *session.Session) error {
			_, err := note.Update(s, func(string) string { return "mine" })
			return err
		},
		"SignIn, Save": func(s *session.Session) error { return errors.Join(note.Set(s, "mine"), s.SignIn("ilmer"), s.Save()) },
		"Renew, Save":  func(s *session.Session) error { return errors.Join(note.Set(s, "mine"), s.Renew(), s.Save()) },
	} {
		for _, known := range []bool{false, true} {
			for _, later := range []string{"store fails", "too large", "Unset", "late", "hijack"} {
				l := newLab(t)
				v := l.visitor()
				if known {
					v.write("before")
				}
				a := v.do("POST", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
					if err := save(s); err != nil {
						t.Fatalf("%s = %v", name, err)
					}
					switch later {
					case "store fails":
						l.store.rig(fails(errDown, "Load", "Update", "Touch"), nil)
						_ = note.Set(s, "lost")
					case "too large":
						_ = note.Set(s, strings.Repeat("x", 1<<20))
					case "Unset":
						_ = s.Unset()
					case "late":
						w.WriteHeader(http.StatusAccepted)
						l.store.rig(fails(errDown, "Update"), nil)
						_ = note.Set(s, "lost")
					case "hijack":
						_, _, _ = http.NewResponseController(w).Hijack()
					}
				})
				l.store.rig(nil, nil)
				what := fmt.Sprintf("%s, then %s, known before: %v", name, later, known)
				want(t, "note after "+what, v.read(), "mine")
				want(t, "rows after "+what, l.under.count(), 1)
				want(t, "answer is an error after "+what, a.code >= 400, later == "store fails" || later == "too large")
			}
		}
	}
}

// A Destroy that was acknowledged clears the cookie even beside an error.
func TestFaultsAfterAnAcknowledgedDestroy(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("mine")
	v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		if err := s.SignOut(); err != nil {
			t.Error(err)
		}
		l.store.rig(fails(errDown, "Create"), nil)
		_ = s.Flash("info", "Good bye")
	})
	l.store.rig(nil, nil)
	want(t, "cookies left", len(v.cookies), 0)
	want(t, "rows", l.under.count(), 0)
}

// Save is for handlers that answer a failure themselves: their answer goes out,
// and what they called failed is not saved after all.
func TestFaultsHandlerAnswersAFailedSave(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("old")
	for _, recovers := range []bool{true, false} {
		a := v.do("POST", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			l.store.rig(fails(errDown, "Update"), nil)
			_ = note.Set(s, "new")
			if err := s.Save(); err == nil {
				t.Error("Save = nil; want an error")
			}
			if recovers {
				l.store.rig(nil, nil)
			}
			w.WriteHeader(http.StatusTeapot)
			fmt.Fprint(w, "my own page")
		})
		l.store.rig(nil, nil)
		want(t, fmt.Sprintf("answer, store recovers: %v", recovers), a.code, http.StatusTeapot)
		want(t, "body", a.body, "my own page")
		want(t, "note", v.read(), "old")
	}
}

// A page of one's own for those who are signed in too often.
func TestFaultsHandlerAnswersTooManySessions(t *testing.T) {
	l := newLab(t, atMost(1, true))
	l.visitor().signIn("ilmer")
	v := l.visitor()
	v.write("mine")
	a := v.do("POST", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		_ = s.SignIn("ilmer")
		if err := s.Save(); !errors.Is(err, session.ErrTooManySessions) {
			t.Errorf("Save = %v; want %v", err, session.ErrTooManySessions)
		}
		w.WriteHeader(http.StatusTeapot)
	})
	want(t, "answer", a.code, http.StatusTeapot)
	want(t, "note", v.read(), "mine")
}

// What changes after the first byte is saved where that is possible, and
// reported where it is not.
func TestFaultsChangesAfterTheFirstByte(t *testing.T) {
	for _, tt := range []struct {
		name   string
		known  bool
		use    func(s *session.Session) error
		events string
		note   string
	}{
		{"Set", true, func(s *session.Session) error { return note.Set(s, "late") }, "changed", "late"},
		{"Update", true, func(s *session.Session) error {
			_, err := note.Update(s, func(string) string { return "late" })
			return err
		}, "changed", "late"},
		{"Destroy", true, func(s *session.Session) error { return s.Destroy() }, "destroyed", "none"},
		{"Set without a session", false, func(s *session.Session) error { return note.Set(s, "late") }, "failed", "none"},
		{"Renew", true, func(s *session.Session) error { return s.Renew() }, "failed", "old"},
		{"SignIn", true, func(s *session.Session) error { return s.SignIn("ilmer") }, "failed", "old"},
		{"Regenerate", true, func(s *session.Session) error { return s.Regenerate() }, "failed", "old"},
		{"nothing", true, func(s *session.Session) error { _, err := note.Get(s); return err }, "", "old"},
	} {
		l := newLab(t)
		v := l.visitor()
		if tt.known {
			v.write("old")
		}
		l.takeEvents()
		a := v.do("POST", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			fmt.Fprint(w, "first byte")
			if err := tt.use(s); err != nil {
				t.Errorf("%s after the first byte = %v", tt.name, err)
			}
		})
		want(t, tt.name+" after the first byte: events", l.takeEvents(), tt.events)
		want(t, tt.name+" after the first byte: an error is logged", strings.Contains(l.log.String(), "level=ERROR"), tt.events == "failed")
		want(t, tt.name+" after the first byte: answer", a.code, 200)
		want(t, tt.name+" after the first byte: note", v.read(), tt.note)
	}
}

// An Update after the first byte, for a visitor without a session, is told at once.
func TestFaultsUpdateWithoutACookieToSend(t *testing.T) {
	l := newLab(t)
	l.visitor().do("POST", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		fmt.Fprint(w, "first byte")
		if err := update(s); !errors.Is(err, session.ErrTooLate) {
			t.Errorf("Update = %v; want %v", err, session.ErrTooLate)
		}
	})
	want(t, "rows", l.under.count(), 0)
}

// A handler's goroutine that goes on after the request is told that it is over.
func TestFaultsUseAfterTheRequest(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("old")
	var kept *session.Session
	v.do("GET", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { kept = s })
	for name, use := range map[string]func() error{
		"Set": func() error { return note.Set(kept, "x") }, "Update": func() error { return update(kept) },
		"Delete": func() error { return note.Delete(kept) }, "SignIn": func() error { return kept.SignIn("ilmer") },
		"Renew": kept.Renew, "Save": kept.Save, "Flash": func() error { return kept.Flash("a", "b") },
	} {
		if err := use(); !errors.Is(err, session.ErrRequestOver) {
			t.Errorf("%s after the request = %v; want %v", name, err, session.ErrRequestOver)
		}
	}
	want(t, "note", v.read(), "old")
}

// A panic saves nothing that was not saved, whether or not somebody recovers,
// and no answer says otherwise.
func TestFaultsPanic(t *testing.T) {
	for _, recovers := range []string{"nobody", "inside", "outside"} {
		for _, where := range []string{"handler", "after the first byte", "store", "GenerateID"} {
			l := newLab(t, func(c *session.Config) {
				if where == "GenerateID" {
					c.GenerateID = func(*http.Request) (string, error) { panic("GenerateID") }
				}
			})
			v := l.visitor()
			if where != "GenerateID" {
				v.write("old")
			}
			if where == "store" {
				l.store.Store = panicky{l.under}
			}
			recoverer := func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() {
						if recover() != nil {
							http.Error(w, "recovered", http.StatusInternalServerError)
						}
					}()
					next.ServeHTTP(w, r)
				})
			}
			h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s := session.From(r.Context())
				_ = note.Set(s, "new")
				switch where {
				case "handler":
					panic("handler")
				case "after the first byte":
					_ = note.Set(s, "old")
					fmt.Fprint(w, "first byte")
					_ = note.Set(s, "new")
					panic("handler")
				}
				fmt.Fprint(w, "all is well")
			}))
			switch recovers {
			case "inside":
				h = l.m.Handler(recoverer(h))
			case "outside":
				h = recoverer(l.m.Handler(h))
			default:
				h = l.m.Handler(h)
			}
			w := httptest.NewRecorder()
			r := httptest.NewRequest("POST", "https://shop.example/", nil)
			for _, c := range v.cookies {
				r.Header.Add("Cookie", c)
			}
			panicked := func() (p any) {
				defer func() { p = recover() }()
				h.ServeHTTP(w, r)
				return nil
			}()
			l.store.Store = l.under
			what := fmt.Sprintf("panic in %s, recovered by %s", where, recovers)
			want(t, what+": goes on to the server", panicked != nil, recovers == "nobody")
			if panicked == nil && where != "after the first byte" {
				want(t, what+": code", w.Code >= 500, true)
				want(t, what+": all is well", strings.Contains(w.Body.String(), "well"), false)
			}
			// Recovered inside, the handler's answer is an answer like any
			// other, and what was set before it is committed with it.
			if where != "GenerateID" && recovers != "inside" {
				want(t, what+": note", v.read(), "old")
			}
		}
	}
}

// panicky is a store with a mistake in it.
type panicky struct{ session.Store }

func (panicky) Update(context.Context, string, []byte, []byte, time.Time) error { panic("store") }
