// Package crossorigin decides what pages of other origins may do, from one
// list of trusted origins.
//
// Two defences need that list, and they must agree. Cross-origin resource
// sharing (CORS) tells browsers which pages may read answers and send requests
// that are out of the ordinary; protection against cross-site request forgery
// (CSRF) refuses to act on requests that a foreign page made a visitor's
// browser send. A [Guard] feeds the same list to [github.com/jub0bs/cors] and
// to [net/http.CrossOriginProtection].
//
// The guard belongs outside of the session middleware:
//
//	handler := guard.Handler(sessions.Handler(mux))
//
// A preflight is then answered, and a forged request refused, before a session
// is looked up or made. That order matters: the browser withholds a SameSite
// cookie from a forged request, so a session made for it would be a new one,
// and its cookie, which browsers store even beside a 403, would replace the
// visitor's own.
//
// # What it does not do
//
// It does not keep a foreign page from causing GET requests; a handler of a
// safe method must not change anything (OWASP ASVS 5.0 §3.5.3). It does not
// stop clients that are not browsers, which send whatever headers they like
// but carry no visitor's cookie. It does not protect against script that runs
// on a trusted origin.
package crossorigin

import (
	"net/http"

	"github.com/jub0bs/cors"
)

// A Guard keeps pages of untrusted origins from reading answers and from
// changing anything. Make one with [New]. A Guard does not change, and its
// methods may be called concurrently.
type Guard struct {
	trusted map[string]struct{}
	cors    *cors.Middleware // nil when no origin is trusted
	forgery *http.CrossOriginProtection
	deny    func(http.ResponseWriter, *http.Request, Verdict)
}

// A Verdict says what is to become of a request.
type Verdict uint8

const (
	// Serve hands the request on. Whether the browser may show the answer
	// to the page that asked is said by the headers that
	// [Guard.Handler] adds for trusted origins.
	Serve Verdict = iota

	// AnswerPreflight is for the question that a browser asks on behalf of
	// a page of a trusted origin before the request proper (Fetch §3.2.2,
	// CORS-preflight request). It is answered at once: behind the guard it
	// would be taken for a request without a session.
	AnswerPreflight

	// RefusePreflight is for that question on behalf of any other page.
	RefusePreflight

	// RefuseCrossOrigin is for a request that may change something and
	// that a page of an origin outside of the list made the browser send.
	RefuseCrossOrigin

	// RefuseManyOrigins is for a request with several Origin headers.
	// Browsers send one at most (Fetch §3.2), and whichever were judged,
	// a proxy or handler might believe another.
	RefuseManyOrigins
)

// Refused reports whether the request must not be served.
func (v Verdict) Refused() bool { return v > AnswerPreflight }

// String returns a word for logs, such as "refuse-cross-origin".
func (v Verdict) String() string {
	switch v {
	case Serve:
		return "serve"
	case AnswerPreflight:
		return "answer-preflight"
	case RefusePreflight:
		return "refuse-preflight"
	case RefuseCrossOrigin:
		return "refuse-cross-origin"
	case RefuseManyOrigins:
		return "refuse-many-origins"
	}
	return "unknown"
}

// Message says in a sentence for developers why the request is refused and
// what to do about it. It holds nothing of the request, so it may be sent back.
// It is empty for a verdict that refuses nothing.
func (v Verdict) Message() string {
	switch v {
	case RefusePreflight:
		return "A page of an origin that this server does not trust asked whether it may send a request. " +
			"If that page is yours, add its origin (scheme, host and port, such as https://app.example.com) to the trusted origins."
	case RefuseCrossOrigin:
		return "This request may change something, and it comes from a page of an origin that this server does not trust. " +
			"If that page is yours, add its origin (scheme, host and port, such as https://app.example.com) to the trusted origins. " +
			"If it is a page of this very server behind a proxy, let the proxy pass on the Host header, or add the address that visitors see."
	case RefuseManyOrigins:
		return "This request has more than one Origin header. Browsers send one at most; look for a proxy or client that adds its own."
	}
	return ""
}

// Decide says what is to become of r. It reads r's method, Host and headers,
// and nothing else, so that a request made by hand will do.
//
// A request whose method is not GET, HEAD or OPTIONS, or that upgrades to
// another protocol, is refused unless one of these holds, as in
// [net/http.CrossOriginProtection]:
//
//   - its Origin is in the list;
//   - the browser says that it is of the same origin, or of no page at all
//     (Sec-Fetch-Site: same-origin or none);
//   - there is no Sec-Fetch-Site, and the Origin has the Host of the request,
//     or there is no Origin either: then no browser of today sent it.
//
// A page on a sibling domain or another port of the same host is same-site,
// not same-origin: it too has to be in the list.
func (g *Guard) Decide(r *http.Request) Verdict {
	origins := r.Header["Origin"]
	if len(origins) > 1 {
		return RefuseManyOrigins
	}
	if r.Method == http.MethodOptions && len(origins) == 1 && len(r.Header["Access-Control-Request-Method"]) > 0 {
		if g.Trusts(origins[0]) {
			return AnswerPreflight
		}
		return RefusePreflight
	}
	// A WebSocket handshake is a GET that opens a channel for anything, and
	// browsers let every page start one with cookies (RFC 6455 §10.2).
	if r.Method == http.MethodGet && len(r.Header["Upgrade"]) > 0 {
		r = &http.Request{Method: http.MethodPost, Host: r.Host, Header: r.Header}
	}
	if g.forgery.Check(r) != nil {
		return RefuseCrossOrigin
	}
	return Serve
}

// Trusts reports whether origin is in the list, byte for byte. It does not
// know the server's own origin.
func (g *Guard) Trusts(origin string) bool {
	_, ok := g.trusted[origin]
	return ok
}

// Handler puts the guard in front of next. What [Guard.Decide] refuses never
// reaches next, nor does a preflight. Answers of next to trusted origins, errors
// among them, carry the headers that let the page read them. Every answer says
// Vary: Origin.
//
// The answers to preflights are 204 for trusted origins and say what is
// allowed, also when the question was about something else, so that the
// browser's console names the method or header that is missing.
func (g *Guard) Handler(next http.Handler) http.Handler {
	inner := next
	if g.cors != nil {
		inner = g.cors.Wrap(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verdict := g.Decide(r)
		// cors leaves Vary out of answers to OPTIONS, because caches may
		// not keep those. Some do, when told to.
		if g.cors == nil || verdict.Refused() || r.Method == http.MethodOptions {
			w.Header().Add("Vary", "Origin")
		}
		if verdict.Refused() {
			g.deny(w, r, verdict)
			return
		}
		inner.ServeHTTP(w, r)
	})
}

// Deny answers with status 403 and the verdict's message as JSON:
//
//	{"error":{"code":"cross_origin","message":"…"}}
//
// It is what a [Guard] does unless [Config.Deny] says otherwise, and is there
// for such functions to fall back on.
func Deny(w http.ResponseWriter, _ *http.Request, v Verdict) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusForbidden)
	// The messages are ours and hold nothing that JSON would escape; a test
	// decodes each of them. An error here means that the client has left.
	_, _ = w.Write([]byte(`{"error":{"code":"cross_origin","message":"` + v.Message() + `"}}` + "\n"))
}
