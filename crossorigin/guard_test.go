package crossorigin_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/crossorigin"
)

const (
	host   = "app.example.com" // the server's own
	listed = "https://example.com"
)

// hostile are origins that resemble the listed one, or nobody.
var hostile = []string{
	"null",
	"https://evil.com",
	"https://example.com.evil.com",
	"https://evilexample.com",
	"https://example.community",
	"http://example.com",
	"https://example.com:444",
	"https://example.com:443",
	"https://EXAMPLE.com",
	"HTTPS://example.com",
	"https://example.com/",
	"https://example.com.",
	"https://a.example.com",
	"https://foo@example.com",
	"https://example.com@evil.com",
	"https://example.com#evil.com",
	"https://example.com\\.evil.com",
	"https://example.com evil.com",
	"https://example.com,https://evil.com",
	" https://example.com",
	"https://example.com ",
	"https://example.com\x00",
	"https://xn--example-9ua.com",
	"https://example%2ecom",
	"https://" + strings.Repeat("a", 64<<10),
	"*",
	"",
}

func newGuard(t testing.TB, cfg crossorigin.Config) *crossorigin.Guard {
	t.Helper()
	g, err := crossorigin.New(cfg)
	if err != nil {
		t.Fatalf("New(%v) = %v", cfg.Origins, err)
	}
	return g
}

// behind stands in for everything behind the guard, the session middleware
// first: it counts its calls and hands out a cookie in each.
type behind struct {
	calls  int
	status int // 0 means 200
}

func (b *behind) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	b.calls++
	http.SetCookie(w, &http.Cookie{Name: "session", Value: "made"})
	if b.status != 0 {
		http.Error(w, "behind", b.status)
	}
}

// request makes a request to the server's own host. An origin of "-" means
// that the header is absent.
func request(method, site, origin string) *http.Request {
	r := httptest.NewRequest(method, "http://"+host+"/pills", nil)
	if site != "-" {
		r.Header["Sec-Fetch-Site"] = []string{site}
	}
	if origin != "-" {
		r.Header["Origin"] = []string{origin}
	}
	return r
}

func serve(g *crossorigin.Guard, next http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	g.Handler(next).ServeHTTP(w, r)
	return w.Result()
}

// permission returns the headers by which CORS grants anything.
func permission(h http.Header) []string {
	var granted []string
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			granted = append(granted, name)
		}
	}
	slices.Sort(granted)
	return granted
}

// The browser's word in Sec-Fetch-Site decides where there is one; a listed
// Origin overrules it; only without it does Origin count against Host. The
// reasons of the cells that surprise:
//
//   - same-origin and none are served whatever Origin says. Pages cannot set
//     Sec-Fetch-Site. A form under Referrer-Policy: no-referrer sends Origin:
//     null to its own server, and a development proxy that rewrites Host makes
//     the page's own origin look foreign.
//   - same-site is refused even when Origin has our host: it is then plain
//     http, or was redirected by a sibling.
//   - junk is a browser of the future or a forgery: refused.
//   - absent with no Origin is curl, or a server calling: there is no visitor
//     whose cookie could be abused.
func TestUnsafeMethodsBySiteAndOrigin(t *testing.T) {
	origins := []struct{ name, value string }{
		{"absent", "-"},
		{"equal", "https://" + host},
		{"listed", listed},
		{"sibling", "https://other.example.com"},
		{"foreign", "https://evil.com"},
		{"null", "null"},
	}
	const ok, no = true, false
	table := []struct {
		site   string
		served [6]bool // in the order of origins
	}{
		//               absent equal listed sibling foreign null
		{"-", [6]bool{ok, ok, ok, no, no, no}},
		{"same-origin", [6]bool{ok, ok, ok, ok, ok, ok}},
		{"same-site", [6]bool{no, no, ok, no, no, no}},
		{"cross-site", [6]bool{no, no, ok, no, no, no}},
		{"none", [6]bool{ok, ok, ok, ok, ok, ok}},
		{"junk", [6]bool{no, no, ok, no, no, no}},
	}
	g := newGuard(t, crossorigin.Config{Origins: []string{listed}})
	for _, row := range table {
		for i, origin := range origins {
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "CONNECT", "TRACE", "PURGE", "get", "POST "} {
				r := request("POST", row.site, origin.value)
				r.Method = method
				want := crossorigin.Serve
				if !row.served[i] {
					want = crossorigin.RefuseCrossOrigin
				}
				if got := g.Decide(r); got != want {
					t.Errorf("Decide(%s, Sec-Fetch-Site %s, Origin %s) = %v; want %v", method, row.site, origin.name, got, want)
				}
				checkServed(t, g, r, row.served[i], origin.name == "listed")
			}
			// Safe methods are always served: what they may not do is
			// change anything, and what a foreign page may not do is
			// read the answer.
			for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
				r := request(method, row.site, origin.value)
				if got := g.Decide(r); got != crossorigin.Serve {
					t.Errorf("Decide(%s, Sec-Fetch-Site %s, Origin %s) = %v; want %v", method, row.site, origin.name, got, crossorigin.Serve)
				}
				checkServed(t, g, r, true, origin.name == "listed")
			}
			// A WebSocket handshake is judged as an unsafe method is.
			r := request("GET", row.site, origin.value)
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "websocket")
			if got := !g.Decide(r).Refused(); got != row.served[i] {
				t.Errorf("Decide(WebSocket, Sec-Fetch-Site %s, Origin %s) serves: %v; want %v", row.site, origin.name, got, row.served[i])
			}
		}
	}
}

