package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// secret: the first one signs, each one verifies.
func TestExpressSecretRotation(t *testing.T) {
	const id = "an-id-of-the-rotation-test"
	for _, test := range []struct {
		name    string
		signer  string
		secrets []string
		found   bool
	}{
		{"the only one", "a", []string{"a"}, true},
		{"the first", "new", []string{"new", "old"}, true},
		{"the second", "old", []string{"new", "old"}, true},
		{"the third", "older", []string{"new", "old", "older"}, true},
		{"one that is gone", "older", []string{"new", "old"}, false},
		{"the empty one", "", []string{"new"}, false},
	} {
		a := newExpressApp(t, func(c *session.Config) { c.Secrets = test.secrets })
		a.store.keep(id, `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"user":"bob"}`, time.Hour)
		var user any
		r := a.get("connect.sid="+signed(id, test.signer), func(s *session.Session) { user = a.read(s, "user") })
		if found := user == "bob"; found != test.found {
			t.Errorf("%s: session signed by %q among secrets %q: found %v; want %v", test.name, test.signer, test.secrets, found, test.found)
		}
		if want := map[bool]string{true: "load", false: ""}[test.found]; r.calls != want {
			t.Errorf("%s: store calls %q; want %q: a bad signature costs none", test.name, r.calls, want)
		}
		cookie, id := newExpressApp(t, func(c *session.Config) { c.Secrets = test.secrets }).begin()
		if want := "connect.sid=" + signed(id, test.secrets[0]); cookie != want {
			t.Errorf("%s: new cookie %q; want %q, signed by the first secret", test.name, cookie, want)
		}
	}
}

// name: any token of RFC 6265 §4.1.1. Where express-session fails at the first
// response that has a cookie, Pillbox does when it is configured.
func TestExpressName(t *testing.T) {
	for _, name := range []string{"connect.sid", "sid", "a", "!#$%&'*+-.^_`|~", "Connect.SID"} {
		a := newExpressApp(t, func(c *session.Config) { c.Cookie.Name = name })
		cookie, id := a.begin()
		if want := name + "=" + signed(id, expressSecret); cookie != want {
			t.Errorf("name %q: cookie %q; want %q", name, cookie, want)
		}
		var user any
		a.get(cookie, func(s *session.Session) { user = a.read(s, "user") })
		if user != "bob" {
			t.Errorf("name %q: user in the next request is %v; want bob", name, user)
		}
	}
	for _, name := range []string{"a b", "a=b", "a;b", "sid ", "a,b", `"a"`, "a\x00", "sïd", "a(b)", "a@b"} {
		c := session.ExpressV1()
		c.Store, c.Secrets, c.InsecureSecrets, c.Cookie.Name = newShelf(), []string{"a"}, true, name
		var wrong *session.ConfigError
		if _, err := session.New(c); !errors.As(err, &wrong) || wrong.Field != "Cookie.Name" {
			t.Errorf("New with name %q = %v; want a ConfigError for Cookie.Name", name, err)
		}
	}
}

// genid gets the request, and what it returns is the id.
func TestExpressGenerateID(t *testing.T) {
	a := newExpressApp(t, func(c *session.Config) {
		c.GenerateID = func(r *http.Request) (string, error) {
			return "for." + strings.TrimPrefix(r.URL.Path, "/") + ".0123456789:@+=~_", nil
		}
	})
	r := a.do(requestTo("http://example.com/bob", ""), func(s *session.Session) { a.set(s, "user", "bob") })
	const id = "for.bob.0123456789:@+=~_"
	if want := "connect.sid=" + signed(id, expressSecret); r.cookie() != want {
		t.Errorf("cookie %q; want %q", r.cookie(), want)
	}
	if ids := a.store.ids(); len(ids) != 1 || ids[0] != id {
		t.Errorf("stored ids %q; want %q", ids, id)
	}
	var user any
	a.get(r.cookie(), func(s *session.Session) { user = a.read(s, "user") })
	if user != "bob" {
		t.Errorf("user in the next request is %v; want bob", user)
	}
}

