package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// eachIndex runs a test on each store that finds sessions by user and needs no
// server.
func eachIndex(t *testing.T, test func(t *testing.T, store session.Store)) {
	t.Run("ledger", func(t *testing.T) { test(t, newLedger()) })
	t.Run("memory", func(t *testing.T) {
		store := memstore.New(memstore.Options{})
		t.Cleanup(func() { store.Close() })
		test(t, store)
	})
	t.Run("sqlite", func(t *testing.T) { test(t, openSQLite(t, filepath.Join(t.TempDir(), "users.db"))) })
}

func on(store session.Store) func(*session.Config) {
	return func(c *session.Config) { c.Store = &spy{Store: store} }
}

func atMost(n int, reject bool) func(*session.Config) {
	return func(c *session.Config) { c.MaxPerUser, c.RejectOverMax = n, reject }
}

func (l *lab) sessions(user string) []session.Info {
	l.t.Helper()
	infos, err := l.m.Sessions(l.t.Context(), user)
	if err != nil {
		l.t.Error(err)
	}
	return infos
}

// OWASP ASVS 5.0 §7.1.2: 50 sign-ins at once never exceed the bound.
func TestSecurityParallelSignInsKeepToMaxPerUser(t *testing.T) {
	eachIndex(t, func(t *testing.T, store session.Store) {
		for _, reject := range []bool{false, true} {
			const bound = 5
			user := fmt.Sprint("ilmer, rejecting: ", reject)
			l := newLab(t, on(store), atMost(bound, reject))
			var mu sync.Mutex
			codes := map[int]int{}
			visitors := make([]*visitor, 50)
			watch, stop := context.WithCancel(t.Context())
			var watcher, wg sync.WaitGroup
			watcher.Go(func() {
				for watch.Err() == nil {
					if n := len(l.sessions(user)); n > bound {
						t.Errorf("%d sessions at a time; want at most %d", n, bound)
					}
				}
			})
			for i := range visitors {
				visitors[i] = l.visitor()
				wg.Go(func() {
					a := visitors[i].signIn(user)
					mu.Lock()
					defer mu.Unlock()
					codes[a.code]++
				})
			}
			wg.Wait()
			stop()
			watcher.Wait()
			want(t, "sessions", len(l.sessions(user)), bound)
			alive := 0
			for _, v := range visitors {
				v.post(func(s *session.Session) error {
					got, err := s.User()
					if got == user {
						alive++
					}
					return err
				})
			}
			want(t, "visitors signed in", alive, bound)
			granted := 50
			if reject {
				granted = bound
			}
			want(t, "sign-ins granted", codes[200], granted)
			want(t, "sign-ins rejected", codes[429], 50-granted)
		}
	})
}

// The oldest session goes, not just any.
func TestSecurityMaxPerUserEndsTheOldest(t *testing.T) {
	eachIndex(t, func(t *testing.T, store session.Store) {
		l := newLab(t, on(store), atMost(2, false))
		a, b, c := l.visitor(), l.visitor(), l.visitor()
		for _, v := range []*visitor{a, b, c} {
			v.write("mine")
			v.signIn("ilmer")
		}
		want(t, "oldest", a.read(), "none")
		want(t, "second", b.read(), "mine")
		want(t, "newest", c.read(), "mine")
	})
}

// At the bound, a new id for a session that counts already ends no other one,
// and is not rejected.
func TestSecurityRotationsAtMaxPerUser(t *testing.T) {
	eachIndex(t, func(t *testing.T, store session.Store) {
		for _, reject := range []bool{false, true} {
			for _, bound := range []int{1, 3} {
				user := fmt.Sprint("ilmer ", reject, bound)
				l := newLab(t, on(store), atMost(bound, reject))
				var all []*visitor
				for range bound {
					v := l.visitor()
					v.write("mine")
					v.signIn(user)
					all = append(all, v)
				}
				for name, rotate := range map[string]func(s *session.Session) error{
					"Renew":  func(s *session.Session) error { return s.Renew() },
					"SignIn": func(s *session.Session) error { return s.SignIn(user) },
				} {
					for i, v := range all {
						want(t, fmt.Sprintf("%s of session %d of %d", name, i, bound), v.post(rotate).code, 200)
						for j, w := range all {
							want(t, fmt.Sprintf("note of %d after %s of %d of %d", j, name, i, bound), w.read(), "mine")
						}
					}
				}
			}
		}
	})
}

