package session_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// slowKey marks the context of the request that is overtaken.
type slowKey struct{}

// An ending ends the session of the visitor whom it is given. It returns
// ErrNotFound where that one has none any more.
type ending struct {
	name string
	end  func(v *visitor) error
}

func endings(user, public string) []ending {
	use := func(f func(s *session.Session) error) func(v *visitor) error {
		return func(v *visitor) (err error) {
			v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				public, _ := s.PublicID()
				if err = f(s); err == nil && public == "" {
					err = session.ErrNotFound // too late: the cookie was of no use by then
				}
			})
			return err
		}
	}
	return []ending{
		{"Destroy", use(func(s *session.Session) error { return s.Destroy() })},
		{"SignOut", use(func(s *session.Session) error { return s.SignOut() })},
		{"Revoke", func(v *visitor) error { return v.m.Revoke(v.t.Context(), public) }},
		{"RevokeOf", func(v *visitor) error { return v.m.RevokeOf(v.t.Context(), user, public) }},
		{"RevokeUser", func(v *visitor) error {
			_, err := v.m.RevokeUser(v.t.Context(), user)
			return err
		}},
	}
}

// A move is something that a slow request does with its session. A fresh one
// asks for a session of its own, so that it may well leave with one.
type move struct {
	name  string
	fresh bool
	do    func(s *session.Session) error
}

var moves = []move{
	{"Get", false, func(s *session.Session) error { _, err := note.Get(s); return err }},
	{"Set", false, func(s *session.Session) error { return note.Set(s, "slow") }},
	{"Delete", false, note.Delete},
	{"Update", false, func(s *session.Session) error {
		_, err := note.Update(s, func(old string) string { return old + "+" })
		return err
	}},
	{"Flash", false, func(s *session.Session) error { return s.Flash("info", "x") }},
	{"Flashes", false, func(s *session.Session) error { _, err := s.Flashes("info"); return err }},
	{"Touch", false, func(s *session.Session) error { return s.Touch() }},
	{"SetMaxAge", false, func(s *session.Session) error { return s.SetMaxAge(time.Hour) }},
	{"Renew", false, func(s *session.Session) error { return s.Renew() }},
	{"Save", false, func(s *session.Session) error { return s.Save() }},
	{"Reload", false, func(s *session.Session) error { return s.Reload() }},
	{"Unset", false, func(s *session.Session) error { return s.Unset() }},
	{"User", false, func(s *session.Session) error { _, err := s.User(); return err }},
	{"Destroy", true, func(s *session.Session) error { return s.Destroy() }},
	{"SignOut", true, func(s *session.Session) error { return s.SignOut() }},
	{"Regenerate", true, func(s *session.Session) error { return s.Regenerate() }},
	{"SignIn", true, func(*session.Session) error { return nil }}, // see overtake,
}

// OWASP ASVS 5.0 §7.4.1: a slow request is overtaken, before or after any of its
// calls of the store, by the end of its session. Whatever it was about to do,
// the session does not come back, and no other one takes its place.
func TestSecurityEndedIsFinal(t *testing.T) {
	run := func(interleavings int64, store session.Store) func(t *testing.T) {
		return func(t *testing.T) {
			var seeds, overtaken atomic.Int64
			var wg sync.WaitGroup
			for range 16 { // a store on disk has less to wait for then
				wg.Go(func() {
					for overtaken.Load() < interleavings && !t.Failed() {
						if seed := uint64(seeds.Add(1)); overtake(t, store, seed) {
							overtaken.Add(1)
						}
					}
				})
			}
			wg.Wait()
		}
	}
	memory := memstore.New(memstore.Options{})
	defer memory.Close()
	t.Run("memory", run(10_000, memory))
	t.Run("sqlite", run(10_000, openSQLite(t, filepath.Join(t.TempDir(), "final.db"))))
}

