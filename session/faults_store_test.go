package session_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

var errDown = errors.New("store is down")

// Each verb fails, once before and once after it did its work: the visitor gets
// an error and never a 200 that lied, and stays where he was.
func TestFaultsAnswerIsAnError(t *testing.T) {
	for _, verb := range []string{"Load", "Create", "Update"} {
		for name, use := range map[string]func(s *session.Session) error{
			"Set":            func(s *session.Session) error { return note.Set(s, "new") },
			"Get and Set":    func(s *session.Session) error { _, _ = note.Get(s); return note.Set(s, "new") },
			"Update, ignore": func(s *session.Session) error { _ = update(s); return note.Set(s, "new") },
			"Renew":          func(s *session.Session) error { _ = s.Renew(); return note.Set(s, "new") },
		} {
			l := newLab(t)
			v := l.visitor()
			v.write("old")
			if verb == "Create" && name != "Renew" {
				v = l.visitor()
			}
			l.store.rig(fails(errDown, verb), nil)
			a := v.post(use)
			if verb == "Update" && name == "Renew" {
				continue // it needs none
			}
			l.store.rig(nil, nil)
			want(t, "answer to "+name+" while "+verb+" fails", a.code, http.StatusServiceUnavailable)
			want(t, "cookies set", len(v.fresh), 0)
			want(t, "Cache-Control", a.Get("Cache-Control"), "no-store")
			if strings.Contains(a.body, errDown.Error()) {
				t.Errorf("body %q tells the visitor about the store", a.body)
			}
			if len(v.cookies) > 0 {
				want(t, "note afterwards", v.read(), "old")
			}
		}
	}
}

// A handler that only read and was told so answers as it likes.
func TestFaultsReadErrorIsTheHandlersToAnswer(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("old")
	l.store.take()
	l.store.rig(fails(errDown, "Load"), nil)
	a := v.do("GET", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		for range 3 {
			if _, err := note.Get(s); !errors.Is(err, errDown) {
				t.Errorf("Get = %v; want %v", err, errDown)
			}
		}
		if _, err := s.User(); !errors.Is(err, errDown) {
			t.Errorf("User = %v; want %v", err, errDown)
		}
		if err := s.SignIn("ilmer"); !errors.Is(err, errDown) {
			t.Errorf("SignIn = %v; want %v", err, errDown)
		}
		http.Error(w, "sorry", http.StatusBadGateway)
	})
	want(t, "answer", a.code, http.StatusBadGateway)
	want(t, "body", a.body, "sorry\n")
	want(t, "calls: the error of loading is remembered", l.store.take(), "Load")
}

// Nothing of the handler's own answer reaches the client after a failed commit,
// and nothing that describes it.
func TestFaultsHandlersAnswerIsSwallowed(t *testing.T) {
	headers := []string{
		"Content-Length", "Content-Encoding", "Content-Disposition", "Content-Range", "Accept-Ranges",
		"Etag", "Last-Modified", "Location", "Refresh",
	}
	for name, custom := range map[string]bool{"own ErrorHandler": true, "none": false} {
		l := newLab(t, func(c *session.Config) {
			if custom {
				c.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
					if !errors.Is(err, errDown) {
						t.Errorf("ErrorHandler got %v; want %v", err, errDown)
					}
					w.WriteHeader(session.Status(err))
					fmt.Fprint(w, "our page")
				}
			}
		})
		v := l.visitor()
		v.write("old")
		l.store.rig(fails(errDown, "Update"), nil)
		a := v.do("GET", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			_ = note.Set(s, "new")
			for _, h := range headers {
				w.Header().Set(h, "7")
			}
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("X-Request-Id", "42")
			w.WriteHeader(http.StatusFound)
			n, err := w.Write([]byte("secret body"))
			if n != 0 || err == nil {
				t.Errorf("Write after a failed commit = %d, %v; want an error", n, err)
			}
			if err := http.NewResponseController(w).Flush(); err == nil {
				t.Error("Flush after a failed commit = nil; want an error")
			}
		})
		want(t, name+": code", a.code, http.StatusServiceUnavailable)
		want(t, name+": body is the handler's", strings.Contains(a.body, "secret body"), false)
		want(t, name+": body is ours", a.body == "our page", custom)
		for _, h := range headers {
			want(t, name+": header "+h, a.Get(h), "")
		}
		want(t, name+": Content-Type is the handler's", a.Get("Content-Type") == "image/png", false)
		want(t, name+": a header that is no matter of the body", a.Get("X-Request-Id"), "42")
		want(t, name+": events", l.takeEvents(), "created failed")
	}
}

