package medicine_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

// A store that fails is answered with an error in JSON; nothing of what the
// handler wrote, nor a cookie of a session that is not there, goes out.
func TestFailingStore(t *testing.T) {
	down := errors.New("dial tcp 192.0.2.7:6379: connection refused, password hunter2")
	const path = "/pills"
	for _, test := range []struct {
		name         string
		method, path string
		body         string
		fails        string // the method of the store
		newVisitor   bool
	}{
		{name: "list", method: "GET", path: path, fails: "Load"},
		{name: "card", method: "GET", path: "/session", fails: "Load"},
		{name: "add, not read", method: "POST", path: path, body: `{"name":"lost"}`, fails: "Load"},
		{name: "add, not written", method: "POST", path: path, body: `{"name":"lost"}`, fails: "Update"},
		{name: "first, not written", method: "POST", path: path, body: `{"name":"lost"}`, fails: "Create", newVisitor: true},
		{name: "remove, not read", method: "DELETE", path: path + "/0?name=kept", fails: "Load"},
		{name: "remove, not written", method: "DELETE", path: path + "/0?name=kept", fails: "Update"},
		{name: "remove all, not written", method: "DELETE", path: path, fails: "Update"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t)
			v := s.visitor(t)
			v.add(`{"name":"kept"}`)
			mine := v
			if test.newVisitor {
				mine = s.visitor(t)
			}
			s.store.failWith(func(method string) error {
				if method == test.fails {
					return down
				}
				return nil
			})
			r := mine.do(test.method, test.path, test.body, "Content-Type", "application/json")
			r.wantError(t, test.method+" "+test.path, http.StatusServiceUnavailable, "store_unavailable")
			if strings.Contains(r.body, "data") || strings.Contains(r.body, "192.0.2.7") || strings.Contains(r.body, "hunter2") {
				t.Errorf("%s %s = %s; want neither the handler's answer nor the store's own words", test.method, test.path, r.body)
			}
			if c := r.header["Set-Cookie"]; c != nil {
				t.Errorf("%s %s sets the cookie %q beside the error; want none", test.method, test.path, c)
			}
			s.store.failWith(func(string) error { return nil })
			v.do("GET", "/pills", "").want(t, "GET once the store is back", 200, `{"data":[{"name":"kept"}]}`)
			if n := s.sessions(t); n != 1 {
				t.Errorf("%d sessions are stored; want 1", n)
			}
		})
	}
}

// For a client elsewhere the session begins with the list, and is written after
// the handler has: its list must not go out if that fails.
func TestHandlersAnswerIsSwallowedWhenTheSessionIsNotSaved(t *testing.T) {
	s := serve(t)
	s.store.failWith(func(method string) error {
		if method == "Create" {
			return errors.New("disk full")
		}
		return nil
	})
	v := s.visitor(t)
	r := v.do("GET", "/pills", "", "Origin", trustedOrigin, "Sec-Fetch-Site", "same-site")
	r.wantError(t, "GET /pills", http.StatusServiceUnavailable, "store_unavailable")
	if o := r.header.Get("Access-Control-Allow-Origin"); o != trustedOrigin {
		t.Errorf("the error may be read by %q; want %s", o, trustedOrigin)
	}
	if v.cookie != "" {
		t.Errorf("cookie %q beside the error; want none", v.cookie)
	}
}

func TestPagesNeedNoStore(t *testing.T) {
	s := serve(t)
	v := s.visitor(t)
	v.add(`{"name":"kept"}`)
	s.store.failWith(func(string) error { return errors.New("down") })
	for _, path := range []string{"/", "/pharmacy", "/employees"} {
		if r := v.do("GET", path, "", "Accept", "text/html"); r.status != 200 {
			t.Errorf("GET %s with the store down = %d %s; want 200", path, r.status, head(r.body))
		}
	}
	v.do("POST", "/pills", "", "Content-Type", "application/json").wantError(t, "POST of a bad pill with the store down", 400, "body_missing")
}

// A session that is ended while a pill is on its way stays ended.
func TestSessionEndedUnderARequest(t *testing.T) {
	s := serve(t)
	v := s.visitor(t)
	v.add(`{"name":"gone"}`)
	s.store.failWith(func(method string) error {
		if method == "Update" {
			return session.ErrNotFound
		}
		return nil
	})
	v.add(`{"name":"late"}`).wantError(t, "POST into an ended session", http.StatusConflict, "session_ended")
}

// Over plain HTTP from another machine browsers drop a Secure cookie, so that
// every pill would begin a session of its own. The first one says so.
func TestCookieThatCannotArrive(t *testing.T) {
	s := serve(t)
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/pills", strings.NewReader(`{"name":"lost"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "pharmacy.example"
	req.Header.Set("Content-Type", "application/json")
	s.visitor(t).send(req).wantError(t, "POST to http://pharmacy.example", http.StatusInternalServerError, "session_unusable")
	if n := s.sessions(t); n != 0 {
		t.Errorf("%d sessions are stored; want 0", n)
	}
}
