package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// Where express-session loses updates, Pillbox does not: it reads the whole
// session, and writes the whole session, with whatever others stored between.
func TestExpressBetterLostUpdate(t *testing.T) {
	for _, resave := range []bool{false, true} {
		a := newExpressApp(t, func(c *session.Config) { c.Resave = resave })
		cookie, id := a.begin()
		a.get(cookie, func(s *session.Session) {
			a.look(s)
			a.get(cookie, func(s *session.Session) {
				a.set(s, "theirs", 2)
				a.ok("Delete", session.Key[string]("user").Delete(s))
			})
			a.set(s, "ours", 1)
		})
		got := a.store.text(id)
		if !strings.Contains(got, `"theirs":2`) || !strings.Contains(got, `"ours":1`) || strings.Contains(got, "user") {
			t.Errorf("resave %v: stored %s; want both changes and the deletion", resave, got)
		}
		// A request that changes nothing puts nothing back, resave or not.
		a.get(cookie, func(s *session.Session) {
			a.read(s, "theirs")
			a.get(cookie, func(s *session.Session) { a.set(s, "theirs", 3) })
		})
		if got := a.store.text(id); !strings.Contains(got, `"theirs":3`) {
			t.Errorf("resave %v: stored %s after a reader finished last; want theirs to stay 3", resave, got)
		}
	}
}

// The same over real connections: of 10 parallel posts that append to one list,
// express-session keeps 1 to 7.
func TestExpressBetterParallelPosts(t *testing.T) {
	a := newExpressApp(t)
	a.store.pause = delay(2 * time.Millisecond)
	const list session.Key[[]int] = "list"
	server := httptest.NewServer(a.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := list.Update(session.From(r.Context()), func(l []int) []int { return append(l, len(l)) })
		if err != nil {
			t.Errorf("Update = %v; want nil", err)
		}
	})))
	defer server.Close()
	client := server.Client()
	client.Jar, _ = cookiejar.New(nil)
	post := func() {
		resp, err := client.Post(server.URL, "", nil)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
	}
	post() // the first request of a visitor has to finish alone
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(post)
	}
	wg.Wait()
	ids := a.store.ids()
	if len(ids) != 1 || !strings.Contains(a.store.text(ids[0]), ",49,50]") {
		t.Errorf("%d sessions, stored %s; want one list from 0 to 50", len(ids), a.store.text(ids[0]))
	}
}

// delay returns a pause of d for each call of the store.
func delay(d time.Duration) func(context.Context) {
	return func(ctx context.Context) {
		select {
		case <-ctx.Done():
		case <-time.After(d):
		}
	}
}

// Where express-session brings a destroyed session back to life with whatever
// request ends last, an ended session stays ended, and nobody gets another one
// in its place.
func TestExpressBetterResurrection(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		after  func(a *expressApp, s *session.Session)
	}{
		{"read", 200, func(*expressApp, *session.Session) {}},
		{"Set", 409, func(a *expressApp, s *session.Session) { a.set(s, "n", 1) }},
		{"Touch", 200, func(a *expressApp, s *session.Session) { a.ok("Touch", s.Touch()) }},
		{"SetMaxAge", 409, func(a *expressApp, s *session.Session) { a.ok("SetMaxAge", s.SetMaxAge(time.Hour)) }},
		{"Save", 200, func(a *expressApp, s *session.Session) {
			a.set(s, "n", 1)
			if err := s.Save(); !errors.Is(err, session.ErrEnded) {
				t.Errorf("Save of an ended session = %v; want ErrEnded", err)
			}
		}},
		{"Update", 200, func(a *expressApp, s *session.Session) {
			_, err := session.Key[int]("n").Update(s, func(n int) int { return n + 1 })
			if !errors.Is(err, session.ErrEnded) {
				t.Errorf("Update of an ended session = %v; want ErrEnded", err)
			}
		}},
		{"Renew", 409, func(a *expressApp, s *session.Session) { a.ok("Renew", s.Renew()) }},
	} {
		for _, all := range []bool{false, true} {
			a := newExpressApp(t, func(c *session.Config) {
				c.Resave, c.SaveUninitialized, c.Rolling, c.TouchEvery = all, all, all, -1
			})
			cookie, _ := a.begin()
			r := a.get(cookie, func(s *session.Session) {
				a.look(s)
				a.get(cookie, func(s *session.Session) { a.ok("Destroy", s.Destroy()) })
				test.after(a, s)
			})
			if r.StatusCode != test.status || len(a.store.ids()) != 0 || strings.Contains(strings.Join(r.cookies(), " "), "s%3A") {
				t.Errorf("%s after another request's Destroy (resave and the rest %v): status %d, %d sessions stored, Set-Cookie %q; want %d, none and none",
					test.name, all, r.StatusCode, len(a.store.ids()), r.cookies(), test.status)
			}
		}
	}
}

