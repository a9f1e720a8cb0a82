package session_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

// A cache that kept an answer with a cookie would hand it to somebody else
// (OWASP Session Management Cheat Sheet, "Web Content Caching").
func TestSecurityAnswersWithACookieAreNotCached(t *testing.T) {
	for _, tt := range []struct{ handler, want string }{
		{"", "no-store"},
		{"public, max-age=3600", "no-store"},
		{"max-age=3600", "no-store"},
		{"no-cache", "no-store"},
		{`private="X-User", max-age=3600`, "no-store"}, // RFC 9111 §5.2.2.7: of one header only
		{"x-private", "no-store"},
		{`no-cache="no-store"`, "no-store"},
		{"private", "private"},
		{"Private, max-age=60", "Private, max-age=60"},
		{"max-age=60,private", "max-age=60,private"},
		{"NO-STORE", "NO-STORE"},
		{"no-store, private", "no-store, private"},
	} {
		v := newLab(t).visitor()
		a := v.do("GET", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			if tt.handler != "" {
				w.Header().Set("Cache-Control", tt.handler)
			}
			w.Header().Set("CDN-Cache-Control", "max-age=600")
			w.Header().Set("Surrogate-Control", "max-age=600")
			_ = note.Set(s, "x")
		})
		want(t, "Cache-Control of the handler's "+tt.handler, strings.Join(a.Header["Cache-Control"], "|"), tt.want)
		want(t, "CDN-Cache-Control", a.Get("CDN-Cache-Control")+a.Get("Surrogate-Control"), "")
	}
}

// An answer that depends on the session says so, and no other does.
func TestSecurityVary(t *testing.T) {
	v := newLab(t).visitor()
	v.write("mine")
	for _, tt := range []struct {
		name, handler, want string
		use                 bool
	}{
		{"unused", "", "", false},
		{"unused", "Accept", "Accept", false},
		{"read", "", "Cookie", true},
		{"read", "Accept-Encoding", "Accept-Encoding|Cookie", true},
		{"read", "accept, COOKIE", "accept, COOKIE", true},
		{"read", "Cookie2", "Cookie2|Cookie", true},
		{"read", "*", "*", true},
	} {
		a := v.do("GET", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			if tt.handler != "" {
				w.Header().Set("Vary", tt.handler)
			}
			if tt.use {
				_, _ = note.Get(s)
			}
		})
		want(t, "Vary of a session that was "+tt.name+", with the handler's "+tt.handler, strings.Join(a.Header["Vary"], "|"), tt.want)
		want(t, "Cache-Control of an answer without cookie", a.Get("Cache-Control"), "")
	}
	a := newLab(t).visitor().do("GET", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { _, _ = note.Get(s) })
	want(t, "Vary of an answer to a visitor without session who was looked for", a.Get("Vary"), "Cookie")
}

// The list that Vary is set to is no request's own: it may be shared, and never
// changed.
func TestSecurityVaryIsNotShared(t *testing.T) {
	v := newLab(t).visitor()
	for range 2 {
		a := v.do("GET", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
			_, _ = note.Get(s)
			_, _ = w.Write(nil)
			w.Header()["Vary"] = append(w.Header()["Vary"], "Planted")
			if h := w.Header()["Vary"]; len(h) > 0 {
				h[0] = "Overwritten"
			}
		})
		want(t, "Vary", strings.Join(a.Header["Vary"], "|"), "Cookie")
	}
}

