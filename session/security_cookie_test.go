package session_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// sign returns the cookie's value for an id, as who knows the secret makes it.
func signLab(id string) string {
	h := hmac.New(sha256.New, []byte(labSecret))
	h.Write([]byte(id))
	return url.QueryEscape("s:" + id + "." + base64.RawStdEncoding.EncodeToString(h.Sum(nil)))
}

const hostCookie = "__Host-session="

// ASVS 5.0 §7.2.1: what the browser sends is verified by the server, and what is
// not signed well costs no call of the store.
func TestSecurityTamperedCookies(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("mine")
	good := v.cookies[0]
	l.store.take()
	value := strings.TrimPrefix(good, hostCookie)
	tampered := []string{
		"", " ", "s%3A", "s%3A.", "s:", ".", "null", "undefined", "%", "%zz", "j:{}",
		value[:len(value)-1], value + "A", value + "%3D", value + ".", value[:4] + value[5:],
		strings.TrimPrefix(value, "s%3A"), "S%3A" + strings.TrimPrefix(value, "s%3A"),
		"s%3A" + v.id(), "s%3A" + v.id() + ".", "s%3A." + value[strings.LastIndexByte(value, '.')+1:],
		v.id(), strings.ToUpper(value), value + strings.Repeat("x", 1<<16), `"` + value, value + "\x00",
	}
	for i := range value { // each character changed
		c := byte('A')
		if value[i] == c {
			c = 'B'
		}
		tampered = append(tampered, value[:i]+string(c)+value[i+1:])
	}
	for _, bad := range tampered {
		if bad == value {
			continue
		}
		w := l.visitor(hostCookie + bad)
		if got := w.read(); got != "none" {
			t.Errorf("note with the tampered cookie %.80q = %q; want none", bad, got)
		}
		want(t, fmt.Sprintf("calls for %.80q", bad), l.store.take(), "")
		want(t, fmt.Sprintf("cookies set for %.80q", bad), len(w.fresh), 0)
	}
	l.takeEvents()
	l.visitor(hostCookie + "x").read()
	want(t, "events", l.takeEvents(), "forged")
	want(t, "note with the good cookie", v.read(), "mine")
}

// A session signed with a secret that is not ours is forged, and one with an old
// secret is ours.
func TestSecuritySecretsRotate(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("mine")
	for _, tt := range []struct {
		secrets []string
		want    string
	}{
		{[]string{"the next secret of the lab", labSecret}, "mine"},
		{[]string{"the next secret of the lab"}, "none"},
	} {
		next := newLab(t, func(c *session.Config) { c.Store, c.Secrets = l.store, tt.secrets })
		want(t, fmt.Sprint("note with secrets ", len(tt.secrets)), next.visitor(v.cookies...).read(), tt.want)
	}
}

// OWASP Session Management Cheat Sheet, "Manage Session ID as Any Other User
// Input": an id that no manager makes never reaches the store, signed or not.
func FuzzSecurityIDReachesTheStore(f *testing.F) {
	for _, id := range []string{
		"", "\x00", "a\x00b", strings.Repeat("a", 64<<10), strings.Repeat("a", 129), strings.Repeat("a", 128),
		"sitzung-ü", "../../etc/passwd", "{}", `{"$ne":null}`, "' OR 1=1 --", "a b", "*", "sess:*", "a\r\nDEL x",
		"%00", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "a.b.c", "/", `\`, `"`, "a,b", "[a]", "\xff\xfe", "𝕊",
	} {
		f.Add(id)
	}
	l := newLab(f)
	f.Fuzz(func(t *testing.T, id string) {
		safe := id != "" && len(id) <= 128
		for _, c := range []byte(id) {
			safe = safe && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.~:+=@", c) >= 0)
		}
		l.visitor(hostCookie + signLab(id)).read()
		if calls := l.store.take(); (calls != "") != safe {
			t.Errorf("id %.100q: calls %q; want some: %v", id, calls, safe)
		}
	})
}

