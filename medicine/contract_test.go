package medicine_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The rows of the wire contract that the original's client relies on, with the
// bytes that Express sends.
func TestWireContract(t *testing.T) {
	s := serve(t)
	v := s.visitor(t)
	for _, step := range []struct {
		method, path, body string
		want               string
	}{
		{"GET", "/employees", "", `{"data":["Ilmer","Homer"]}`},
		{"GET", "/pills", "", `{"data":[]}`},
		{"POST", "/pills", `{"name":"Ibuprofen"}`, `{"data":[{"name":"Ibuprofen"}]}`},
		{"POST", "/pills", `{"name":"Ibuprofen"}`, `{"data":[{"name":"Ibuprofen"},{"name":"Ibuprofen"}]}`},
		{"GET", "/pills", "", `{"data":[{"name":"Ibuprofen"},{"name":"Ibuprofen"}]}`},
		{"POST", "/pills", ` { "name" : "Zoë <b>&\u2028" , "mg":1e2, "x":{"y":[null]} } `, `{"data":[{"name":"Ibuprofen"},{"name":"Ibuprofen"},{"name":"Zoë <b>&\u2028","mg":1e2,"x":{"y":[null]}}]}`},
		{"POST", "/pills", `{}`, `{"data":[{"name":"Ibuprofen"},{"name":"Ibuprofen"},{"name":"Zoë <b>&\u2028","mg":1e2,"x":{"y":[null]}},{}]}`},
		{"GET", "/pills", "", `{"data":[{"name":"Ibuprofen"},{"name":"Ibuprofen"},{"name":"Zoë <b>&\u2028","mg":1e2,"x":{"y":[null]}},{}]}`},
		{"GET", "/employees", "", `{"data":["Ilmer","Homer"]}`},
	} {
		var headers []string
		if step.body != "" {
			headers = []string{"Content-Type", "application/json"}
		}
		r := v.do(step.method, step.path, step.body, headers...)
		r.want(t, step.method+" "+step.path+" "+step.body, http.StatusOK, step.want)
		if ct := r.header.Get("Content-Type"); ct != "application/json; charset=utf-8" {
			t.Errorf("%s %s: Content-Type = %q; want that of Express, application/json; charset=utf-8", step.method, step.path, ct)
		}
		if cc := r.header.Get("Cache-Control"); cc != "no-store" {
			t.Errorf("%s %s: Cache-Control = %q; want no-store: the answer is one visitor's own", step.method, step.path, cc)
		}
	}
	if n := s.sessions(t); n != 1 {
		t.Errorf("%d sessions are stored after one visitor's requests; want 1", n)
	}
	other := s.visitor(t)
	other.do("GET", "/pills", "").want(t, "GET /pills of another visitor", 200, `{"data":[]}`)
}

func TestHeadHasNoBody(t *testing.T) {
	v := serve(t).visitor(t)
	for _, path := range []string{"/employees", "/pills", "/session"} {
		get, head := v.do("GET", path, ""), v.do("HEAD", path, "")
		head.want(t, "HEAD "+path, 200, "")
		if got, want := head.header.Get("Content-Length"), strconv.Itoa(len(get.body)); got != want {
			t.Errorf("HEAD %s: Content-Length = %q; want %s as GET has it", path, got, want)
		}
	}
}

// Whoever only looks around has no session, and costs the store nothing.
func TestLookingAroundStoresNothing(t *testing.T) {
	s := serve(t)
	v := s.visitor(t)
	for _, request := range []string{
		"GET /employees", "GET /pills", "GET /session", "HEAD /pills", "DELETE /pills", "DELETE /pills/0",
		"GET /", "GET /pharmacy", "GET /nowhere.js", "POST /nowhere", "OPTIONS /pills", "PUT /pills",
	} {
		method, path, _ := strings.Cut(request, " ")
		r := v.do(method, path, "")
		if c := r.header["Set-Cookie"]; c != nil {
			t.Errorf("%s sets the cookie %q; want none", request, c)
		}
	}
	if n := s.store.calls.Load(); n != 0 {
		t.Errorf("%d calls of the store for a visitor without a session; want 0", n)
	}
}

func TestParallelPillsAreAllKept(t *testing.T) {
	const parallel = 50
	s := serve(t)
	v := s.visitor(t)
	v.add(`{"name":"first"}`)
	var wg sync.WaitGroup
	for i := range parallel {
		wg.Go(func() {
			mine := &visitor{t: t, server: s, cookie: v.cookie}
			pill := fmt.Sprintf(`{"name":"pill %d"}`, i)
			if r := mine.add(pill); r.status != 200 || !strings.Contains(r.body, pill) {
				t.Errorf("POST %s in parallel = %d %s; want 200 with this pill in the list", pill, r.status, head(r.body))
			}
		})
	}
	wg.Wait()
	list := v.do("GET", "/pills", "").body
	if n := strings.Count(list, `"name"`); n != parallel+1 {
		t.Errorf("%d pills after 1 and %d in parallel; want %d", n, parallel, parallel+1)
	}
}

