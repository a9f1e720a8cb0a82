package session_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// The cookie's attributes, in express-session's order and to the letter. There
// is never a Max-Age. The clock of the bubble stands at the year 2000.
func TestExpressCookieAttributes(t *testing.T) {
	for _, test := range []struct {
		name string
		edit func(*session.Cookie)
		url  string
		want string
	}{
		{"none", func(*session.Cookie) {}, "http://example.com/", "Path=/; HttpOnly"},
		{"domain", func(c *session.Cookie) { c.Domain = "example.com" }, "http://example.com/", "Domain=example.com; Path=/; HttpOnly"},
		{"domain with a dot", func(c *session.Cookie) { c.Domain = ".example.com" }, "http://example.com/", "Domain=.example.com; Path=/; HttpOnly"},
		{"maxAge", func(c *session.Cookie) { c.MaxAge = time.Minute }, "http://example.com/", "Path=/; Expires=Sat, 01 Jan 2000 00:01:00 GMT; HttpOnly"},
		{"maxAge of milliseconds", func(c *session.Cookie) { c.MaxAge = 59999 * time.Millisecond }, "http://example.com/", "Path=/; Expires=Sat, 01 Jan 2000 00:00:59 GMT; HttpOnly"},
		{"maxAge of 400 days", func(c *session.Cookie) { c.MaxAge = 400 * 24 * time.Hour }, "http://example.com/", "Path=/; Expires=Sun, 04 Feb 2001 00:00:00 GMT; HttpOnly"},
		{"no httpOnly", func(c *session.Cookie) { c.HTTPOnly = session.InsecureScriptAccess }, "http://example.com/", "Path=/"},
		{"path", func(c *session.Cookie) { c.Path = "/admin" }, "http://example.com/admin/users", "Path=/admin; HttpOnly"},
		{"priority low", func(c *session.Cookie) { c.Priority = session.PriorityLow }, "http://example.com/", "Path=/; HttpOnly; Priority=Low"},
		{"priority medium", func(c *session.Cookie) { c.Priority = session.PriorityMedium }, "http://example.com/", "Path=/; HttpOnly; Priority=Medium"},
		{"priority high", func(c *session.Cookie) { c.Priority = session.PriorityHigh }, "http://example.com/", "Path=/; HttpOnly; Priority=High"},
		{"sameSite true", func(c *session.Cookie) { c.SameSite = session.SameSiteStrict }, "http://example.com/", "Path=/; HttpOnly; SameSite=Strict"},
		{"sameSite lax", func(c *session.Cookie) { c.SameSite = session.SameSiteLax }, "http://example.com/", "Path=/; HttpOnly; SameSite=Lax"},
		{"sameSite none", func(c *session.Cookie) { c.SameSite, c.Secure = session.SameSiteNone, session.SecureAlways }, "https://example.com/", "Path=/; HttpOnly; Secure; SameSite=None"},
		{"sameSite auto over http", func(c *session.Cookie) { c.SameSite, c.Secure = session.SameSiteAuto, session.SecureAuto }, "http://example.com/", "Path=/; HttpOnly; SameSite=Lax"},
		{"sameSite auto over https", func(c *session.Cookie) { c.SameSite, c.Secure = session.SameSiteAuto, session.SecureAuto }, "https://example.com/", "Path=/; HttpOnly; Secure; SameSite=None"},
		// Better than express-session, which sends SameSite=None without
		// Secure here, and browsers drop that.
		{"sameSite auto without secure", func(c *session.Cookie) { c.SameSite = session.SameSiteAuto }, "https://example.com/", "Path=/; HttpOnly; SameSite=Lax"},
		{"secure", func(c *session.Cookie) { c.Secure = session.SecureAlways }, "https://example.com/", "Path=/; HttpOnly; Secure"},
		{"secure auto over http", func(c *session.Cookie) { c.Secure = session.SecureAuto }, "http://example.com/", "Path=/; HttpOnly"},
		{"secure auto over https", func(c *session.Cookie) { c.Secure = session.SecureAuto }, "https://example.com/", "Path=/; HttpOnly; Secure"},
		{"all", func(c *session.Cookie) {
			c.Domain, c.Path, c.MaxAge = "example.com", "/app", time.Hour
			c.Secure, c.Partitioned, c.Priority, c.SameSite = session.SecureAlways, true, session.PriorityHigh, session.SameSiteNone
		}, "https://example.com/app", "Domain=example.com; Path=/app; Expires=Sat, 01 Jan 2000 01:00:00 GMT; HttpOnly; Secure; Partitioned; Priority=High; SameSite=None"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newExpressApp(t, func(c *session.Config) { test.edit(&c.Cookie) })
				r := a.do(requestTo(test.url, ""), func(s *session.Session) {
					_ = session.Key[string]("user").Set(s, "bob")
				})
				if r.attributes() != test.want || strings.Contains(r.line(), "Max-Age") {
					t.Errorf("Set-Cookie %q; want the attributes %q", r.cookies(), test.want)
				}
			})
		})
	}
}