// checkServed sends r and compares what came of it.
func checkServed(t *testing.T, g *crossorigin.Guard, r *http.Request, served, permitted bool) {
	t.Helper()
	next := &behind{}
	res := serve(g, next, r)
	what := r.Method + " Sec-Fetch-Site " + r.Header.Get("Sec-Fetch-Site") + " Origin " + r.Header.Get("Origin")
	wantCalls, wantStatus := 1, http.StatusOK
	if !served {
		wantCalls, wantStatus = 0, http.StatusForbidden
	}
	if next.calls != wantCalls || res.StatusCode != wantStatus {
		t.Errorf("%s: %d calls behind the guard, status %d; want %d, %d", what, next.calls, res.StatusCode, wantCalls, wantStatus)
	}
	if cookie := res.Header.Get("Set-Cookie"); !served && cookie != "" {
		t.Errorf("%s: refused with Set-Cookie %q; want none", what, cookie)
	}
	if granted := permission(res.Header); (len(granted) > 0) != permitted {
		t.Errorf("%s: answer grants %v; want permission: %v", what, granted, permitted)
	}
	if vary := res.Header.Values("Vary"); !slices.Equal(vary, []string{"Origin"}) {
		t.Errorf("%s: Vary %q; want Origin once", what, vary)
	}
}

func TestHostileOriginsGetNoPermission(t *testing.T) {
	g := newGuard(t, crossorigin.Config{Origins: []string{listed}})
	for _, origin := range hostile {
		name := origin[:min(len(origin), 60)]
		if g.Trusts(origin) {
			t.Errorf("Trusts(%q) = true; want false", name)
		}
		next := &behind{}
		res := serve(g, next, request("GET", "cross-site", origin))
		if granted := permission(res.Header); len(granted) > 0 {
			t.Errorf("GET with Origin %q: answer grants %v; want nothing", name, granted)
		}
		r := request("OPTIONS", "cross-site", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		next = &behind{}
		res = serve(g, next, r)
		if granted := permission(res.Header); len(granted) > 0 || res.StatusCode != http.StatusForbidden || next.calls != 0 {
			t.Errorf("preflight with Origin %q = %d, %v, %d calls behind; want 403 and nothing", name, res.StatusCode, granted, next.calls)
		}
		next = &behind{}
		res = serve(g, next, request("POST", "cross-site", origin))
		if res.StatusCode != http.StatusForbidden || next.calls != 0 || len(permission(res.Header)) > 0 {
			t.Errorf("POST with Origin %q = %d, %d calls behind; want 403 and none", name, res.StatusCode, next.calls)
		}
	}
}

func TestManyOriginHeadersAreRefused(t *testing.T) {
	g := newGuard(t, crossorigin.Config{Origins: []string{listed}})
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "DELETE"} {
		for _, origins := range [][]string{
			{listed, "https://evil.com"},
			{"https://evil.com", listed},
			{listed, listed},
			{"", listed},
		} {
			for _, preflight := range []bool{false, true} {
				r := request(method, "same-origin", "-")
				r.Header["Origin"] = origins
				if preflight {
					r.Header.Set("Access-Control-Request-Method", "POST")
				}
				if got := g.Decide(r); got != crossorigin.RefuseManyOrigins {
					t.Errorf("Decide(%s, Origin %q) = %v; want %v", method, origins, got, crossorigin.RefuseManyOrigins)
				}
				checkServed(t, g, r, false, false)
			}
		}
	}
}