// A known id is not taken from anywhere but the cookie (OWASP Session
// Management Cheat Sheet, "Cookies").
func TestSecurityOnlyCookiesCarryIDs(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("mine")
	value := strings.TrimPrefix(v.cookies[0], hostCookie)
	l.store.take()
	for name, edit := range map[string]func(r *http.Request){
		"query": func(r *http.Request) {
			r.URL.RawQuery = "__Host-session=" + value + "&sid=" + v.id()
			r.RequestURI = r.URL.RequestURI()
		},
		"body": func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Body = http.NoBody
			r.PostForm = url.Values{"__Host-session": {value}}
		},
		"path parameter": func(r *http.Request) { r.URL.Path += ";__Host-session=" + value },
		"header":         func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+value) },
		"own header":     func(r *http.Request) { r.Header.Set("__Host-session", value) },
	} {
		w := l.visitor()
		w.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			if ok, err := note.Has(s); ok || err != nil {
				t.Errorf("id in the %s: Has = %v, %v; want no session", name, ok, err)
			}
		}, edit)
		want(t, "calls for an id in the "+name, l.store.take(), "")
	}
}

// RFC 6265bis §5.7: names are compared byte for byte.
func TestSecurityCookieNames(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("mine")
	value := strings.TrimPrefix(v.cookies[0], hostCookie)
	for header, note := range map[string]string{
		"__Host-session=" + value:          "mine",
		"a=b; __Host-session=" + value:     "mine",
		"a=b;__Host-session=" + value:      "mine",
		"a=b;\t__Host-session =\t" + value: "mine",
		`__Host-session="` + value + `"`:   "mine",
		";;; __Host-session=" + value:      "mine",
		"__host-session=" + value:          "none",
		"__HOST-SESSION=" + value:          "none",
		"\u2000__Host-session=" + value:    "none",
		"\u00a0__Host-session=" + value:    "none",
		"\v__Host-session=" + value:        "none",
		"__Host-session\u2000=" + value:    "none",
		"__Host-session\x00=" + value:      "none",
		"=__Host-session=" + value:         "none",
		"$__Host-session=" + value:         "none",
		"__Host-session[]=" + value:        "none",
		"session=" + value:                 "none",
		"a=b, __Host-session=" + value:     "none",
		"__Host-session:" + value:          "none",
	} {
		want(t, fmt.Sprintf("note with Cookie: %.40q", header), l.visitor(header).read(), note)
	}
}

// An unknown id is not adopted, however well it is signed, and somebody hears of it.
func TestSecurityUnknownIDIsNotAdopted(t *testing.T) {
	l := newLab(t)
	chosen := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	v := l.visitor(hostCookie + signLab(chosen))
	v.write("mine")
	if v.id() == chosen || l.under.has(chosen) {
		t.Errorf("id = %q; want another than the visitor's choice", v.id())
	}
	want(t, "events", l.takeEvents(), "unknown created")

	ended := v.cookies[0]
	v.post(func(s *session.Session) error { return s.Destroy() })
	v = l.visitor(ended)
	v.write("again")
	if v.cookies[0] == ended {
		t.Error("an id that was ended is used again")
	}
}

// Seen in Chromium: a cross-site form POST comes without the visitor's Lax
// cookie, and a session set in the answer replaces the visitor's own.
func TestSecurityCrossSiteRequestsBeginNoSession(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY"} {
		for _, site := range []string{"absent", "same-origin", "same-site", "cross-site", "none", "junk", "Cross-Site"} {
			for _, kind := range []session.SameSite{session.SameSiteLax, session.SameSiteStrict, session.SameSiteNone} {
				l := newLab(t, func(c *session.Config) { c.Cookie.SameSite = kind })
				v := l.visitor()
				a := v.do(method, func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
					if err := note.Set(s, "x"); err != nil {
						t.Error(err)
					}
				}, func(r *http.Request) {
					if site != "absent" {
						r.Header.Set("Sec-Fetch-Site", site)
					}
				})
				safe := method == "GET" || method == "HEAD" || method == "OPTIONS"
				code, rows := http.StatusOK, 1
				if site == "cross-site" && !safe && kind != session.SameSiteNone {
					code, rows = http.StatusForbidden, 0
				}
				what := fmt.Sprintf("%s, Sec-Fetch-Site: %s, SameSite %d", method, site, kind)
				want(t, what, a.code, code)
				want(t, "rows after "+what, l.under.count(), rows)
				want(t, "cookies after "+what, len(v.fresh), rows)
			}
		}
	}
}