// secure: a Secure cookie is never sent over plain HTTP. express-session stores
// the session all the same and says nothing; Pillbox answers with an error, and
// makes browsers' exception for localhost.
func TestExpressSecureCookieOverPlainHTTP(t *testing.T) {
	for _, test := range []struct {
		url  string
		sent bool
	}{
		{"https://example.com/", true},
		{"http://example.com/", false},
		{"http://localhost:8080/", true},
		{"http://app.localhost/", true},
		{"http://127.0.0.1:8080/", true},
		{"http://[::1]:8080/", true},
		{"http://192.168.1.5/", false},
		{"http://localhost.example.com/", false},
	} {
		a := newExpressApp(t, func(c *session.Config) { c.Cookie.Secure = session.SecureAlways })
		r := a.do(requestTo(test.url, ""), func(s *session.Session) { a.set(s, "user", "bob") })
		if sent := strings.HasSuffix(r.line(), "; Secure"); sent != test.sent {
			t.Errorf("%s: Set-Cookie %q; want one that is Secure: %v", test.url, r.cookies(), test.sent)
		}
		if !test.sent && (r.StatusCode != 500 || r.calls != "") {
			t.Errorf("%s: status %d, store calls %q; want 500 and none", test.url, r.StatusCode, r.calls)
		}
	}
}

// Set-Cookie headers that are there already are kept.
func TestExpressCookieIsAppended(t *testing.T) {
	a := newExpressApp(t)
	r := a.serve(request(""), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "theme=dark; Path=/")
		a.set(session.From(r.Context()), "user", "bob")
		w.Header().Add("Set-Cookie", "lang=sv")
		w.WriteHeader(http.StatusNoContent)
	})
	got := r.cookies()
	if len(got) != 3 || got[0] != "theme=dark; Path=/" || got[1] != "lang=sv" || !strings.HasPrefix(got[2], "connect.sid=s%3A") {
		t.Errorf("Set-Cookie %q; want theme, lang and connect.sid, in this order", got)
	}
}

// The cookie goes out for a new id, and for an existing one if rolling is on or
// if it has an expiry and the session was modified.
func TestExpressCookieIsSentWhen(t *testing.T) {
	handlers := map[string]func(a *expressApp, s *session.Session){
		"unused":    func(*expressApp, *session.Session) {},
		"read":      func(a *expressApp, s *session.Session) { a.look(s) },
		"the same":  func(a *expressApp, s *session.Session) { a.set(s, "user", "bob") },
		"back":      func(a *expressApp, s *session.Session) { a.set(s, "user", "x"); a.set(s, "user", "bob") },
		"no delete": func(a *expressApp, s *session.Session) { a.ok("Delete", session.Key[int]("absent").Delete(s)) },
		"change":    func(a *expressApp, s *session.Session) { a.set(s, "user", "eve") },
		"delete":    func(a *expressApp, s *session.Session) { a.ok("Delete", session.Key[int]("user").Delete(s)) },
		"nested cookie": func(a *expressApp, s *session.Session) {
			a.set(s, "nested", map[string]any{"cookie": 1}) // only the root's member is no data
		},
	}
	for _, test := range []struct {
		rolling bool
		maxAge  time.Duration
		sent    []string
	}{
		{false, 0, nil},
		{false, time.Hour, []string{"change", "delete", "nested cookie"}},
		{true, 0, []string{"unused", "read", "the same", "back", "no delete", "change", "delete", "nested cookie"}},
		{true, time.Hour, []string{"unused", "read", "the same", "back", "no delete", "change", "delete", "nested cookie"}},
	} {
		for name, handler := range handlers {
			a := newExpressApp(t, func(c *session.Config) { c.Rolling, c.Cookie.MaxAge = test.rolling, test.maxAge })
			cookie, _ := a.begin()
			r := a.get(cookie, func(s *session.Session) { handler(a, s) })
			want := slices.Contains(test.sent, name)
			if sent := r.line() != ""; sent != want || sent && r.cookie() != cookie {
				t.Errorf("rolling %v, maxAge %v, %s: Set-Cookie %q; want the same cookie again: %v", test.rolling, test.maxAge, name, r.cookies(), want)
			}
			if expires := strings.Contains(r.line(), "Expires="); r.line() != "" && expires != (test.maxAge > 0) {
				t.Errorf("rolling %v, maxAge %v, %s: Set-Cookie %q; want Expires: %v", test.rolling, test.maxAge, name, r.cookies(), test.maxAge > 0)
			}
		}
	}
}

