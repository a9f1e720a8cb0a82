package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// leave sends a request and goes away once the handler is at work; the handler
// goes on when the server has noticed. It returns when the request is over.
func (s *site) leave(use func(w http.ResponseWriter, r *http.Request, s *session.Session)) {
	s.t.Helper()
	ctx, goAway := context.WithCancel(s.t.Context())
	over := make(chan struct{})
	m := s.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ss := session.From(r.Context())
		if r.URL.Path != "/leave" {
			if err := note.Set(ss, "old"); err != nil {
				s.t.Error(err)
			}
			return
		}
		use(w, r, ss)
	}))
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if r.URL.Path == "/leave" {
				close(over)
			}
		}()
		r = r.WithContext(context.WithValue(r.Context(), goAwayKey{}, func() {
			goAway()
			<-r.Context().Done()
		}))
		m.ServeHTTP(w, r)
	})
	s.get("/")
	s.takeEvents()
	s.store.rig(func(ctx context.Context, _, _ string) error { // as a store on the network does
		select {
		case <-ctx.Done():
			return ctx.Err()
		default:
			return nil
		}
	}, nil)
	req, _ := http.NewRequestWithContext(ctx, "POST", s.URL+"/leave", nil)
	resp, err := s.browser.Do(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	<-over
}

type goAwayKey struct{}

// gone makes the client of this request go away, and waits until that is known.
func gone(r *http.Request) { r.Context().Value(goAwayKey{}).(func())() }

// A client that goes away takes nothing with it: what was changed is saved, and
// who signed out is signed out.
func TestFaultsClientGoesAway(t *testing.T) {
	for _, tt := range []struct {
		name   string
		use    func(w http.ResponseWriter, r *http.Request, s *session.Session) error
		note   string
		events string
	}{
		{"before Destroy", func(_ http.ResponseWriter, r *http.Request, s *session.Session) error {
			gone(r)
			return s.Destroy()
		}, "none", "destroyed"},
		{"between Get and Destroy", func(_ http.ResponseWriter, r *http.Request, s *session.Session) error {
			_, err := note.Get(s)
			gone(r)
			return errors.Join(err, s.Destroy())
		}, "none", "destroyed"},
		{"between Get and Set", func(_ http.ResponseWriter, r *http.Request, s *session.Session) error {
			_, err := note.Get(s)
			gone(r)
			return errors.Join(err, note.Set(s, "new"))
		}, "new", "changed"},
		{"between Get and Update", func(_ http.ResponseWriter, r *http.Request, s *session.Session) error {
			_, err := note.Get(s)
			gone(r)
			_, err2 := note.Update(s, func(string) string { return "new" })
			return errors.Join(err, err2)
		}, "new", "changed"},
		{"after Update", func(_ http.ResponseWriter, r *http.Request, s *session.Session) error {
			_, err := note.Update(s, func(string) string { return "new" })
			gone(r)
			return err
		}, "new", "changed"},
		{"after the first byte, before Set", func(w http.ResponseWriter, r *http.Request, s *session.Session) error {
			_, err := note.Get(s)
			fmt.Fprint(w, "first byte")
			gone(r)
			return errors.Join(err, note.Set(s, "new"))
		}, "new", "changed"},
		{"before it was known who it is", func(_ http.ResponseWriter, r *http.Request, s *session.Session) error {
			gone(r)
			if _, err := note.Get(s); !errors.Is(err, context.Canceled) {
				return fmt.Errorf("Get = %v; want %v", err, context.Canceled)
			}
			return nil
		}, "old", ""},
	} {
		s := serveSite(t, nil)
		s.leave(func(w http.ResponseWriter, r *http.Request, ss *session.Session) {
			if err := tt.use(w, r, ss); err != nil {
				t.Errorf("client goes away %s: %v", tt.name, err)
			}
		})
		want(t, "events, client went away "+tt.name, s.takeEvents(), tt.events)
		want(t, "note, client went away "+tt.name, s.visitor("session="+jarValue(s)).read(), tt.note)
	}
}

// A client that goes away is no matter for an operator.
func TestFaultsClientGoesAwayWithoutAlarm(t *testing.T) {
	s := serveSite(t, nil)
	s.leave(func(_ http.ResponseWriter, r *http.Request, ss *session.Session) {
		gone(r)
		_ = note.Set(ss, "new") // needs a Load, which ends with the request
	})
	if text := s.log.String(); strings.Contains(text, "level=ERROR") || strings.Contains(text, "level=WARN") {
		t.Errorf("log raises an alarm:\n%s", text)
	}
}

// A visitor who signs in and goes away in the middle of it is left with one live
// session: the old one if the new cookie was never sent.
func TestFaultsClientGoesAwayDuringSignIn(t *testing.T) {
	s := serveSite(t, nil)
	s.leave(func(_ http.ResponseWriter, r *http.Request, ss *session.Session) {
		if err := ss.SignIn("ilmer"); err != nil {
			t.Error(err)
		}
		gone(r)
	})
	want(t, "rows", s.under.count(), 1)
}

// A handler that is cut off by http.TimeoutHandler saves nothing afterwards: the
// visitor was told that it failed.
func TestFaultsTimeoutHandler(t *testing.T) {
	for _, inside := range []bool{false, true} {
		l := newLab(t)
		v := l.visitor()
		v.write("old")
		over := make(chan error, 1)
		answered := make(chan struct{})
		h := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := session.From(r.Context())
			_, _ = note.Get(s)
			<-r.Context().Done()
			if inside { // the session cannot know of the time before all is over
				<-answered
			}
			err := note.Set(s, "new")
			if err == nil {
				err = s.Save()
			}
			fmt.Fprint(w, "late")
			over <- err
		}))
		if inside {
			h = l.m.Handler(http.TimeoutHandler(h, 20*time.Millisecond, "timed out"))
		} else {
			h = http.TimeoutHandler(l.m.Handler(h), 20*time.Millisecond, "timed out")
		}
		r := httptest.NewRequest("POST", "https://shop.example/", nil)
		r.Header.Set("Cookie", v.cookies[0])
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		close(answered)
		want(t, "code", w.Code, http.StatusServiceUnavailable)
		want(t, "body", w.Body.String(), "timed out")
		if err := <-over; err == nil {
			t.Error("Save after the time is out = nil; want an error")
		}
		want(t, "note", v.read(), "old")
	}
}