// Where express-session sends a redirect before it has stored the session, so
// that with a slow store every visitor arrives signed out, none of 200 does.
// Browsers follow once they have the headers; Go's client would read the body
// first, so the test follows by itself.
func TestExpressBetterRedirectRace(t *testing.T) {
	a := newExpressApp(t)
	a.store.pause = delay(50 * time.Millisecond)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /signin", func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		a.ok("SignIn", s.SignIn(r.URL.Query().Get("user")))
		a.set(s, "seen", r.URL.Query().Get("user"))
		http.Redirect(w, r, "/dashboard", http.StatusSeeOther)
		a.ok("Flush", http.NewResponseController(w).Flush())
	})
	mux.HandleFunc("GET /dashboard", func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		user, err := s.User()
		a.ok("User", err)
		fmt.Fprint(w, user, " ", a.read(s, "seen"))
	})
	server := httptest.NewServer(a.m.Handler(mux))
	defer server.Close()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			user := fmt.Sprint("user", i)
			jar, _ := cookiejar.New(nil)
			client := &http.Client{Transport: server.Client().Transport, Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			}}
			redirect, err := client.Post(server.URL+"/signin?user="+user, "", nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer redirect.Body.Close()
			resp, err := client.Get(server.URL + redirect.Header.Get("Location"))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); string(body) != user+" "+user || err != nil {
				t.Errorf("%s arrives at %s as %q, %v; want the same user", user, resp.Request.URL.Path, body, err)
			}
		})
	}
	wg.Wait()
}

// A watchedWriter knows whether anything of the response has left.
type watchedWriter struct {
	*httptest.ResponseRecorder
	left bool
}

func (w *watchedWriter) WriteHeader(code int) { w.left = true; w.ResponseRecorder.WriteHeader(code) }

func (w *watchedWriter) Write(p []byte) (int, error) {
	w.left = true
	return w.ResponseRecorder.Write(p)
}
func (w *watchedWriter) Flush() { w.left = true; w.ResponseRecorder.Flush() }

// Whatever the response is, not a byte of it leaves before its session is
// stored. Of express-session's, headers and all but the last byte do.
func TestExpressBetterSavedBeforeSeen(t *testing.T) {
	for name, respond := range map[string]http.HandlerFunc{
		"nothing":    func(http.ResponseWriter, *http.Request) {},
		"a body":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") },
		"a string":   func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") },
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) },
		"a length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "5")
			fmt.Fprint(w, "hello")
		},
		"204":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) },
		"a flush":  func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"a controller's flush": func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
		},
		"a file": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader("hello"))
		},
	} {
		a := newExpressApp(t)
		w := &watchedWriter{ResponseRecorder: httptest.NewRecorder()}
		var stored bool
		a.store.saw = func(string, []byte) {
			stored = true
			if w.left {
				t.Errorf("%s: the response began before the session was stored", name)
			}
		}
		a.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.set(session.From(r.Context()), "user", "bob")
			respond(w, r)
		})).ServeHTTP(w, request(""))
		if !stored || w.Header().Get("Set-Cookie") == "" {
			t.Errorf("%s: stored %v, Set-Cookie %q; want both", name, stored, w.Header().Get("Set-Cookie"))
		}
	}
}