// Better than express-session, which drops the session and answers 200: an id
// that is none is an error, and nothing is stored.
func TestExpressGenerateIDBetterWhenItFails(t *testing.T) {
	for _, test := range []struct {
		name string
		id   string
		err  error
	}{
		{"an error", "", errors.New("out of entropy")},
		{"empty", "", nil},
		{"too short to be secret", "0123456789", nil},
		{"a slash", "0123456789012345678901/", nil},
		{"a space", "0123456789 0123456789 01", nil},
		{"too long", strings.Repeat("x", 129), nil},
	} {
		a := newExpressApp(t, func(c *session.Config) {
			c.GenerateID = func(*http.Request) (string, error) { return test.id, test.err }
		})
		r := a.get("", func(s *session.Session) { a.set(s, "user", "bob") })
		if r.StatusCode != http.StatusServiceUnavailable && r.StatusCode != http.StatusInternalServerError || len(r.cookies()) > 0 || r.calls != "" {
			t.Errorf("%s: status %d, Set-Cookie %q, store calls %q; want an error and nothing else", test.name, r.StatusCode, r.cookies(), r.calls)
		}
	}
}

// Better than express-session, which overwrites the other visitor's session: an
// id that is taken is never handed out twice.
func TestExpressGenerateIDBetterOnCollision(t *testing.T) {
	ids := []string{"an-id-that-is-taken-already", "an-id-that-is-taken-already", "an-id-that-nobody-has-yet"}
	a := newExpressApp(t, func(c *session.Config) {
		c.GenerateID = func(*http.Request) (string, error) {
			id := ids[0]
			ids = ids[1:]
			return id, nil
		}
	})
	a.begin()
	before := a.store.text("an-id-that-is-taken-already")
	r := a.get("", func(s *session.Session) { a.set(s, "user", "eve") })
	if want := "connect.sid=" + signed("an-id-that-nobody-has-yet", expressSecret); r.cookie() != want {
		t.Errorf("second visitor's cookie %q; want %q", r.cookie(), want)
	}
	if got := a.store.text("an-id-that-is-taken-already"); got != before {
		t.Errorf("first visitor's session became %s; want %s", got, before)
	}
}

// resave, saveUninitialized and what they cost: the calls of the store and
// whether a cookie is sent, for each kind of request.
func TestExpressResaveAndSaveUninitialized(t *testing.T) {
	change := func(a *expressApp) func(*session.Session) {
		return func(s *session.Session) { a.set(s, "n", 1) }
	}
	same := func(a *expressApp) func(*session.Session) {
		return func(s *session.Session) { a.set(s, "user", "bob") }
	}
	unused := func(*expressApp) func(*session.Session) { return nothing }
	read := func(a *expressApp) func(*session.Session) { return a.look }
	for _, test := range []struct {
		name                      string
		resave, saveUninitialized bool
		visitor                   string // new, known, stale
		handler                   func(*expressApp) func(*session.Session)
		calls                     string
		cookie                    bool
	}{
		{"unused by a new visitor", false, false, "new", unused, "", false},
		{"read by a new visitor", false, false, "new", read, "", false},
		{"changed by a new visitor", false, false, "new", change, "create", true},
		{"unused by a known visitor", false, false, "known", unused, "", false},
		{"read by a known visitor", false, false, "known", read, "load", false},
		{"set to what it is", false, false, "known", same, "load", false},
		{"changed by a known visitor", false, false, "known", change, "load update", false},
		{"read by a visitor whose session is gone", false, false, "stale", read, "load", false},
		{"changed by a visitor whose session is gone", false, false, "stale", change, "load create", true},

		{"resave: unused by a new visitor", true, false, "new", unused, "", false},
		{"resave: changed by a new visitor", true, false, "new", change, "create", true},
		{"resave: unused by a known visitor", true, false, "known", unused, "load update", false},
		{"resave: read by a known visitor", true, false, "known", read, "load update", false},
		{"resave: set to what it is", true, false, "known", same, "load update", false},
		{"resave: changed by a known visitor", true, false, "known", change, "load update", false},

		{"saveUninitialized: unused by a new visitor", false, true, "new", unused, "create", true},
		{"saveUninitialized: read by a new visitor", false, true, "new", read, "create", true},
		{"saveUninitialized: changed by a new visitor", false, true, "new", change, "create", true},
		{"saveUninitialized: unused by a known visitor", false, true, "known", unused, "load", false},
		{"saveUninitialized: unused by a visitor whose session is gone", false, true, "stale", unused, "load create", true},

		{"both: unused by a new visitor", true, true, "new", unused, "create", true},
		{"both: unused by a known visitor", true, true, "known", unused, "load update", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newExpressApp(t, func(c *session.Config) {
				c.Resave, c.SaveUninitialized = test.resave, test.saveUninitialized
			})
			var cookie string
			switch test.visitor {
			case "known":
				cookie, _ = a.begin()
			case "stale":
				cookie = "connect.sid=" + signed("an-id-that-the-store-lacks", expressSecret)
			}
			r := a.get(cookie, test.handler(a))
			if r.calls != test.calls {
				t.Errorf("store calls %q; want %q", r.calls, test.calls)
			}
			if got := r.line() != ""; got != test.cookie {
				t.Errorf("Set-Cookie %q; want one: %v", r.cookies(), test.cookie)
			}
			if test.visitor == "stale" && strings.Contains(r.line(), "an-id-that-the-store-lacks") {
				t.Errorf("Set-Cookie %q adopts an id that the store did not know", r.line())
			}
		})
	}
}

