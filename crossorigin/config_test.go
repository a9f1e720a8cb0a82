package crossorigin_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/crossorigin"
)

// dangerous are entries that New must refuse, each with words of the reason.
var dangerous = []struct{ origin, reason string }{
	{"", "is empty"},
	{"*", "pattern"},
	{"https://*", "pattern"},
	{"https://*.example.com", "pattern"},
	{"https://*.com", "pattern"},
	{"https://*.github.io", "pattern"},
	{"http://localhost:*", "pattern"},
	{"null", "sandboxed"},
	{"NULL", "sandboxed"},
	{"http://example.com", "neither https nor"},
	{"http://10.0.0.1:8080", "neither https nor"},
	{"http://localhost.example.com", "neither https nor"},
	{"http://evillocalhost", "neither https nor"},
	{"http://[fe80::1]", "neither https nor"},
	{"ws://example.com", "neither https nor"},
	{"chrome-extension://abcdefghijklmnop", "neither https nor"},
	{"https://example.com/", "ends in a slash"},
	{"https://example.com/app", "path"},
	{"https://example.com?x", "path"},
	{"https://example.com#x", "path"},
	{"https://example.com\\x", "path"},
	{"https://Example.com", `write "https://example.com"`},
	{"HTTPS://example.com", "upper-case"},
	{"https://user:hunter2@example.com", "user name"},
	{"https://example.com:0", "1 to 65535"},
	{"https://example.com:65536", "1 to 65535"},
	{"https://example.com:99999999999999999999", "1 to 65535"},
	{"https://example.com:", "1 to 65535"},
	{"https://example.com:08443", "1 to 65535"},
	{"https://example.com:+8443", "1 to 65535"},
	{"https://example.com:http", "1 to 65535"},
	{"https://example.com:443", "scheme's own port"},
	{"http://localhost:80", "scheme's own port"},
	{"https://bücher.example", "xn--"},
	{" https://example.com", "spaces"},
	{"https://example.com\n", "spaces"},
	{"https://exam\x00ple.com", "no origin"},
	{"example.com", "no scheme"},
	{"localhost:5173", "no scheme"},
	{"//example.com", "no scheme"},
	{"https:example.com", "no scheme"},
	{"https://", "no origin"},
	{"://example.com", "no origin"},
	{"https://[::1", "no origin"},
	{"https://[0:0:0:0:0:0:0:1]", "no origin"},
	{"http://127.1", "no origin"},
	{"http://0x7f000001", "no origin"},
	{"https://example..com", "no origin"},
	{"file:///tmp/page.html", "no browser"},
	{"file://", "no browser"},
	{"https://example.com,https://b.example.com", "more than one"},
	{"https://example.com https://b.example.com", "more than one"},
	{"https://" + strings.Repeat("a.", 300) + "com", "longer"},
}

// harmless are entries that New must accept.
var harmless = []string{
	"https://example.com",
	"https://example.com:8443",
	"https://a.b.example.com",
	"https://xn--bcher-kva.example",
	"https://192.0.2.1",
	"https://[2001:db8::1]:8443",
	"http://localhost",
	"http://localhost:5173",
	"http://app.localhost:3000",
	"http://127.0.0.1:5173",
	"http://127.0.0.53:8080",
	"http://[::1]:5173",
	"https://a_b.example.com",
}

func TestDangerousOriginsAreRefused(t *testing.T) {
	for _, test := range dangerous {
		g, err := crossorigin.New(crossorigin.Config{Origins: []string{test.origin}})
		var ce *crossorigin.ConfigError
		if g != nil || !errors.As(err, &ce) || ce.Field != "Origins[0]" || !strings.Contains(ce.Reason, test.reason) {
			t.Errorf("New(%.60q) = %v, %v; want a ConfigError for Origins[0] with %q", test.origin, g, err, test.reason)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("New(%q): the error %q holds the password", test.origin, err)
		}
	}
}