// With SameSite=None the cookie does come along; and a request that has its
// session may use it, wherever it comes from.
func TestSecurityCrossSiteRequestWithItsSession(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("one")
	a := v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { _ = note.Set(s, "two") },
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	want(t, "answer", a.code, http.StatusOK)
	want(t, "note", v.read(), "two")
	a = v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { _ = s.SignIn("mallory") },
		func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	want(t, "answer to a cross-site sign-in", a.code, http.StatusForbidden)
	want(t, "note after a cross-site sign-in", v.read(), "two")
}

// SameSite=Auto is Lax over plain HTTP, and protected as such.
func TestSecurityCrossSiteRequestWithSameSiteAuto(t *testing.T) {
	l := newLab(t, func(c *session.Config) {
		c.Cookie.SameSite, c.Cookie.Secure = session.SameSiteAuto, session.SecureAuto
	})
	a := l.visitor().do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { _ = note.Set(s, "x") },
		func(r *http.Request) {
			r.TLS = nil
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		})
	want(t, "answer", a.code, http.StatusForbidden)
}

// A cookie that the browser would drop is not sent, and no row waits for it.
func TestSecuritySecureCookieOverPlainHTTP(t *testing.T) {
	for host, code := range map[string]int{
		"shop.example": 500, "localhost.evil.example": 500, "127.0.0.1.evil.example": 500, "192.0.2.7": 500,
		"localhost": 200, "localhost:8080": 200, "127.0.0.1:3000": 200, "[::1]:3000": 200, "dev.localhost": 200,
	} {
		l := newLab(t)
		v := l.visitor()
		a := v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { _ = note.Set(s, "x") },
			func(r *http.Request) { r.TLS, r.Host = nil, host })
		want(t, "answer at http://"+host, a.code, code)
		want(t, "rows after http://"+host, l.under.count(), len(v.fresh))
		if code == 500 && len(v.fresh) > 0 {
			t.Errorf("http://%s: Set-Cookie = %q; want none", host, v.fresh)
		}
	}
}

// Only a proxy that is trusted can say that the visitor's side is encrypted.
func TestSecurityForwardedProto(t *testing.T) {
	for _, tt := range []struct {
		remote, proto string
		code          int
	}{
		{"10.0.0.7:1", "https", 200},
		{"10.0.0.7:1", "HTTPS", 200},
		{"10.0.0.7:1", "https, http", 200},
		{"[::ffff:10.0.0.7]:1", "https", 200},
		{"10.0.0.7:1", "http, https", 500},
		{"10.0.0.7:1", "", 500},
		{"10.0.0.8:1", "https", 500},
		{"192.0.2.1:1", "https", 500},
		{"@", "https", 500},
		{"", "https", 500},
	} {
		l := newLab(t, func(c *session.Config) { c.TrustedProxies = []string{"10.0.0.7"} })
		a := l.visitor().do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { _ = note.Set(s, "x") },
			func(r *http.Request) {
				r.TLS, r.RemoteAddr = nil, tt.remote
				r.Header.Set("X-Forwarded-Proto", tt.proto)
			})
		want(t, fmt.Sprintf("from %q, X-Forwarded-Proto: %q", tt.remote, tt.proto), a.code, tt.code)
	}
}

// A long parade of cookies of our name costs little: each HMAC is bounded, and
// few of the ids are looked up, however well they are signed.
func TestSecurityManyCookiesOfOurName(t *testing.T) {
	for _, n := range []int{2, 4, 5, 32, 100, 180, 181, 1000} {
		l := newLab(t)
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "__Host-session=%s; ", signLab(fmt.Sprintf("%032d", i)))
		}
		v := l.visitor(b.String())
		start := time.Now()
		want(t, "note", v.read(), "none")
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%d cookies took %v", n, took)
		}
		if calls := strings.Fields(l.store.take()); len(calls) > 4 {
			t.Errorf("%d well-signed cookies cost %d calls of the store; want few", n, len(calls))
		}
		v.write("x")
		if calls := strings.Fields(l.store.take()); len(calls) > 10 {
			t.Errorf("a change among %d well-signed cookies cost %d calls of the store; want few", n, len(calls))
		}
	}
}
