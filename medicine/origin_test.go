package medicine_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestPreflightOfATrustedOrigin(t *testing.T) {
	s := serve(t)
	v := s.visitor(t)
	v.add(`{"name":"Ibuprofen"}`)
	calls := s.store.calls.Load()
	for path, method := range map[string]string{"/pills": "POST", "/pills/0": "DELETE", "/session": "GET"} {
		r := v.do("OPTIONS", path, "", "Origin", trustedOrigin, "Sec-Fetch-Site", "same-site",
			"Access-Control-Request-Method", method, "Access-Control-Request-Headers", "content-type")
		if r.status != 200 && r.status != 204 {
			t.Errorf("preflight of %s %s = %d %s; want 200 or 204", method, path, r.status, r.body)
		}
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin":      trustedOrigin,
			"Access-Control-Allow-Credentials": "true",
		} {
			if got := r.header.Get(name); got != want {
				t.Errorf("preflight of %s %s: %s = %q; want %q", method, path, name, got, want)
			}
		}
		if got := r.header.Get("Access-Control-Allow-Headers"); !strings.Contains(got, "content-type") {
			t.Errorf("preflight of %s %s: Access-Control-Allow-Headers = %q; want content-type in it", method, path, got)
		}
		// GET and POST are safelisted and need not be named (Fetch §3.2.5).
		if got := r.header.Get("Access-Control-Allow-Methods"); method == "DELETE" && !strings.Contains(got, "DELETE") {
			t.Errorf("preflight of DELETE %s: Access-Control-Allow-Methods = %q; want DELETE", path, got)
		}
		if c := r.header["Set-Cookie"]; c != nil {
			t.Errorf("preflight of %s %s sets the cookie %q; want none", method, path, c)
		}
	}
	if n := s.store.calls.Load() - calls; n != 0 {
		t.Errorf("%d calls of the store for preflights; want 0", n)
	}
}

func TestTrustedOriginReadsAndWrites(t *testing.T) {
	s := serve(t)
	v := s.visitor(t)
	from := []string{"Origin", trustedOrigin, "Sec-Fetch-Site", "same-site", "Content-Type", "application/json"}
	for _, step := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/employees", "", 200},
		{"GET", "/pills", "", 200},
		{"POST", "/pills", `{"name":"Ibuprofen"}`, 200},
		{"POST", "/pills", `{"name":""}`, 400}, // errors are for the page to read, too
		{"DELETE", "/pills/0?name=Ibuprofen", "", 200},
	} {
		r := v.do(step.method, step.path, step.body, from...)
		if got := r.header.Get("Access-Control-Expose-Headers"); !strings.EqualFold(got, "Retry-After") {
			t.Errorf("%s %s: Access-Control-Expose-Headers = %q; want Retry-After", step.method, step.path, got)
		}
		if r.status != step.status {
			t.Errorf("%s %s from %s = %d %s; want %d", step.method, step.path, trustedOrigin, r.status, r.body, step.status)
		}
		if o, c := r.header.Get("Access-Control-Allow-Origin"), r.header.Get("Access-Control-Allow-Credentials"); o != trustedOrigin || c != "true" {
			t.Errorf("%s %s from %s: allowed origin %q, credentials %q; want this origin and true", step.method, step.path, trustedOrigin, o, c)
		}
		if vary := strings.Join(r.header.Values("Vary"), ","); !strings.Contains(vary, "Origin") {
			t.Errorf("%s %s from %s: Vary = %q; want Origin in it", step.method, step.path, trustedOrigin, vary)
		}
	}
	if n := s.sessions(t); n != 1 {
		t.Errorf("%d sessions are stored after one visit; want 1", n)
	}
}