func TestPreflight(t *testing.T) {
	g := newGuard(t, crossorigin.Config{
		Origins:        []string{"http://localhost:5173", listed},
		RequestHeaders: []string{"Idempotency-Key"},
	})
	for _, test := range []struct {
		name, method, headers string
		allowed               bool
	}{
		{"the original client", "POST", "content-type", true},
		{"no header", "PUT", "-", true},
		{"patch", "PATCH", "accept,content-type,x-requested-with", true},
		{"delete", "DELETE", "content-type", true},
		{"head", "HEAD", "content-type", true},
		{"header of the configuration", "POST", "content-type,idempotency-key", true},
		{"unknown method", "PURGE", "content-type", false},
		{"lower-case method", "patch", "content-type", false},
		{"unknown header", "POST", "authorization,content-type", false},
	} {
		for _, origin := range []string{"http://localhost:5173", listed} {
			r := request("OPTIONS", "same-site", origin)
			r.Header.Set("Access-Control-Request-Method", test.method)
			if test.headers != "-" {
				r.Header.Set("Access-Control-Request-Headers", test.headers)
			}
			if got := g.Decide(r); got != crossorigin.AnswerPreflight {
				t.Errorf("%s: Decide() = %v; want %v", test.name, got, crossorigin.AnswerPreflight)
			}
			next := &behind{}
			res := serve(g, next, r)
			if next.calls != 0 || res.StatusCode != http.StatusNoContent || res.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s: %d calls behind the guard, status %d, Set-Cookie %q; want none, 204, none",
					test.name, next.calls, res.StatusCode, res.Header.Get("Set-Cookie"))
			}
			if got := res.Header.Get("Access-Control-Allow-Origin"); got != origin {
				t.Errorf("%s: Access-Control-Allow-Origin = %q; want %q", test.name, got, origin)
			}
			if got := res.Header.Get("Access-Control-Allow-Credentials"); got != "true" {
				t.Errorf("%s: Access-Control-Allow-Credentials = %q; want true", test.name, got)
			}
			if vary := res.Header.Values("Vary"); !slices.Equal(vary, []string{"Origin"}) {
				t.Errorf("%s: Vary = %q; want Origin once", test.name, vary)
			}
			if got := browserAllows(test.method, test.headers, res.Header); got != test.allowed {
				t.Errorf("%s: a browser would allow it: %v, by %v; want %v", test.name, got, res.Header, test.allowed)
			}
			if age := res.Header.Get("Access-Control-Max-Age"); test.allowed && age != "600" {
				t.Errorf("%s: Access-Control-Max-Age = %q; want 600", test.name, age)
			}
		}
	}

	// Without Access-Control-Request-Method it is an OPTIONS like any other.
	next := &behind{}
	if serve(g, next, request("OPTIONS", "same-site", listed)); next.calls != 1 {
		t.Errorf("OPTIONS that is no preflight: %d calls behind the guard; want 1", next.calls)
	}
}

// browserAllows repeats steps 7.5 to 7.7 of a browser's CORS-preflight fetch.
func browserAllows(method, headers string, h http.Header) bool {
	list := func(name string) []string {
		all := strings.FieldsFunc(strings.Join(h.Values(name), ","), func(c rune) bool { return c == ',' || c == ' ' })
		for i := range all {
			if name == "Access-Control-Allow-Headers" {
				all[i] = strings.ToLower(all[i])
			}
		}
		return all
	}
	if !slices.Contains([]string{"GET", "HEAD", "POST"}, method) && !slices.Contains(list("Access-Control-Allow-Methods"), method) {
		return false
	}
	if headers == "-" {
		return true
	}
	for name := range strings.SplitSeq(headers, ",") {
		if !slices.Contains(list("Access-Control-Allow-Headers"), name) {
			return false
		}
	}
	return true
}

func TestAnswersOfTheApplicationKeepTheirPermission(t *testing.T) {
	g := newGuard(t, crossorigin.Config{Origins: []string{listed}, ResponseHeaders: []string{"X-Request-Id"}})
	for _, status := range []int{200, 303, 400, 401, 404, 413, 415, 500, 503} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			res := serve(g, &behind{status: status}, request(method, "cross-site", listed))
			if res.StatusCode != status {
				t.Errorf("%s answered %d: status %d came through", method, status, res.StatusCode)
			}
			for name, want := range map[string]string{
				"Access-Control-Allow-Origin":      listed,
				"Access-Control-Allow-Credentials": "true",
				"Access-Control-Expose-Headers":    "x-request-id",
				"Vary":                             "Origin",
			} {
				if got := strings.Join(res.Header.Values(name), "|"); !strings.EqualFold(got, want) {
					t.Errorf("%s answered %d: %s = %q; want %q", method, status, name, got, want)
				}
			}
		}
	}
}