func TestEveryBadEntryIsNamedAtOnce(t *testing.T) {
	cfg := crossorigin.Config{
		InsecureOrigins: []string{"https://good.example", "http://intranet/"},
		Methods:         []string{"PUT", "*", "TRACE", "A B"},
		RequestHeaders:  []string{"X-Good", "*", "Cookie", "Origin", "a b"},
		ResponseHeaders: []string{"*", "Set-Cookie", "X-Good"},
		MaxAge:          25 * time.Hour,
	}
	var want []string
	for i, test := range dangerous {
		cfg.Origins = append(cfg.Origins, test.origin)
		want = append(want, fmt.Sprintf("Origins[%d]", i))
	}
	cfg.Origins = append(cfg.Origins, "https://good.example", "https://good.example")
	want = append(want,
		fmt.Sprintf("Origins[%d]", len(cfg.Origins)-1), "InsecureOrigins[0]", // duplicates
		"InsecureOrigins[1]",
		"Methods[1]", "Methods[2]", "Methods[3]",
		"RequestHeaders[1]", "RequestHeaders[2]", "RequestHeaders[3]", "RequestHeaders[4]",
		"ResponseHeaders[0]", "ResponseHeaders[1]",
		"MaxAge",
	)
	_, err := crossorigin.New(cfg)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("New() = %v; want joined errors", err)
	}
	var got []string
	for _, err := range joined.Unwrap() {
		var ce *crossorigin.ConfigError
		if !errors.As(err, &ce) {
			t.Errorf("New() reports %v; want a ConfigError", err)
			continue
		}
		if ce.Reason == "" || !strings.HasPrefix(ce.Error(), "pillbox: crossorigin: "+ce.Field) {
			t.Errorf("error %q for %s; want the package, the field and a reason", ce, ce.Field)
		}
		got = append(got, ce.Field)
	}
	if !slices.Equal(got, want) {
		t.Errorf("New() reports\n%q; want\n%q", got, want)
	}
}

func TestHarmlessOriginsAreTrusted(t *testing.T) {
	g := newGuard(t, crossorigin.Config{Origins: harmless})
	for _, origin := range harmless {
		if !g.Trusts(origin) {
			t.Errorf("Trusts(%q) = false; want true", origin)
		}
		res := serve(g, &behind{}, request("POST", "cross-site", origin))
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != origin || res.StatusCode != http.StatusOK {
			t.Errorf("POST from %q = %d, Access-Control-Allow-Origin %q; want 200 and the origin", origin, res.StatusCode, got)
		}
	}
}

func TestInsecureOriginsAreTrustedWhenNamedSo(t *testing.T) {
	for _, origin := range []string{"http://intranet.example", "http://10.0.0.1:8080", "chrome-extension://abcdefghijklmnop"} {
		g := newGuard(t, crossorigin.Config{InsecureOrigins: []string{origin}})
		res := serve(g, &behind{}, request("DELETE", "cross-site", origin))
		if got := res.Header.Get("Access-Control-Allow-Origin"); got != origin || res.StatusCode != http.StatusOK {
			t.Errorf("DELETE from %q = %d, Access-Control-Allow-Origin %q; want 200 and the origin", origin, res.StatusCode, got)
		}
	}
	for _, origin := range []string{"*", "null", "", "http://*.intranet", "http://intranet/", "file://"} {
		if g, err := crossorigin.New(crossorigin.Config{InsecureOrigins: []string{origin}}); err == nil {
			t.Errorf("New(InsecureOrigins: %q) = %v; want an error", origin, g)
		}
	}
}

