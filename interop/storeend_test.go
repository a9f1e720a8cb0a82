package interop_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// An ender is a backend on which a row that Express destroys may stay. With the
// stand-in for MongoDB it does, if somebody changes it at that very moment:
// DocumentDB's deletion of one document passes over it. MongoDB's does not.
type ender interface {
	end(ctx context.Context, place, id string) error
}

// Whatever a request to Pillbox does, if Express ends its session meanwhile it
// does not bring it back, and its visitor gets no other session in its place.
func (h *house) testEndedByExpress(t *testing.T) {
	store := h.open(t, h.url, common)
	express := h.app(plain)
	m, err := session.New(h.configure(store))
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []string{`[["destroy"]]`, `[["regenerate"],["set","a",1]]`, `[["signIn","bob"]]`} {
		for _, test := range []struct {
			name   string
			status int
			do     func(s *session.Session) error
		}{
			{"reads", http.StatusOK, func(*session.Session) error { return nil }},
			{"touches", http.StatusOK, func(s *session.Session) error { return s.Touch() }},
			{"sets", http.StatusConflict, func(s *session.Session) error { return session.Key[int]("a").Set(s, 2) }},
			{"deletes", http.StatusConflict, func(s *session.Session) error { return session.Key[int]("a").Delete(s) }},
			{"has a lifetime set", http.StatusConflict, func(s *session.Session) error { return s.SetMaxAge(time.Hour) }},
			{"renews", http.StatusConflict, func(s *session.Session) error { return s.Renew() }},
			// A sign-in stands on its own: it begins a session with nothing of the old one.
			{"signs in", http.StatusOK, func(s *session.Session) error { return s.SignIn("ilmer") }},
		} {
			v := &visitor{t: t}
			v.must(express.url, `[["set","a",1]]`)
			id := v.id()
			one := &visitor{t: t, cookie: v.cookie}
			status := one.change(m, func(s *session.Session) {
				if _, err := session.Key[int]("a").Get(s); err != nil {
					t.Errorf("Get = %v", err)
				}
				(&visitor{t: t, cookie: v.cookie}).must(express.url, end)
				if err := test.do(s); err != nil {
					t.Errorf("%s: %v", test.name, err)
				}
			})
			if r := h.row(t, common, id); status != test.status || r != (row{}) {
				t.Errorf("a request %s while Express does %s: status %d, then there is %s; want %d and no row", test.name, end, status, r, test.status)
			}
			if a := one.must(express.url, `[]`); len(a.data) != 0 {
				t.Errorf("a request %s while Express does %s: its visitor then has %v; want nothing", test.name, end, a.data)
			}
		}
	}
	// The same without steps: eight requests that append, and the end among them.
	pillbox := h.pillbox(t, store)
	for range 10 {
		v := &visitor{t: t}
		v.must(pillbox.url, `[["set","a",1]]`)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				one := &visitor{t: t, cookie: v.cookie}
				a := one.ask(pillbox.url, fmt.Sprintf(`[["append","list",%d]]`, i))
				late := a.status == http.StatusOK && one.id() != v.id() // came after the end, so it is a new visitor's
				if a.status != http.StatusOK && a.status != http.StatusConflict || late && len(a.data) != 1 {
					t.Errorf("append: status %d, sees %v", a.status, a.data)
				}
			})
		}
		all.Go(func() {
			(&visitor{t: t, cookie: v.cookie}).must(express.url, `[["destroy"]]`)
			if e, ok := h.backend.(ender); ok {
				if err := e.end(t.Context(), common, v.id()); err != nil {
					t.Error(err)
				}
			}
		})
		all.Wait()
		if r := h.row(t, common, v.id()); r != (row{}) {
			t.Errorf("after Express destroyed it among changes there is %s; want no row", r)
		}
	}
}

// What Pillbox ends meanwhile, a request to Express that only reads does not
// bring back. One that writes does, since Express stores blindly: it would just
// as well after another request to Express had destroyed the session.
func (h *house) testEndedByPillbox(t *testing.T) {
	store := h.open(t, h.url, common)
	express, pillbox := h.app(plain), h.pillbox(t, store)
	for _, ops := range []string{`[["destroy"]]`, `[["regenerate"],["set","a",1]]`, `[["renew"]]`, `[["signIn","ilmer"]]`} {
		v := &visitor{t: t}
		v.must(express.url, `[["set","a",1]]`)
		during(t, v, express.url, "", func() { (&visitor{t: t, cookie: v.cookie}).must(pillbox.url, ops) })
		for _, side := range []side{pillbox, express} {
			if got := (&visitor{t: t, cookie: v.cookie}).must(side.url, `[]`); len(got.data) != 0 {
				t.Errorf("%s by Pillbox while a request to Express reads: %s then finds %v; want nothing", ops, side.name, got.data)
			}
		}
		if got := stored(t, store, v.id()); got != "" {
			t.Errorf("%s by Pillbox while a request to Express reads: Load then finds %s; want nothing", ops, got)
		}
	}
	var left [2]map[string]any
	for i, ender := range []side{express, pillbox} {
		v := &visitor{t: t}
		v.must(express.url, `[["set","a",1]]`)
		during(t, v, express.url, `,["set","b",2]`, func() { (&visitor{t: t, cookie: v.cookie}).must(ender.url, `[["destroy"]]`) })
		left[i] = v.must(express.url, `[]`).data
	}
	if fmt.Sprint(left[0]) != fmt.Sprint(left[1]) {
		t.Errorf("a request to Express writes while the session is destroyed: by Express it leaves %v, by Pillbox %v; want the same", left[0], left[1])
	}
}

// during calls f while a request to Express has its session loaded, and lets it
// go on with ops, which begin with a comma, after that.
func during(t *testing.T, v *visitor, url, ops string, f func()) {
	t.Helper()
	arrived, release := make(chan struct{}), make(chan struct{})
	gate := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(arrived)
		<-release
	}))
	defer gate.Close()
	var request sync.WaitGroup
	request.Go(func() {
		(&visitor{t: t, cookie: v.cookie}).ask(url, fmt.Sprintf(`[["wait",%q]%s]`, gate.URL, ops))
	})
	select {
	case <-arrived:
		f()
	case <-time.After(10 * time.Second):
		t.Error("the request to Express did not arrive")
	}
	close(release)
	request.Wait()
}

// A visitor whom Pillbox signs in, on a slow link to its store, and sends on to
// Express arrives there signed in.
func (h *house) testRedirect(t *testing.T) {
	h.link.Latency(50 * time.Millisecond)
	defer h.link.Up()
	pillbox := h.pillbox(t, h.open(t, h.slow, common))
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			began := time.Now()
			if !signIn(t, pillbox.url, h.app(plain).url) {
				t.Error("a visitor of Pillbox arrives at Express signed out")
			}
			if took := time.Since(began); took < 50*time.Millisecond {
				t.Errorf("sign-in took %v; want the link to be slow", took)
			}
		})
	}
	all.Wait()
}
