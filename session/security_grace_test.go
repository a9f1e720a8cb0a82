package session_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

func grace(d time.Duration) func(*session.Config) {
	return func(c *session.Config) { c.RenewGrace = d }
}

// renewed returns a visitor with the old cookie, and one with the new.
func (l *lab) renewed() (old, new *visitor) {
	v := l.visitor()
	v.signIn("ilmer")
	v.write("mine")
	old = l.visitor(v.cookies...)
	v.post(func(s *session.Session) error { return s.Renew() })
	return old, v
}

// In the overlap the old id reads and does nothing else; afterwards it is dead.
func TestSecurityGraceReadsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, grace(10*time.Second))
		old, v := l.renewed()
		want(t, "note with the old id", old.read(), "mine")
		want(t, "cookies set", len(old.fresh), 0)
		for name, use := range map[string]func(s *session.Session) error{
			"Set after Get": func(s *session.Session) error { _, _ = note.Get(s); return note.Set(s, "x") },
			"Update":        update,
			"Delete":        func(s *session.Session) error { _, _ = note.Get(s); return note.Delete(s) },
			"Flash":         func(s *session.Session) error { return s.Flash("info", "x") },
			"Renew":         func(s *session.Session) error { return s.Renew() },
			"SignIn":        func(s *session.Session) error { return s.SignIn("ilmer") },
			"Regenerate":    func(s *session.Session) error { return s.Regenerate() },
			"SetMaxAge":     func(s *session.Session) error { return s.SetMaxAge(time.Hour) },
			"Touch":         func(s *session.Session) error { return s.Touch() },
		} {
			a := old.do("POST", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
				if err := use(s); !errors.Is(err, session.ErrReadOnly) {
					t.Errorf("%s with the old id = %v; want %v", name, err, session.ErrReadOnly)
				}
				w.WriteHeader(http.StatusTeapot)
			})
			want(t, "answer of the handler that was told, "+name, a.code, http.StatusTeapot)
		}
		want(t, "answer to a Set that was not told", old.write("x").code, http.StatusConflict)
		want(t, "note with the new id", v.read(), "mine")
		want(t, "sessions listed", len(l.sessions("ilmer")), 1)
		time.Sleep(10*time.Second - time.Millisecond)
		want(t, "note with the old id at the end of the overlap", old.read(), "mine")
		time.Sleep(time.Millisecond)
		want(t, "note with the old id after the overlap", old.read(), "none")
		want(t, "note with the new id after the overlap", v.read(), "mine")
		want(t, "rows after the overlap", l.under.count(), 1)
	})
}

// Reading with the old id prolongs nothing.
func TestSecurityGraceIsNotProlonged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, grace(10*time.Second))
		old, _ := l.renewed()
		for range 9 {
			time.Sleep(time.Second)
			want(t, "note with the old id", old.read(), "mine")
		}
		time.Sleep(time.Second)
		want(t, "rows", l.under.count(), 1)
		for range 100 {
			time.Sleep(time.Second)
			want(t, "note with the old id after the overlap", old.read(), "none")
			want(t, "rows", l.under.count(), 1)
		}
	})
}