func TestWithoutOriginsOnlyThisServersPagesAct(t *testing.T) {
	g := newGuard(t, crossorigin.Config{})
	for _, test := range []struct {
		method, site, origin string
		served               bool
	}{
		{"POST", "same-origin", "https://" + host, true},
		{"POST", "-", "https://" + host, true},
		{"POST", "-", "-", true},
		{"POST", "cross-site", listed, false},
		{"POST", "same-site", "https://other.example.com", false},
		{"GET", "cross-site", listed, true},
	} {
		checkServed(t, g, request(test.method, test.site, test.origin), test.served, false)
	}
	r := request("OPTIONS", "cross-site", listed)
	r.Header.Set("Access-Control-Request-Method", "GET")
	checkServed(t, g, r, false, false)
}

func TestRefusalSaysTheRemedyAndReflectsNothing(t *testing.T) {
	g := newGuard(t, crossorigin.Config{Origins: []string{listed}})
	const attack = "https://evil.com/<script>alert(1)</script>"
	preflight := request("OPTIONS", "cross-site", attack)
	preflight.Header.Set("Access-Control-Request-Method", attack)
	many := request("GET", "cross-site", attack)
	many.Header.Add("Origin", attack)
	for _, test := range []struct {
		name   string
		r      *http.Request
		remedy string
	}{
		{"cross-site request", request("POST", "cross-site", attack), "add its origin"},
		{"preflight", preflight, "add its origin"},
		{"two origins", many, "proxy or client"},
	} {
		w := httptest.NewRecorder()
		g.Handler(&behind{}).ServeHTTP(w, test.r)
		var body struct {
			Error struct{ Code, Message string }
		}
		dec := json.NewDecoder(strings.NewReader(w.Body.String()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&body); err != nil {
			t.Errorf("%s: body %q: %v", test.name, w.Body, err)
		}
		if body.Error.Code != "cross_origin" || !strings.Contains(body.Error.Message, test.remedy) {
			t.Errorf("%s: error %+v; want code cross_origin and a message with %q", test.name, body.Error, test.remedy)
		}
		if strings.Contains(w.Body.String(), "evil") || strings.Contains(w.Body.String(), "script") {
			t.Errorf("%s: body %q reflects the request", test.name, w.Body)
		}
		if got := w.Header().Get("Content-Type"); got != "application/json; charset=utf-8" {
			t.Errorf("%s: Content-Type %q; want JSON", test.name, got)
		}
		if got := w.Header().Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q; want no-store", test.name, got)
		}
	}
}

func TestDenyIsCalledInPlaceOfTheAnswer(t *testing.T) {
	var got crossorigin.Verdict
	g := newGuard(t, crossorigin.Config{
		Origins: []string{listed},
		Deny: func(w http.ResponseWriter, _ *http.Request, v crossorigin.Verdict) {
			got = v
			w.WriteHeader(http.StatusTeapot)
		},
	})
	next := &behind{}
	res := serve(g, next, request("POST", "cross-site", "https://evil.com"))
	if res.StatusCode != http.StatusTeapot || got != crossorigin.RefuseCrossOrigin || next.calls != 0 {
		t.Errorf("POST from a foreign page = %d, verdict %v, %d calls behind; want 418, %v, 0",
			res.StatusCode, got, next.calls, crossorigin.RefuseCrossOrigin)
	}
	if vary := res.Header.Get("Vary"); vary != "Origin" {
		t.Errorf("Vary = %q; want Origin", vary)
	}
}

func TestVaryIsAddedToWhatIsThere(t *testing.T) {
	for _, origins := range [][]string{nil, {listed}} {
		g := newGuard(t, crossorigin.Config{Origins: origins})
		for _, method := range []string{"GET", "OPTIONS", "POST"} {
			w := httptest.NewRecorder()
			w.Header().Set("Vary", "Accept")
			g.Handler(&behind{}).ServeHTTP(w, request(method, "cross-site", "https://evil.com"))
			if got := w.Header().Values("Vary"); !slices.Equal(got, []string{"Accept", "Origin"}) {
				t.Errorf("%s with origins %q: Vary = %q; want Accept and Origin", method, origins, got)
			}
		}
	}
}

func TestVerdictsExplainThemselves(t *testing.T) {
	for v, refused := range map[crossorigin.Verdict]bool{
		crossorigin.Serve:             false,
		crossorigin.AnswerPreflight:   false,
		crossorigin.RefusePreflight:   true,
		crossorigin.RefuseCrossOrigin: true,
		crossorigin.RefuseManyOrigins: true,
	} {
		if v.Refused() != refused || (v.Message() != "") != refused || v.String() == "unknown" {
			t.Errorf("%v: Refused() = %v, Message() = %q; want refused: %v, with a message if so", v, v.Refused(), v.Message(), refused)
		}
	}
}