func TestCookie(t *testing.T) {
	s := serve(t)
	v := s.visitor(t)
	set := v.add(`{"name":"Ibuprofen"}`).header.Values("Set-Cookie")
	if len(set) != 1 {
		t.Fatalf("the first pill sets %d cookies; want 1", len(set))
	}
	value, attributes, _ := strings.Cut(set[0], "; ")
	if !strings.HasPrefix(value, "__Host-session=s%3A") || attributes != "Path=/; HttpOnly; Secure; SameSite=Lax" {
		t.Errorf("Set-Cookie = %s…; %s; want __Host-session=s%%3A… with Path=/; HttpOnly; Secure; SameSite=Lax", value[:min(len(value), 20)], attributes)
	}
	if again := v.add(`{"name":"Ibuprofen"}`).header["Set-Cookie"]; again != nil {
		t.Errorf("the second pill sets the cookie again: %q", again)
	}
}

func TestSessionCard(t *testing.T) {
	type card struct {
		Data struct {
			Live             bool
			PublicID         string
			Created          time.Time
			IdleDeadline     time.Time
			AbsoluteDeadline time.Time
			Store            string
			Bytes            int
			IdleTimeout      int64
		}
	}
	s := serve(t)
	v := s.visitor(t)
	v.do("GET", "/session", "").want(t, "GET /session of a new visitor", 200, `{"data":{"live":false}}`)

	v.add(`{"name":"Ibuprofen"}`)
	r := v.do("GET", "/session", "")
	var c card
	if err := strictJSON(r.body, &c); err != nil {
		t.Fatalf("GET /session = %d %s: %v", r.status, r.body, err)
	}
	got := c.Data
	if !got.Live || got.Store != "memory" || got.Bytes < len(`{"name":"Ibuprofen"}`) || len(got.PublicID) < 16 {
		t.Errorf("GET /session = %s; want a live session in the store memory, its size and a public id", r.body)
	}
	if age := time.Since(got.Created); age < 0 || age > time.Minute {
		t.Errorf("GET /session: created %v ago; want within the last minute", age)
	}
	if left := got.IdleDeadline.Sub(got.Created); left < 29*time.Minute || left > 31*time.Minute {
		t.Errorf("GET /session: %v from creation to the idle deadline; want 30 minutes", left)
	}
	if left := got.AbsoluteDeadline.Sub(got.Created); left != 24*time.Hour {
		t.Errorf("GET /session: %v from creation to the absolute deadline; want 24 hours", left)
	}
	if got.IdleTimeout != 30*60*1000 {
		t.Errorf("GET /session: idleTimeout = %d; want 30 minutes in milliseconds", got.IdleTimeout)
	}
	id := strings.TrimPrefix(v.cookie, cookieName+"=s%3A")
	id, _, _ = strings.Cut(id, ".")
	if id == "" || strings.Contains(r.body, id) {
		t.Errorf("GET /session tells the session's id, or the cookie %q has none", v.cookie)
	}
	again := v.do("GET", "/session", "")
	var c2 card
	if err := strictJSON(again.body, &c2); err != nil || c2.Data.PublicID != got.PublicID {
		t.Errorf("GET /session again: public id %q, %v; want %q as before", c2.Data.PublicID, err, got.PublicID)
	}
}

func TestUnknownPaths(t *testing.T) {
	v := serve(t).visitor(t)
	const browser = "text/html,application/xhtml+xml,*/*;q=0.8"
	for _, test := range []struct {
		method, path, accept string
		status               int
		code                 string // of an error; else the answer is the page
	}{
		{"GET", "/", browser, 200, ""},
		{"GET", "/pharmacy", browser, 200, ""},
		{"GET", "/about", browser, 200, ""},
		{"GET", "/no/such/page", browser, 200, ""},
		{"GET", "/no/such/page", "application/json", 404, "not_found"},
		{"GET", "/no/such/page", "*/*", 404, "not_found"},
		{"GET", "/no-such-file.js", browser, 404, "not_found"},
		{"GET", "/api/", browser, 404, "not_found"},
		{"GET", "/api/pills", browser, 404, "not_found"},
		{"POST", "/api/pills", browser, 404, "not_found"},
		{"GET", "/pills/0", browser, 405, "method_not_allowed"},
		{"POST", "/no/such/page", browser, 405, "method_not_allowed"},
		{"PATCH", "/", browser, 405, "method_not_allowed"},
	} {
		what := fmt.Sprintf("%s %s for %s", test.method, test.path, test.accept)
		r := v.do(test.method, test.path, "", "Accept", test.accept)
		if test.code != "" {
			r.wantError(t, what, test.status, test.code)
			continue
		}
		if ct := r.header.Get("Content-Type"); r.status != 200 || !strings.HasPrefix(ct, "text/html") || !strings.Contains(r.body, `<div id="app">`) {
			t.Errorf("%s = %d %s %s; want 200 and the page", what, r.status, ct, head(r.body))
		}
	}
}

func TestWrongMethodNamesThoseThatWork(t *testing.T) {
	v := serve(t).visitor(t)
	for path, allow := range map[string]string{
		"/employees": "GET, HEAD",
		"/pills":     "GET, HEAD, POST, DELETE",
		"/pills/0":   "DELETE",
		"/session":   "GET, HEAD, POST",
		"/me":        "GET, HEAD",
		"/logout":    "POST",
		"/pharmacy":  "GET, HEAD, POST",
		"/about":     "GET, HEAD",
	} {
		r := v.do("PUT", path, `{"name":"Ibuprofen"}`, "Content-Type", "application/json")
		r.wantError(t, "PUT "+path, http.StatusMethodNotAllowed, "method_not_allowed")
		if got := r.header.Get("Allow"); got != allow {
			t.Errorf("PUT %s: Allow = %q; want %q", path, got, allow)
		}
	}
}