func TestMaxAge(t *testing.T) {
	for _, test := range []struct {
		age  time.Duration
		want string
	}{
		{0, "600"},
		{-1, "0"},
		{time.Nanosecond, "1"},
		{time.Second, "1"},
		{1500 * time.Millisecond, "2"},
		{24 * time.Hour, "86400"},
	} {
		g := newGuard(t, crossorigin.Config{Origins: []string{listed}, MaxAge: test.age})
		r := request("OPTIONS", "cross-site", listed)
		r.Header.Set("Access-Control-Request-Method", "POST")
		if got := serve(g, &behind{}, r).Header.Get("Access-Control-Max-Age"); got != test.want {
			t.Errorf("MaxAge %v: Access-Control-Max-Age = %q; want %q", test.age, got, test.want)
		}
	}
}

func TestMethodsReplaceTheDefaults(t *testing.T) {
	for _, test := range []struct {
		methods []string
		asked   string
		allowed bool
	}{
		{nil, "PUT", true},
		{[]string{}, "PUT", false},
		{[]string{}, "POST", true},
		{[]string{"PROPFIND"}, "PROPFIND", true},
		{[]string{"PROPFIND"}, "DELETE", false},
	} {
		g := newGuard(t, crossorigin.Config{Origins: []string{listed}, Methods: test.methods})
		r := request("OPTIONS", "cross-site", listed)
		r.Header.Set("Access-Control-Request-Method", test.asked)
		if got := browserAllows(test.asked, "-", serve(g, &behind{}, r).Header); got != test.allowed {
			t.Errorf("Methods %q: %s allowed: %v; want %v", test.methods, test.asked, got, test.allowed)
		}
	}
}

func TestConfigIsCopied(t *testing.T) {
	origins := []string{listed}
	g := newGuard(t, crossorigin.Config{Origins: origins})
	origins[0] = "https://evil.com"
	if !g.Trusts(listed) || g.Trusts("https://evil.com") {
		t.Error("the guard follows changes to the slice it was made from")
	}
}

// FuzzOrigins checks, for any entry and any Origin header, that an entry that
// New accepts is trusted byte for byte and nothing else is, and that both
// defences agree about it.
func FuzzOrigins(f *testing.F) {
	for _, test := range dangerous {
		f.Add(test.origin, listed, false)
		f.Add(test.origin, test.origin, true)
	}
	for _, origin := range harmless {
		f.Add(origin, origin, false)
	}
	for _, origin := range hostile {
		f.Add(listed, origin, false)
	}
	f.Fuzz(func(t *testing.T, entry, origin string, insecure bool) {
		cfg := crossorigin.Config{Origins: []string{entry}}
		if insecure {
			cfg = crossorigin.Config{InsecureOrigins: []string{entry}}
		}
		g, err := crossorigin.New(cfg)
		if err != nil {
			var ce *crossorigin.ConfigError
			if !errors.As(err, &ce) || g != nil {
				t.Fatalf("New(%q) = %v, %v; want a ConfigError and no guard", entry, g, err)
			}
			return
		}
		if _, rest, ok := strings.Cut(entry, "://"); !ok || strings.ContainsAny(rest, "*@/?#\\, ") {
			t.Fatalf("New(%q) accepts what is not an origin", entry)
		}
		if strings.ToLower(entry) != entry || entry == "null" {
			t.Fatalf("New(%q) accepts what no browser sends", entry)
		}
		for _, o := range []string{origin, entry} {
			want := o == entry
			r := request("POST", "cross-site", o)
			next := &behind{}
			res := serve(g, next, r)
			granted := res.Header.Get("Access-Control-Allow-Origin")
			if got := next.calls == 1; g.Trusts(o) != want || got != want || (granted == o && o != "") != want || !want && granted != "" {
				t.Fatalf("list %q, Origin %q: trusted %v, served %v, Access-Control-Allow-Origin %q; want each only for the listed one",
					entry, o, g.Trusts(o), got, granted)
			}
			get := serve(g, &behind{}, request("GET", "cross-site", o))
			if got := get.Header.Get("Access-Control-Allow-Origin"); (got != "") != want {
				t.Fatalf("list %q, Origin %q: GET grants %q; want permission: %v", entry, o, got, want)
			}
		}
	})
}