// The original's client sends a visitor's first pills in parallel, so the list
// that it asks for before has to bring the cookie; and only to such a client.
func TestSessionBeginsWithTheListForClientsElsewhere(t *testing.T) {
	for _, test := range []struct {
		name, origin, site string
		begins             bool
	}{
		{"own page", "", "same-origin", false},
		{"no browser", "", "", false},
		{"trusted origin", trustedOrigin, "same-site", true},
		{"trusted origin, older browser", trustedOrigin, "", true},
		{"trusted origin on another site", trustedOrigin, "cross-site", false}, // a Lax cookie would not be kept
		{"foreign origin", foreignOrigin, "same-site", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t)
			v := s.visitor(t)
			var headers []string
			if test.origin != "" {
				headers = append(headers, "Origin", test.origin)
			}
			if test.site != "" {
				headers = append(headers, "Sec-Fetch-Site", test.site)
			}
			v.do("GET", "/employees", "", headers...)
			for range 2 {
				v.do("GET", "/pills", "", headers...).want(t, "GET /pills", 200, `{"data":[]}`)
			}
			want := 0
			if test.begins {
				want = 1
			}
			if n := s.sessions(t); n != want || (v.cookie != "") != test.begins {
				t.Errorf("%d sessions, cookie %q after the list was asked for twice; want %d sessions", n, v.cookie, want)
			}
			v.add(`{"name":"Ibuprofen"}`).want(t, "POST", 200, `{"data":[{"name":"Ibuprofen"}]}`)
			if n := s.sessions(t); n != 1 {
				t.Errorf("%d sessions after the first pill; want 1", n)
			}
		})
	}
}

// A forged request reaches no session: it comes without the visitor's cookie, so
// a session made for it would replace the visitor's own.
func TestForeignOriginIsRefusedBeforeAnySession(t *testing.T) {
	s := serve(t)
	v := s.visitor(t)
	v.add(`{"name":"kept"}`)
	calls := s.store.calls.Load()
	const form, text = "application/x-www-form-urlencoded", "text/plain"
	for _, test := range []struct {
		name, method, path, body string
		headers                  []string
	}{
		{"same site", "POST", "/pills", `{"name":"forged"}`, []string{"Origin", foreignOrigin, "Sec-Fetch-Site", "same-site", "Content-Type", "application/json"}},
		{"cross site", "POST", "/pills", `{"name":"forged"}`, []string{"Origin", "http://127.0.0.1:5173", "Sec-Fetch-Site", "cross-site", "Content-Type", "application/json"}},
		{"form", "POST", "/pills", `name=forged`, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Content-Type", form}},
		{"JSON as text", "POST", "/pills", `{"name":"forged"}`, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Content-Type", text}},
		{"sandboxed", "POST", "/pills", `{"name":"forged"}`, []string{"Origin", "null", "Sec-Fetch-Site", "cross-site", "Content-Type", text}},
		{"older browser", "POST", "/pills", `{"name":"forged"}`, []string{"Origin", foreignOrigin, "Content-Type", "application/json"}},
		{"remove", "DELETE", "/pills/0?name=kept", "", []string{"Origin", foreignOrigin, "Sec-Fetch-Site", "same-site"}},
		{"remove all", "DELETE", "/pills", "", []string{"Origin", foreignOrigin, "Sec-Fetch-Site", "same-site"}},
		{"preflight", "OPTIONS", "/pills", "", []string{"Origin", foreignOrigin, "Sec-Fetch-Site", "same-site", "Access-Control-Request-Method", "POST"}},
		{"unknown page", "POST", "/no/such/page", "", []string{"Origin", foreignOrigin, "Sec-Fetch-Site", "same-site"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, cookie := range []string{"", v.cookie} {
				mine := &visitor{t: t, server: s, cookie: cookie}
				r := mine.do(test.method, test.path, test.body, test.headers...)
				r.wantError(t, test.method+" "+test.path, http.StatusForbidden, "cross_origin")
				if c := r.header["Set-Cookie"]; c != nil {
					t.Errorf("the refusal sets the cookie %q; want none: it would replace the visitor's own", c)
				}
				if o := r.header.Get("Access-Control-Allow-Origin"); o != "" {
					t.Errorf("the refusal may be read by %q; want no origin", o)
				}
			}
		})
	}
	if n := s.store.calls.Load() - calls; n != 0 {
		t.Errorf("%d calls of the store for refused requests; want 0", n)
	}
	v.do("GET", "/pills", "").want(t, "GET of the visitor", 200, `{"data":[{"name":"kept"}]}`)
}

// What a foreign page may cause, but not read.
func TestForeignOriginCannotReadAnswers(t *testing.T) {
	s := serve(t)
	v := s.visitor(t)
	v.add(`{"name":"kept"}`)
	for _, path := range []string{"/pills", "/session", "/employees"} {
		r := v.do("GET", path, "", "Origin", foreignOrigin, "Sec-Fetch-Site", "same-site")
		if o := r.header.Get("Access-Control-Allow-Origin"); o != "" {
			t.Errorf("GET %s from %s: Access-Control-Allow-Origin = %q; want none", path, foreignOrigin, o)
		}
	}
}