// A store that answers never costs a request StoreTimeout and no more, in and
// outside of requests.
func TestFaultsBlackHole(t *testing.T) {
	for name, use := range map[string]func(l *lab, v *visitor, public string) error{
		"Get": func(_ *lab, v *visitor, _ string) (err error) {
			v.do("GET", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { _, err = note.Get(s) })
			return err
		},
		"Destroy": func(_ *lab, v *visitor, _ string) (err error) {
			v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { err = s.Destroy() })
			return err
		},
		"Save": func(l *lab, _ *visitor, _ string) (err error) {
			l.visitor().do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				_ = note.Set(s, "x")
				err = s.Save()
			})
			return err
		},
		"Open": func(l *lab, _ *visitor, public string) error {
			_, err := l.m.Open(context.Background(), public)
			return err
		},
		"Revoke": func(l *lab, _ *visitor, public string) error { return l.m.Revoke(context.Background(), public) },
		"RevokeUser": func(l *lab, _ *visitor, _ string) error {
			_, err := l.m.RevokeUser(context.Background(), "x")
			return err
		},
		"Sessions": func(l *lab, _ *visitor, _ string) error {
			_, err := l.m.Sessions(context.Background(), "x")
			return err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, func(c *session.Config) { c.StoreTimeout = 2 * time.Second })
			v := l.visitor()
			v.write("old")
			public := v.publicID()
			l.store.rig(func(ctx context.Context, _, _ string) error {
				select {
				case <-ctx.Done():
					return fmt.Errorf("hole: %w", ctx.Err())
				case <-time.After(time.Hour):
					t.Errorf("%s: the store's context never ends", name)
					return errDown
				}
			}, nil)
			began := time.Now()
			if err := use(l, v, public); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s = %v; want %v", name, err, context.DeadlineExceeded)
			}
			if took := time.Since(began); took < 2*time.Second || took > 5*time.Second {
				t.Errorf("%s took %v; want 2s for each call", name, took)
			}
			l.store.rig(nil, nil)
			want(t, "note afterwards", v.read(), "old")
		})
	}
}

// Rotations are two steps in the store. Whichever fails, and whether or not it
// was done all the same, nobody is left who knows a live id that he should not,
// no record that nobody knows, and the visitor keeps what he had, but where it
// cannot be told from a session that was ended meanwhile.
func TestFaultsInTheMiddleOfARotation(t *testing.T) {
	for name, rotate := range map[string]func(s *session.Session) error{
		"SignIn":     func(s *session.Session) error { return s.SignIn("ilmer") },
		"Renew":      func(s *session.Session) error { return s.Renew() },
		"Regenerate": func(s *session.Session) error { return s.Regenerate() },
	} {
		for _, verb := range []string{"Create", "Delete"} {
			for _, done := range []bool{false, true} {
				l := newLab(t)
				v := l.visitor()
				v.write("mine")
				once := true
				hook := func(_ context.Context, called, _ string) error {
					if called == verb && once {
						once = false
						return errDown
					}
					return nil
				}
				if done {
					l.store.rig(nil, hook)
				} else {
					l.store.rig(hook, nil)
				}
				a := v.post(rotate)
				l.store.rig(nil, nil)
				what := fmt.Sprintf("%s whose %s fails, done: %v", name, verb, done)
				if name == "Renew" && verb == "Delete" && done {
					// The store says that it failed, and the old session is gone.
					// Somebody may have ended it: ended is final, and the data may
					// not live on under a new id.
					want(t, "rows after "+what, l.under.count(), 0)
					want(t, "answer to "+what, a.code, http.StatusConflict)
					continue
				}
				want(t, "rows after "+what, l.under.count(), 1)
				if a.code == http.StatusOK {
					continue // it noticed that it had succeeded
				}
				want(t, "answer to "+what, a.code, http.StatusServiceUnavailable)
				want(t, "note after "+what, v.read(), "mine")
			}
		}
	}
}

// Where even the cleaning up fails, nobody knows the id of what is left.
func TestFaultsRotationWithoutCleaningUp(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("mine")
	old := v.id()
	l.store.rig(fails(errDown, "Delete"), nil)
	want(t, "answer", v.signIn("ilmer").code, http.StatusServiceUnavailable)
	want(t, "cookies set", len(v.fresh), 0)
	l.store.rig(nil, nil)
	want(t, "id", v.id(), old)
	want(t, "note", v.read(), "mine")
	v.post(func(s *session.Session) error {
		user, err := s.User()
		want(t, "user", user, "")
		return err
	})
}