// saveUninitialized gives each visitor one session, and the same one again.
func TestExpressSaveUninitializedVisitor(t *testing.T) {
	a := newExpressApp(t, func(c *session.Config) { c.SaveUninitialized = true })
	first := a.get("", nothing)
	second := a.get(first.cookie(), a.look)
	if ids := a.store.ids(); len(ids) != 1 || len(second.cookies()) != 0 {
		t.Errorf("after two requests the store has %d sessions, second Set-Cookie %q; want 1 and none", len(ids), second.cookies())
	}
}

// Better than express-session, which stores a session for every preflight and
// for every cookie that cannot be delivered.
func TestExpressSaveUninitializedBetterWithoutCause(t *testing.T) {
	for _, test := range []struct {
		name    string
		config  func(*session.Config)
		request func(*http.Request)
	}{
		{"a preflight", func(*session.Config) {}, func(r *http.Request) {
			r.Method = http.MethodOptions
			r.Header.Set("Access-Control-Request-Method", "POST")
		}},
		{"a Secure cookie over plain HTTP", func(c *session.Config) { c.Cookie.Secure = session.SecureAlways }, func(*http.Request) {}},
	} {
		a := newExpressApp(t, func(c *session.Config) { c.SaveUninitialized = true; test.config(c) })
		r := request("")
		test.request(r)
		got := a.do(r, nothing)
		if got.calls != "" || len(got.cookies()) > 0 || got.StatusCode != 200 {
			t.Errorf("%s: status %d, store calls %q, Set-Cookie %q; want 200 and neither", test.name, got.StatusCode, got.calls, got.cookies())
		}
	}
}

// unset says what becomes of the stored session when the request parts from it.
func TestExpressUnset(t *testing.T) {
	for _, test := range []struct {
		name   string
		policy session.UnsetPolicy
		kept   bool
	}{
		{"keep", session.UnsetKeep, true},
		{"destroy", session.UnsetDestroy, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newExpressApp(t, func(c *session.Config) { c.Unset = test.policy })
			cookie, id := a.begin()
			before := a.store.text(id)
			a.get(cookie, func(s *session.Session) {
				a.set(s, "lost", true)
				a.ok("Unset()", s.Unset())
				if err := session.Key[int]("after").Set(s, 1); !errors.Is(err, session.ErrEnded) {
					t.Errorf("Set after Unset = %v; want ErrEnded", err)
				}
			})
			after := a.store.text(id)
			if kept := after == before; kept != test.kept {
				t.Errorf("stored session was %s and became %q; want it kept: %v", before, after, test.kept)
			}
			if !test.kept && after != "" {
				t.Errorf("stored session became %s; want it gone", after)
			}
		})
	}
	// Better than express-session, which asks the store to destroy a session
	// that was never stored.
	a := newExpressApp(t, func(c *session.Config) { c.Unset = session.UnsetDestroy })
	r := a.get("", func(s *session.Session) { a.set(s, "user", "bob"); a.ok("Unset()", s.Unset()) })
	if r.calls != "" || len(r.cookies()) > 0 {
		t.Errorf("Unset of a session that was never stored: store calls %q, Set-Cookie %q; want neither", r.calls, r.cookies())
	}
}