// secure 'auto': a session that began encrypted keeps to that, as the "secure"
// that is stored with it says. Its cookie is not sent again in the clear.
func TestExpressSecureAutoIsTheSessionsOwn(t *testing.T) {
	a := newExpressApp(t, func(c *session.Config) { c.Rolling, c.Cookie.Secure = true, session.SecureAuto })
	for _, test := range []struct {
		began, then string
		sent        string // attributes
	}{
		{"https", "https", "Path=/; HttpOnly; Secure"},
		{"https", "http", ""},
		{"http", "http", "Path=/; HttpOnly"},
	} {
		cookie := a.do(requestTo(test.began+"://example.com/", ""), func(s *session.Session) { a.set(s, "user", "bob") }).cookie()
		var user any
		r := a.do(requestTo(test.then+"://example.com/", cookie), func(s *session.Session) { user = a.read(s, "user") })
		if r.attributes() != test.sent || user != "bob" {
			t.Errorf("began over %s, then over %s: user %v, Set-Cookie %q; want bob and %q", test.began, test.then, user, r.cookies(), test.sent)
		}
	}
}

// rolling does not make sessions.
func TestExpressRollingNewVisitor(t *testing.T) {
	a := newExpressApp(t, func(c *session.Config) { c.Rolling = true })
	for _, cookie := range []string{"", "connect.sid=" + signed("an-id-that-the-store-lacks", expressSecret), "connect.sid=junk"} {
		if r := a.get(cookie, nothing); len(r.cookies()) > 0 {
			t.Errorf("with cookie %q: Set-Cookie %q; want none", cookie, r.cookies())
		}
	}
}

// Better than express-session, whose response puts the cookie back that another
// one has just cleared: the cookie of a session that ended under the request is
// not sent again.
func TestExpressRollingBetterWhenSessionEnds(t *testing.T) {
	for _, resave := range []bool{false, true} {
		a := newExpressApp(t, func(c *session.Config) {
			c.Rolling, c.Resave, c.TouchEvery, c.Cookie.MaxAge = true, resave, -1, time.Hour
		})
		cookie, id := a.begin()
		r := a.get(cookie, func(s *session.Session) {
			a.look(s)
			a.ok("Delete by another request", a.store.Delete(t.Context(), id, nil))
			a.set(s, "n", 1)
			if err := s.Save(); !errors.Is(err, session.ErrEnded) {
				t.Errorf("resave %v: Save of an ended session = %v; want ErrEnded", resave, err)
			}
		})
		if got := strings.Join(r.cookies(), "\n"); strings.Contains(got, cookie) {
			t.Errorf("resave %v: Set-Cookie %q; want no cookie of the session that ended", resave, got)
		}
		if got := a.store.text(id); got != "" {
			t.Errorf("resave %v: stored session %s; want none", resave, got)
		}
	}
}