func overtake(t *testing.T, store session.Store, seed uint64) (happened bool) {
	rng := rand.New(rand.NewPCG(seed, 1))
	user := fmt.Sprint("user ", seed)
	s := &spy{Store: store}
	l := newLab(t, func(c *session.Config) {
		c.Store, c.Logger, c.Observe = s, discardLogger, nil
		if rng.IntN(3) == 0 {
			c.RenewGrace = 10 * time.Second
		}
		c.HashIDs = rng.IntN(4) == 0
		c.Rolling, c.Resave = rng.IntN(4) == 0, rng.IntN(4) == 0
		c.Unset = session.UnsetPolicy(rng.IntN(2))
	})
	owner := l.visitor()
	var public string
	owner.post(func(s *session.Session) error {
		err := errors.Join(note.Set(s, "mine"), s.SignIn(user), s.Save())
		public, _ = s.PublicID()
		return err
	})
	how := endings(user, public)[rng.IntN(5)]
	slow := l.visitor(owner.cookies...)

	// Where it happens: before or after the n-th call of the slow request.
	at, after := rng.IntN(1+rng.IntN(7)), rng.IntN(2) == 0
	calls := 0
	hook := func(isAfter bool) func(ctx context.Context, verb, _ string) error {
		return func(ctx context.Context, _, _ string) error {
			if ctx.Value(slowKey{}) == nil || happened {
				return nil
			}
			if isAfter == after && calls == at {
				happened = true
				// The other one knows the cookie as it was, or is an
				// administrator.
				if err := how.end(l.visitor(owner.cookies...)); err != nil && !errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s = %v", how.name, err)
				} else if errors.Is(err, session.ErrNotFound) {
					happened = false
				}
				calls = 1000
			}
			if isAfter {
				calls++
			}
			return nil
		}
	}
	var did []string
	// Ended before it was looked up, it is like any cookie from yesterday: what
	// the request then sets begins a session.
	fresh, signsIn := at == 0 && !after, false
	s.rig(hook(false), hook(true))
	a := slow.do([]string{"GET", "POST"}[rng.IntN(2)], func(_ http.ResponseWriter, _ *http.Request, ss *session.Session) {
		for range 1 + rng.IntN(4) {
			m := moves[rng.IntN(len(moves))]
			over := happened
			err := m.do(ss)
			if m.name == "SignIn" {
				err = ss.SignIn(user)
			}
			did = append(did, m.name)
			fresh = fresh || m.fresh
			signsIn = signsIn || m.name == "SignIn"
			if over && err == nil && slices.Contains([]string{"Update", "Reload"}, m.name) && !fresh && !slices.Contains(did, "Unset") {
				t.Errorf("%v after %s was acknowledged: the last one succeeded", did, how.name)
			}
		}
	}, func(r *http.Request) { *r = *r.WithContext(context.WithValue(r.Context(), slowKey{}, true)) })
	s.rig(nil, nil)
	if !happened {
		return false
	}
	what := fmt.Sprintf("seed %d: %s overtaken by %s (at call %d, after it: %v; the configuration as drawn)", seed, strings.Join(did, ", "), how.name, at, after)
	want(t, "note by the old cookie after "+what, l.visitor(owner.cookies...).read(), "none")
	if _, err := l.m.Open(t.Context(), public); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Open after %s = %v; want %v", what, err, session.ErrNotFound)
	}
	infos, err := l.m.Sessions(t.Context(), user)
	if len(infos) > 0 && (!signsIn || how.name == "RevokeUser") || err != nil {
		t.Errorf("sessions after %s: %v, %v (answer %d); want none", what, infos, err, a.code)
	}
	if !fresh && l.findsSession(slow.cookies) {
		t.Errorf("%s: leaves with a cookie of a live session", what)
	}
	return true
}

func (l *lab) findsSession(cookies []string) (found bool) {
	l.visitor(cookies...).do("GET", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		info, err := s.Info()
		found = err == nil && info.PublicID != ""
	})
	return found
}