// proxy: of X-Forwarded-Proto the first element counts, and only from a proxy
// that is trusted.
func TestExpressProxy(t *testing.T) {
	const trusted, stranger = "10.0.0.7:4711", "192.0.2.9:4711"
	for _, test := range []struct {
		from   string
		header []string
		secure bool
	}{
		{trusted, nil, false},
		{trusted, []string{"https"}, true},
		{trusted, []string{"HTTPS"}, true},
		{trusted, []string{" https "}, true},
		{trusted, []string{"https, http"}, true},
		{trusted, []string{"https,http"}, true},
		{trusted, []string{"http, https"}, false},
		{trusted, []string{"http"}, false},
		{trusted, []string{"httpsx"}, false},
		{trusted, []string{""}, false},
		{trusted, []string{",https"}, false},
		{trusted, []string{"https", "http"}, true}, // Node joins the two
		{trusted, []string{"http", "https"}, false},
		{"[::ffff:10.0.0.7]:4711", []string{"https"}, true},
		{stranger, []string{"https"}, false},
		{"10.0.1.7:4711", []string{"https"}, false},
	} {
		a := newExpressApp(t, func(c *session.Config) {
			c.Cookie.Secure = session.SecureAuto
			c.TrustedProxies = []string{"10.0.0.0/24", "2001:db8::1"}
		})
		r := request("")
		r.RemoteAddr = test.from
		if test.header != nil {
			r.Header["X-Forwarded-Proto"] = test.header
		}
		got := a.do(r, func(s *session.Session) { a.set(s, "user", "bob") })
		if secure := strings.Contains(got.line(), "; Secure"); secure != test.secure {
			t.Errorf("X-Forwarded-Proto %q from %s: cookie %q; want Secure: %v", test.header, test.from, got.line(), test.secure)
		}
	}
	// Without trust in any proxy only the request's own TLS counts.
	a := newExpressApp(t, func(c *session.Config) { c.Cookie.Secure = session.SecureAuto })
	for _, url := range []string{"http://example.com/", "https://example.com/"} {
		r := httptest.NewRequest("GET", url, nil)
		r.Header.Set("X-Forwarded-Proto", "https")
		got := a.do(r, func(s *session.Session) { a.set(s, "user", "bob") })
		if secure := strings.Contains(got.line(), "; Secure"); secure != (r.TLS != nil) {
			t.Errorf("%s without TrustedProxies: cookie %q; want Secure: %v", url, got.line(), r.TLS != nil)
		}
	}
}

// The profiles are express-session's defaults, of 1.x and of 2.
func TestExpressProfiles(t *testing.T) {
	for _, test := range []struct {
		name          string
		config        session.Config
		unused, reads string // calls for a new visitor who does nothing, and for a known one
	}{
		{"v1", session.ExpressV1(), "create", "load update"},
		{"v2", session.ExpressV2(), "", "load"},
	} {
		a := newExpressApp(t, func(c *session.Config) {
			given := *c
			*c = test.config
			c.Store, c.Secrets, c.InsecureSecrets, c.Logger = given.Store, given.Secrets, true, given.Logger
		})
		if r := a.get("", nothing); r.calls != test.unused {
			t.Errorf("%s: a request that does nothing makes store calls %q; want %q", test.name, r.calls, test.unused)
		}
		cookie, _ := a.begin()
		if !strings.HasPrefix(cookie, "connect.sid=s%3A") {
			t.Errorf("%s: cookie %q; want connect.sid=s%%3A…", test.name, cookie)
		}
		if r := a.get(cookie, a.look); r.calls != test.reads {
			t.Errorf("%s: a request that reads makes store calls %q; want %q", test.name, r.calls, test.reads)
		}
		first := a.get("", func(s *session.Session) { a.set(s, "user", "bob") })
		if want := "Path=/; HttpOnly"; first.attributes() != want {
			t.Errorf("%s: cookie attributes %q; want %q", test.name, first.attributes(), want)
		}
	}
}