// Who signs out with the old id is signed out under the new one as well; who
// revokes the old public id ends the session.
func TestSecurityGraceEndsWithTheSession(t *testing.T) {
	for name, end := range map[string]func(l *lab, old, v *visitor, public string) error{
		"Destroy": func(_ *lab, old, _ *visitor, _ string) error {
			old.post(func(s *session.Session) error { return s.Destroy() })
			return nil
		},
		"SignOut": func(_ *lab, old, _ *visitor, _ string) error {
			old.post(func(s *session.Session) error { return s.SignOut() })
			return nil
		},
		"Destroy with the new id": func(_ *lab, _, v *visitor, _ string) error {
			v.post(func(s *session.Session) error { return s.Destroy() })
			return nil
		},
		"Revoke of the new id": func(l *lab, _, v *visitor, _ string) error {
			return l.m.Revoke(l.t.Context(), v.publicID())
		},
		"Revoke":   func(l *lab, _, _ *visitor, public string) error { return l.m.Revoke(l.t.Context(), public) },
		"RevokeOf": func(l *lab, _, _ *visitor, public string) error { return l.m.RevokeOf(l.t.Context(), "ilmer", public) },
		"RevokeUser": func(l *lab, _, _ *visitor, _ string) error {
			_, err := l.m.RevokeUser(l.t.Context(), "ilmer")
			return err
		},
	} {
		for renewals := 1; renewals <= 3; renewals++ {
			l := newLab(t, grace(10*time.Second))
			old, v := l.renewed()
			public := old.publicID()
			for range renewals - 1 {
				v.post(func(s *session.Session) error { return s.Renew() })
			}
			cookie := old.cookies[0]
			if err := end(l, old, v, public); err != nil {
				t.Errorf("%s, renewed %d times: %v", name, renewals, err)
			}
			want(t, "note with the new id after "+name, v.read(), "none")
			want(t, "note with the old id after "+name, old.read(), "none")
			beside := l.visitor(cookie, hostCookie+signLab("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))
			want(t, "note with the old id beside an unknown one after "+name, beside.read(), "none")
		}
	}
}

// A sign-out that loaded the session just before somebody renewed it ends it.
func TestSecurityGraceDestroyRacesRenew(t *testing.T) {
	l := newLab(t, grace(10*time.Second))
	v := l.visitor()
	v.write("mine")
	other := l.visitor(v.cookies...)
	l.store.rig(func(ctx context.Context, verb, _ string) error {
		if verb == "Delete" {
			l.store.rig(nil, nil)
			other.post(func(s *session.Session) error { return s.Renew() })
		}
		return nil
	}, nil)
	v.post(func(s *session.Session) error { return s.Destroy() })
	want(t, "note with the renewed id", other.read(), "none")
}

// Of two requests that renew one session at once, one wins.
func TestSecurityRacingRenewals(t *testing.T) {
	for _, overlap := range []time.Duration{0, 10 * time.Second} {
		for range 200 {
			l := newLab(t, grace(overlap))
			v := l.visitor()
			v.write("mine")
			var wg sync.WaitGroup
			codes := make([]int, 4)
			visitors := make([]*visitor, len(codes))
			for i := range codes {
				visitors[i] = l.visitor(v.cookies...)
				wg.Go(func() {
					codes[i] = visitors[i].do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
						_ = s.Renew() // the others may find it renewed already
						_ = s.Save()
					}).code
				})
			}
			wg.Wait()
			alive := map[string]bool{}
			for _, w := range visitors {
				if w.id() != v.id() && w.read() == "mine" {
					alive[w.id()] = true
				}
			}
			want(t, "ids that won", len(alive), 1)
			rows := 1
			if overlap > 0 {
				rows = 2
			}
			if n := l.under.count(); n != rows {
				t.Fatalf("%d rows after racing renewals; want %d", n, rows)
			}
		}
	}
}

// A renewal whose deletion of the old id failed, and which was then overtaken by
// the end of the session, does not bring it back.
func TestSecurityFailedRenewalIsOvertaken(t *testing.T) {
	for _, overlap := range []time.Duration{0, 10 * time.Second} {
		l := newLab(t, grace(overlap))
		v := l.visitor()
		v.write("mine")
		other := l.visitor(v.cookies...)
		l.store.rig(func(_ context.Context, verb, _ string) error {
			if verb == "Delete" || verb == "Update" {
				l.store.rig(nil, nil)
				other.post(func(s *session.Session) error {
					if public, _ := s.PublicID(); public == "" {
						t.Error("the session was gone before it was destroyed")
					}
					return s.Destroy()
				})
				return errDown
			}
			return nil
		}, nil)
		v.post(func(s *session.Session) error { return s.Renew() })
		want(t, "note after the session was destroyed", v.read(), "none")
		want(t, "rows", l.under.count(), 0)
	}
}