// ASVS 5.0 §7.4.2: of sign-ins that began before everything was revoked, none
// survives, whatever the method and however they interleave.
func TestSecurityRevokeUserRacesSignIn(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		for _, had := range []string{"nothing", "a session", "a sign-in"} {
			for _, when := range []string{"before SignIn", "after SignIn", "before Create", "after Create"} {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t)
					v := l.visitor()
					switch had {
					case "a session":
						v.write("mine")
					case "a sign-in":
						v.signIn("ilmer")
					}
					time.Sleep(time.Second)
					revoke := func() {
						time.Sleep(time.Second)
						if _, err := l.m.RevokeUser(t.Context(), "ilmer"); err != nil {
							t.Error(err)
						}
						time.Sleep(time.Second)
					}
					once := sync.OnceFunc(revoke)
					hook := func(_ context.Context, verb, _ string) error {
						if verb == "Create" {
							once()
						}
						return nil
					}
					switch when {
					case "before Create":
						l.store.rig(hook, nil)
					case "after Create":
						l.store.rig(nil, hook)
					}
					a := v.do(method, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
						// Here the handler checks the password, and takes its time.
						if when == "before SignIn" {
							revoke()
						}
						err := s.SignIn("ilmer")
						if err != nil && !errors.Is(err, session.ErrEnded) {
							t.Error(err)
						}
						if when == "after SignIn" {
							revoke()
						}
					})
					l.store.rig(nil, nil)
					what := fmt.Sprintf("%s with %s, revoked %s", method, had, when)
					want(t, "sessions after "+what, len(l.sessions("ilmer")), 0)
					if when != "after Create" {
						want(t, "answer to "+what, a.code, http.StatusUnauthorized)
					}
					time.Sleep(time.Second)
					w := l.visitor()
					want(t, "answer to a sign-in afterwards", w.signIn("ilmer").code, 200)
				})
			}
		}
	}
}

// Parallel sign-ins and one revocation: whoever is signed in came afterwards.
func TestSecurityRevokeUserAmongParallelSignIns(t *testing.T) {
	eachIndex(t, func(t *testing.T, store session.Store) {
		l := newLab(t, on(store))
		for range 20 {
			var wg sync.WaitGroup
			visitors := make([]*visitor, 8)
			started := make(chan bool, len(visitors))
			for i := range visitors {
				visitors[i] = l.visitor()
				wg.Go(func() {
					visitors[i].do("GET", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
						started <- true
						_ = s.SignIn("ilmer")
					})
				})
			}
			for range visitors {
				<-started
			}
			time.Sleep(2 * time.Millisecond) // the store keeps milliseconds
			if _, err := l.m.RevokeUser(t.Context(), "ilmer"); err != nil {
				t.Fatal(err)
			}
			wg.Wait()
			if n := len(l.sessions("ilmer")); n > 0 {
				t.Fatalf("%d sessions from before survive; want none", n)
			}
			time.Sleep(2 * time.Millisecond)
		}
	})
}

// §7.4.3: all others end, and the one that asked goes on, even while it renews.
func TestSecurityRevokeUserSparesTheOneThatAsked(t *testing.T) {
	eachIndex(t, func(t *testing.T, store session.Store) {
		l := newLab(t, on(store))
		a, b, other := l.visitor(), l.visitor(), l.visitor()
		a.signIn("ilmer")
		b.signIn("ilmer")
		other.signIn("ada")
		time.Sleep(2 * time.Millisecond)
		code := a.do("POST", func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			if err := s.Renew(); err != nil { // not yet committed
				t.Error(err)
			}
			public, _ := s.PublicID()
			time.Sleep(2 * time.Millisecond)
			n, err := l.m.RevokeUser(r.Context(), "ilmer", public)
			if n != 1 || err != nil {
				t.Errorf("RevokeUser = %d, %v; want 1", n, err)
			}
			time.Sleep(2 * time.Millisecond)
		}).code
		want(t, "answer to who asked", code, 200)
		want(t, "sessions", len(l.sessions("ilmer")), 1)
		want(t, "sessions of somebody else", len(l.sessions("ada")), 1)
		b.do("GET", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			user, err := s.User()
			want(t, "user of the other", user, "")
			want(t, "error of the other", err, nil)
		})
		if n, err := l.m.RevokeUser(t.Context(), "ilmer", "not a public id"); !errors.Is(err, session.ErrNotFound) || n != 0 {
			t.Errorf("RevokeUser but for nonsense = %d, %v; want %v", n, err, session.ErrNotFound)
		}
		want(t, "sessions afterwards", len(l.sessions("ilmer")), 1)
	})
}