// The server survives a handler that panics, and so does everybody's session.
func TestFaultsServerSurvivesPanics(t *testing.T) {
	s := serveSite(t, nil, func(ts *httptest.Server) { ts.Config.ErrorLog = log.New(io.Discard, "", 0) })
	s.Config.Handler = s.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ss := session.From(r.Context())
		switch r.URL.Path {
		case "/abort":
			_ = note.Set(ss, "aborted")
			panic(http.ErrAbortHandler)
		case "/panic":
			_ = note.Set(ss, "panicked")
			panic("handler")
		}
		if r.URL.RawQuery != "" {
			_ = note.Set(ss, r.URL.RawQuery)
		}
		text, _ := note.Get(ss)
		fmt.Fprint(w, text)
	}))
	s.get("/?mine")
	for _, path := range []string{"/abort", "/panic"} {
		if resp, err := s.browser.Get(s.URL + path); err == nil {
			resp.Body.Close()
			t.Errorf("%s was answered with %s; want a broken connection", path, resp.Status)
		}
		_, body := s.get("/")
		want(t, "note after "+path, body, "mine")
	}
}

// No goroutine is left behind, by no kind of failure.
func TestFaultsNoGoroutineIsLeft(t *testing.T) {
	before := goroutines()
	for range 10 {
		l := newLab(t, func(c *session.Config) { c.StoreTimeout = time.Millisecond })
		v := l.visitor()
		v.write("old")
		l.store.rig(func(ctx context.Context, _, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		}, nil)
		for _, use := range []func(s *session.Session) error{
			func(s *session.Session) error { _, err := note.Get(s); return err },
			func(s *session.Session) error { return note.Set(s, "x") },
			func(s *session.Session) error { return s.SignIn("ilmer") },
			func(s *session.Session) error { return s.Destroy() },
		} {
			v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { _ = use(s) })
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	for goroutines() > before && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	if n := goroutines(); n > before {
		var b bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
		t.Errorf("%d goroutines of the library's, %d before:\n%s", n, before, &b)
	}
}

// goroutines counts those that the library or its contexts run in.
func goroutines() (n int) {
	var b bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&b, 2)
	for _, stack := range strings.Split(b.String(), "\n\n") {
		if strings.Contains(stack, "pillbox/session.") || strings.Contains(stack, "context.(") {
			n++
		}
	}
	return n
}

// A store may look at the context of a call that it has given up, as one with a
// queue does.
func TestFaultsStoreKeepsItsContext(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("old")
	var wg sync.WaitGroup
	l.store.rig(func(ctx context.Context, verb, _ string) error {
		ended := make(chan struct{})
		wg.Go(func() {
			for range 1000 {
				_, _ = ctx.Deadline()
				_, _ = ctx.Err(), ctx.Value(goAwayKey{})
			}
			close(ended)
			for range 1000 {
				_, _ = ctx.Err(), ctx.Value(goAwayKey{})
			}
		})
		<-ended
		if verb == "Update" {
			return errDown
		}
		return nil
	}, nil)
	v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		_, _ = note.Get(s)
		_ = update(s)
		_ = note.Set(s, "new")
		_ = s.Save()
		if err := s.SignOut(); err != nil {
			t.Error(err)
		}
		_ = note.Set(s, "newer")
	})
	wg.Wait()
}

// Streams of many visitors at once, each with its own session to the end: what
// one is sent is never another's.
func TestFaultsStreamsDoNotMix(t *testing.T) {
	l := newLab(t)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			mine := fmt.Sprintf("note of %d", i)
			v := l.visitor()
			v.write(mine)
			for range 5 {
				a := v.do("GET", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
					for range 5 {
						text, err := note.Get(s)
						fmt.Fprintln(w, text)
						_ = http.NewResponseController(w).Flush()
						if err = errors.Join(err, note.Set(s, mine)); err != nil {
							t.Error(err)
						}
					}
				})
				want(t, "stream", a.body, strings.Repeat(mine+"\n", 5))
			}
		})
	}
	wg.Wait()
}

// Several goroutines of one request may use its session. (The race detector has
// the say here.)
func TestFaultsGoroutinesOfOneRequest(t *testing.T) {
	l := newLab(t, grace(10*time.Second))
	v := l.visitor()
	v.write("old")
	list := session.Key[[]int]("list")
	v.do("POST", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				_, _ = note.Get(s)
				_ = session.Key[int](fmt.Sprint("key", i)).Set(s, i)
				if _, err := list.Update(s, func(l []int) []int { return append(l, i) }); err != nil {
					t.Error(err)
				}
				_, _ = s.Info()
				_, _ = s.Keys()
				_, _ = s.User()
				_ = fmt.Sprint(s)
				_ = s.Save()
			})
		}
		fmt.Fprint(w, "first byte")
		wg.Wait()
	})
	v.post(func(s *session.Session) error {
		got, err := list.Get(s)
		want(t, "length of the list", len(got), 8)
		keys, _ := s.Keys()
		want(t, "keys", len(keys), 10)
		return err
	})
}