// Where express-session answers 200 and reports the error to nobody who could
// still act on it, a store that fails makes the response an error: nothing of
// the handler's own is sent, no cookie, no Location.
func TestExpressBetterStoreErrorIsNo200(t *testing.T) {
	broken := errors.New("connection refused")
	for _, test := range []struct {
		fails  string // the verb
		known  bool   // whether the visitor has a session
		use    func(a *expressApp, s *session.Session)
		status int
	}{
		{"create", false, func(a *expressApp, s *session.Session) { a.set(s, "n", 1) }, 503},
		{"load", true, func(a *expressApp, s *session.Session) { a.set(s, "n", 1) }, 503},
		{"update", true, func(a *expressApp, s *session.Session) { a.set(s, "n", 1) }, 503},
		{"create", true, func(a *expressApp, s *session.Session) { a.ok("Regenerate", s.Regenerate()) }, 503},
		{"delete", true, func(a *expressApp, s *session.Session) { a.ok("Regenerate", s.Regenerate()) }, 503},
		{"create", true, func(a *expressApp, s *session.Session) { a.ok("SignIn", s.SignIn("bob")) }, 503},
		{"delete", true, func(a *expressApp, s *session.Session) { a.ok("Renew", s.Renew()) }, 503},
		// A handler that is told, and says so, answers for itself.
		{"delete", true, func(a *expressApp, s *session.Session) {
			if err := s.Destroy(); !errors.Is(err, broken) {
				t.Errorf("Destroy with a broken store = %v; want its error", err)
			}
		}, 302},
		{"load", true, func(a *expressApp, s *session.Session) {
			if _, err := session.Key[int]("n").Get(s); !errors.Is(err, broken) {
				t.Errorf("Get with a broken store = %v; want its error", err)
			}
		}, 302},
		{"update", true, func(a *expressApp, s *session.Session) {
			if _, err := session.Key[int]("n").Update(s, func(n int) int { return n + 1 }); !errors.Is(err, broken) {
				t.Errorf("Update with a broken store = %v; want its error", err)
			}
		}, 302},
	} {
		a := newExpressApp(t)
		cookie := ""
		if test.known {
			cookie, _ = a.begin()
		}
		before := len(a.store.ids())
		a.store.hook = func(verb, _ string) error {
			if verb == test.fails {
				return broken
			}
			return nil
		}
		r := a.serve(request(cookie), func(w http.ResponseWriter, r *http.Request) {
			test.use(a, session.From(r.Context()))
			http.Redirect(w, r, "/dashboard", http.StatusFound)
		})
		body, _ := io.ReadAll(r.Body)
		if r.StatusCode != test.status {
			t.Errorf("%s fails: status %d; want %d", test.fails, r.StatusCode, test.status)
		}
		if r.StatusCode == 503 && (r.Header.Get("Location") != "" || len(r.cookies()) > 0 || strings.Contains(string(body), "dashboard") || strings.Contains(string(body), "refused")) {
			t.Errorf("%s fails: Location %q, Set-Cookie %q, body %q; want none of the handler's response and nothing of the store's error", test.fails, r.Header.Get("Location"), r.cookies(), body)
		}
		a.store.hook = nil
		if test.known && test.fails != "delete" {
			var user any
			a.get(cookie, func(s *session.Session) { user = a.read(s, "user") })
			if user != "bob" || len(a.store.ids()) != before {
				t.Errorf("%s fails: afterwards user %v, %d sessions; want bob and %d", test.fails, user, len(a.store.ids()), before)
			}
		}
	}
}

// A change after the first byte is saved, without a cookie, as in
// express-session. Where it cannot be, because nobody would ever know the new
// id, express-session stores it all the same; here it is reported.
func TestExpressChangeAfterFirstByte(t *testing.T) {
	for _, known := range []bool{true, false} {
		var failed error
		a := newExpressApp(t, func(c *session.Config) {
			c.Cookie.MaxAge = time.Hour
			c.Observe = func(e session.Event) {
				if e.Kind == session.EventFailed {
					failed = e.Err
				}
			}
		})
		cookie, id := a.begin()
		if !known {
			cookie = ""
		}
		r := a.serve(request(cookie), func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			a.set(session.From(r.Context()), "n", 1)
		})
		if r.StatusCode != 200 || len(r.cookies()) > 0 {
			t.Errorf("known visitor %v: status %d, Set-Cookie %q; want 200 and none", known, r.StatusCode, r.cookies())
		}
		if saved := strings.Contains(a.store.text(id), `"n":1`); saved != known || len(a.store.ids()) != 1 {
			t.Errorf("known visitor %v: stored %s and %d sessions; want the change saved: %v, and one", known, a.store.text(id), len(a.store.ids()), known)
		}
		if errors.Is(failed, session.ErrTooLate) == known {
			t.Errorf("known visitor %v: reported %v; want ErrTooLate: %v", known, failed, !known)
		}
	}
}