// §7.5.2: a user ends his own sessions and nobody else's; §7.4.5: an
// administrator any.
func TestSecurityRevokeByPublicID(t *testing.T) {
	eachIndex(t, func(t *testing.T, store session.Store) {
		for _, hashed := range []bool{false, true} {
			l := newLab(t, on(store), func(c *session.Config) { c.HashIDs = hashed })
			mine, theirs, nobody := l.visitor(), l.visitor(), l.visitor()
			mine.signIn("ilmer")
			theirs.signIn("ada")
			nobody.write("x")
			ctx := t.Context()
			for _, public := range []string{theirs.publicID(), nobody.publicID(), "", "x", strings.Repeat("x", 1<<16), theirs.id(), theirs.cookies[0]} {
				for _, user := range []string{"ilmer", ""} {
					if err := l.m.RevokeOf(ctx, user, public); !errors.Is(err, session.ErrNotFound) {
						t.Errorf("RevokeOf(%q, %.20q) = %v; want %v", user, public, err, session.ErrNotFound)
					}
				}
			}
			want(t, "sessions of ada", len(l.sessions("ada")), 1)
			if err := l.m.RevokeOf(ctx, "ilmer", mine.publicID()); err != nil {
				t.Errorf("RevokeOf one's own = %v", err)
			}
			want(t, "sessions of ilmer", len(l.sessions("ilmer")), 0)
			for _, v := range []*visitor{theirs, nobody} {
				public := v.publicID()
				for _, wanted := range []error{nil, session.ErrNotFound} {
					if err := l.m.Revoke(ctx, public); !errors.Is(err, wanted) {
						t.Errorf("Revoke = %v; want %v", err, wanted)
					}
				}
				want(t, "note after Revoke", v.read(), "none")
			}
		}
	})
}

// The list tells sessions apart without telling the secret.
func TestSecurityListHoldsNoSecret(t *testing.T) {
	eachIndex(t, func(t *testing.T, store session.Store) {
		for _, hashed := range []bool{false, true} {
			l := newLab(t, on(store), func(c *session.Config) { c.HashIDs = hashed })
			var ids []string
			user := fmt.Sprint("ilmer ", hashed)
			for range 3 {
				v := l.visitor()
				v.signIn(user)
				ids = append(ids, v.id())
			}
			infos := l.sessions(user)
			want(t, "sessions", len(infos), 3)
			if !slices.IsSortedFunc(infos, func(a, b session.Info) int { return a.Created.Compare(b.Created) }) {
				t.Error("sessions are not listed oldest first")
			}
			for _, info := range infos {
				for _, id := range ids {
					if strings.Contains(fmt.Sprintf("%+v", info), id) {
						t.Errorf("Info %+v holds an id", info)
					}
				}
				// The public id in the place of the cookie opens nothing.
				want(t, "note with a public id", l.visitor(hostCookie+info.PublicID).read(), "none")
				want(t, "note with a signed public id", l.visitor(hostCookie+signLab(info.PublicID)).read(), "none")
			}
		}
	})
}

// ASVS 5.0 §7.5.1, §7.5.3: a handler can demand a recent sign-in.
func TestSecurityRequireFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		v := l.visitor()
		v.write("x")
		fresh := func() (err error) {
			v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				err = s.RequireFresh(5 * time.Minute)
			})
			return err
		}
		is := func(what string, want error) {
			t.Helper()
			if err := fresh(); !errors.Is(err, want) {
				t.Errorf("RequireFresh %s = %v; want %v", what, err, want)
			}
		}
		is("for nobody", session.ErrSignedOut)
		v.signIn("ilmer")
		is("at once", nil)
		time.Sleep(5 * time.Minute)
		is("at the limit", nil)
		v.post(func(s *session.Session) error { return s.Renew() })
		time.Sleep(time.Millisecond)
		is("after the limit", session.ErrStale)
		v.signIn("ilmer")
		is("signed in again", nil)
		want(t, "status of ErrStale", session.Status(fmt.Errorf("x: %w", session.ErrStale)), 401)
		v.post(func(s *session.Session) error { return s.SignOut() })
		is("signed out", session.ErrSignedOut)
		v.signIn("ilmer")
		down := errors.New("down")
		l.store.rig(fails(down, "Load"), nil)
		is("without a store", down)
	})
}