// ASVS 5.0 §7.6.2: no session without an act. A request that does not use the
// session costs no call of the store, sets nothing and stores nothing.
func TestSecurityNothingIsStoredWithoutCause(t *testing.T) {
	has := newLab(t)
	known := has.visitor()
	known.write("mine")
	has.store.take()
	for name, use := range map[string]func(s *session.Session) error{
		"nothing": func(*session.Session) error { return nil },
		"Save":    func(s *session.Session) error { return s.Save() },
		"Format":  func(s *session.Session) error { _ = s; return nil },
	} {
		for _, v := range []*visitor{known, has.visitor()} {
			v.post(use)
			want(t, "calls for "+name, has.store.take(), "")
			want(t, "cookies set for "+name, len(v.fresh), 0)
		}
	}
	for name, use := range map[string]func(s *session.Session) error{
		"Get":       func(s *session.Session) error { _, err := note.Get(s); return err },
		"Keys":      func(s *session.Session) error { _, err := s.Keys(); return err },
		"User":      func(s *session.Session) error { _, err := s.User(); return err },
		"ID":        func(s *session.Session) error { _, err := s.ID(); return err },
		"Info":      func(s *session.Session) error { _, err := s.Info(); return err },
		"Delete":    note.Delete,
		"Flashes":   func(s *session.Session) error { _, err := s.Flashes("info"); return err },
		"Touch":     func(s *session.Session) error { return s.Touch() },
		"Renew":     func(s *session.Session) error { return s.Renew() },
		"Destroy":   func(s *session.Session) error { return s.Destroy() },
		"SignOut":   func(s *session.Session) error { return s.SignOut() },
		"Reload":    func(s *session.Session) error { return s.Reload() },
		"SetMaxAge": func(s *session.Session) error { return s.SetMaxAge(3600e9) },
		"Unset":     func(s *session.Session) error { return s.Unset() },
	} {
		l := newLab(t)
		v := l.visitor()
		want(t, "answer to a newcomer's "+name, v.post(use).code, 200)
		want(t, "calls for a newcomer's "+name, l.store.take(), "")
		want(t, "cookies set for a newcomer's "+name, len(v.fresh), 0)
		want(t, "rows after a newcomer's "+name, l.under.count(), 0)
	}
	known.read()
	want(t, "calls for one read", has.store.take(), "Load")
	want(t, "cookies set for one read", len(known.fresh), 0)
	known.write("changed")
	want(t, "calls for one change", has.store.take(), "Load Update")
}

// Preflights carry no cookie and keep none; they get no session even where
// every visitor gets one.
func TestSecurityPreflightsGetNoSession(t *testing.T) {
	l := newLab(t, func(c *session.Config) { c.SaveUninitialized, c.Resave, c.Rolling = true, true, true })
	v := l.visitor()
	v.do("OPTIONS", func(http.ResponseWriter, *http.Request, *session.Session) {}, func(r *http.Request) {
		r.Header.Set("Origin", "https://other.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
	})
	want(t, "cookies set for a preflight", len(v.fresh), 0)
	want(t, "calls for a preflight", l.store.take(), "")
	v.do("GET", func(http.ResponseWriter, *http.Request, *session.Session) {})
	want(t, "cookies set for a visitor", len(v.fresh), 1)
}

// A navigation from another site lacks the Strict cookie that the browser has:
// no session that nobody asked for may replace it.
func TestSecurityStrictCookieIsNotReplaced(t *testing.T) {
	l := newLab(t, func(c *session.Config) { c.SaveUninitialized, c.Cookie.SameSite = true, session.SameSiteStrict })
	v := l.visitor()
	v.do("GET", func(http.ResponseWriter, *http.Request, *session.Session) {}, func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	})
	want(t, "cookies set", len(v.fresh), 0)
	want(t, "rows", l.under.count(), 0)
}

// Headers that the handler has set for itself stay.
func TestSecurityOtherCookiesStay(t *testing.T) {
	v := newLab(t).visitor()
	a := v.do("GET", func(w http.ResponseWriter, _ *http.Request, s *session.Session) {
		http.SetCookie(w, &http.Cookie{Name: "theme", Value: "dark"})
		_ = note.Set(s, "x")
	})
	lines := a.Header["Set-Cookie"]
	if len(lines) != 2 || !slices.Contains(lines, "theme=dark") {
		t.Errorf("Set-Cookie = %q; want the handler's and the session's", lines)
	}
}