// Paths match in whole segments (RFC 6265 §5.1.4), as from express-session
// 1.19.1 on: until 1.19.0 /admin covers /administrator.
func TestExpressCookiePath(t *testing.T) {
	for _, test := range []struct {
		path, url string
		inside    bool
	}{
		{"/", "/", true},
		{"/", "/anything", true},
		{"/admin", "/admin", true},
		{"/admin", "/admin/", true},
		{"/admin", "/admin/users?x=/", true},
		{"/admin", "/admin?x", true},
		{"/admin", "/administrator", false},
		{"/admin", "/adm", false},
		{"/admin", "/", false},
		{"/admin", "/x/admin", false},
		{"/admin", "/Admin", false},
		{"/admin", "/%61dmin", false}, // as browsers do: before decoding
		{"/admin/", "/admin/users", true},
		{"/admin/", "/admin", false},
	} {
		a := newExpressApp(t, func(c *session.Config) { c.Cookie.Path = test.path })
		var err error
		request := requestTo("http://example.com"+test.url, "")
		request.RequestURI = test.url
		r := a.do(request, func(s *session.Session) {
			_, err = session.Key[string]("user").Get(s)
			_ = session.Key[string]("user").Set(s, "bob")
		})
		if inside := r.line() != ""; inside != test.inside {
			t.Errorf("path %q, request %q: Set-Cookie %q; want a session: %v", test.path, test.url, r.cookies(), test.inside)
		}
		if outside := errors.Is(err, session.ErrOutsidePath); outside == test.inside {
			t.Errorf("path %q, request %q: Get = %v; want ErrOutsidePath: %v", test.path, test.url, err, !test.inside)
		}
		if !test.inside && (r.calls != "" || r.StatusCode != 500) {
			t.Errorf("path %q, request %q: status %d, store calls %q; want 500, since the change was not saved, and none", test.path, test.url, r.StatusCode, r.calls)
		}
	}
	// And a request outside that does not use its session is no business of ours.
	a := newExpressApp(t, func(c *session.Config) {
		c.Cookie.Path, c.Resave, c.SaveUninitialized, c.Rolling = "/app", true, true, true
	})
	if r := a.do(requestTo("http://example.com/other", ""), nothing); r.StatusCode != 200 || r.calls != "" || len(r.cookies()) > 0 {
		t.Errorf("unused outside of the path: status %d, store calls %q, Set-Cookie %q; want 200 and neither", r.StatusCode, r.calls, r.cookies())
	}
}

// It is the path that the browser asked for that counts, in either form that a
// request may name it in (RFC 9112 §3.2).
func TestExpressCookiePathAbsoluteForm(t *testing.T) {
	for _, test := range []struct {
		target string
		inside bool
	}{
		{"/app/x", true},
		{"http://example.com/app/x", true},
		{"http://example.com/app?x", true},
		{"/app/../other", true}, // nobody resolves dots in a request
		{"/%61pp/x", false},
		{"http://example.com/%61pp/x", false},
	} {
		a := newExpressApp(t, func(c *session.Config) { c.Cookie.Path = "/app" })
		r := httptest.NewRequest("GET", "http://example.com/app/x", nil)
		r.RequestURI = test.target
		w := httptest.NewRecorder()
		http.StripPrefix("/app", a.m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			_ = session.Key[string]("user").Set(session.From(r.Context()), "bob")
		}))).ServeHTTP(w, r)
		if got := w.Header().Get("Set-Cookie"); strings.Contains(got, "; Path=/app") != test.inside {
			t.Errorf("request target %q behind StripPrefix: Set-Cookie %q; want a session: %v", test.target, got, test.inside)
		}
	}
}

// Expires counts from the moment the cookie is sent, and what is stored and the
// deadline of the row with it.
func TestExpressExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newExpressApp(t, func(c *session.Config) { c.Cookie.MaxAge = 90 * time.Second })
		cookie, id := a.begin()
		time.Sleep(60*time.Second + 250*time.Millisecond)
		r := a.get(cookie, func(s *session.Session) { a.set(s, "n", 1) })
		if want := "Path=/; Expires=Sat, 01 Jan 2000 00:02:30 GMT; HttpOnly"; r.attributes() != want {
			t.Errorf("attributes %q; want %q", r.attributes(), want)
		}
		if want := `"originalMaxAge":90000,"expires":"2000-01-01T00:02:30.250Z"`; !strings.Contains(a.store.text(id), want) {
			t.Errorf("stored %s; want %s in it", a.store.text(id), want)
		}
		if got, want := a.store.deadline(id), time.Now().Add(90*time.Second); !got.Equal(want) {
			t.Errorf("deadline %v; want %v", got, want)
		}
		// It lives for as long as it says, and not a millisecond longer.
		time.Sleep(90*time.Second - time.Millisecond)
		var user any
		a.get(cookie, func(s *session.Session) { user = a.read(s, "user") })
		if user != "bob" {
			t.Errorf("a millisecond before its end: user %v; want bob", user)
		}
		time.Sleep(90 * time.Second)
		a.get(cookie, func(s *session.Session) { user = a.read(s, "user") })
		if user != nil {
			t.Errorf("at its end: user %v; want none", user)
		}
	})
}