// A session that was stored though the store said no is no orphan.
func TestFaultsCreateThatWasDoneAllTheSame(t *testing.T) {
	for name, use := range map[string]func(s *session.Session) error{
		"Set":    func(s *session.Session) error { return note.Set(s, "x") },
		"Update": func(s *session.Session) error { _ = update(s); return nil },
		"SignIn": func(s *session.Session) error { return s.SignIn("ilmer") },
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			v := l.visitor()
			l.store.rig(nil, fails(context.DeadlineExceeded, "Create"))
			v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { _ = use(s) }, func(r *http.Request) {
				ctx, cancel := context.WithTimeout(r.Context(), time.Second)
				t.Cleanup(cancel)
				*r = *r.WithContext(ctx)
			})
			want(t, "cookies set by "+name, len(v.fresh), 0)
			want(t, "rows after "+name, l.under.count(), 0)
		})
	}
}

// Destroy needs no Load that works.
func TestFaultsDestroyWithoutLoad(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("mine")
	l.store.rig(fails(errDown, "Load"), nil)
	want(t, "answer", v.post(func(s *session.Session) error { return s.Destroy() }).code, 200)
	want(t, "rows", l.under.count(), 0)
	want(t, "cookies left", len(v.cookies), 0)
}

// A Destroy that failed is not acknowledged, and clears no cookie.
func TestFaultsDestroyThatFails(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("mine")
	l.store.rig(fails(errDown, "Delete"), nil)
	v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		if err := s.Destroy(); !errors.Is(err, errDown) {
			t.Errorf("Destroy = %v; want %v", err, errDown)
		}
	})
	l.store.rig(nil, nil)
	want(t, "note", v.read(), "mine")
}

// A store that reports a conflict for ever does not hold a request for ever.
func TestFaultsEndlessConflict(t *testing.T) {
	for name, use := range map[string]func(s *session.Session) error{
		"Update": func(s *session.Session) error {
			_, err := note.Update(s, func(old string) string { return old + "x" })
			return err
		},
		"Save":   func(s *session.Session) error { return errors.Join(note.Set(s, "new"), s.Save()) },
		"Renew":  func(s *session.Session) error { return errors.Join(s.Renew(), s.Save()) },
		"SignIn": func(s *session.Session) error { return errors.Join(s.SignIn("ilmer"), s.Save()) },
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			v := l.visitor()
			v.write("old")
			began := time.Now()
			calls := 0
			l.store.rig(func(_ context.Context, verb, id string) error {
				if calls++; calls > 100_000 {
					t.Fatalf("%s: %d calls, and no end", name, calls)
				}
				if id == v.id() && (verb == "Update" || verb == "Delete") {
					return session.ErrConflict
				}
				return nil
			}, nil)
			v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				if err := use(s); !errors.Is(err, session.ErrConflict) {
					t.Errorf("%s = %v; want %v", name, err, session.ErrConflict)
				}
			})
			if took := time.Since(began); took > time.Minute {
				t.Errorf("%s took %v", name, took)
			}
			l.store.rig(nil, nil)
			want(t, "note after "+name, v.read(), "old")
			want(t, "rows after "+name, l.under.count(), 1)
		})
	}
}

// Whatever fails, what was acknowledged is there, and nothing that was not
// attempted.
func TestFaultsNothingAcknowledgedIsLost(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 7))
		l := newLab(t)
		v := l.visitor()
		v.write("x")
		hook := func(context.Context, string, string) error {
			if rng.IntN(4) == 0 {
				return errDown
			}
			return nil
		}
		list := session.Key[[]int]("list")
		var acknowledged []int
		for i := range 30 {
			l.store.rig(hook, hook)
			ok := false
			a := v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
				if rng.IntN(3) == 0 {
					_ = s.Touch()
				}
				_, err := list.Update(s, func(l []int) []int { return append(l, i) })
				ok = err == nil
			})
			l.store.rig(nil, nil)
			if ok || a.code != 200 && a.code != 503 {
				acknowledged = append(acknowledged, i)
			}
		}
		v.post(func(s *session.Session) error {
			got, err := list.Get(s)
			for _, i := range acknowledged {
				if !slices.Contains(got, i) {
					t.Errorf("seed %d: list %v lacks %d, which was acknowledged", seed, got, i)
				}
			}
			if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("seed %d: list %v has something twice, or out of order", seed, got)
			}
			return err
		})
	}
}
