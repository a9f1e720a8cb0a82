package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// OWASP ASVS 5.0 §7.1.1: both limits are there without being asked for, and reported.
func TestSecurityPolicyOfTheZeroConfig(t *testing.T) {
	l := newLab(t)
	want(t, "Policy of the zero Config", l.m.Policy(), session.Policy{
		CookieName:      "__Host-session",
		IdleTimeout:     30 * time.Minute,
		AbsoluteTimeout: 24 * time.Hour,
	})
	l = newLab(t, func(c *session.Config) {
		c.IdleTimeout, c.AbsoluteTimeout = session.AAL2()
		c.MaxPerUser, c.HashIDs = 3, true
		c.EncryptionKeys = [][]byte{[]byte("0123456789abcdef0123456789abcdef")}
	})
	want(t, "Policy", l.m.Policy(), session.Policy{
		CookieName:      "__Host-session",
		IdleTimeout:     time.Hour,
		AbsoluteTimeout: 24 * time.Hour,
		MaxPerUser:      3, HashedIDs: true, Sealed: true,
	})
}

// NIST SP 800-63B-4 §2.1.3, §2.2.3, §2.3.3.
func TestSecurityAssuranceLevels(t *testing.T) {
	for _, tt := range []struct {
		name           string
		preset         func() (idle, absolute time.Duration)
		idle, absolute time.Duration
	}{
		{"AAL1", session.AAL1, 720 * time.Hour, 720 * time.Hour},
		{"AAL2", session.AAL2, time.Hour, 24 * time.Hour},
		{"AAL3", session.AAL3, 15 * time.Minute, 12 * time.Hour},
	} {
		idle, absolute := tt.preset()
		want(t, tt.name+" idle", idle, tt.idle)
		want(t, tt.name+" absolute", absolute, tt.absolute)
		l := newLab(t, func(c *session.Config) { c.IdleTimeout, c.AbsoluteTimeout = tt.preset() })
		want(t, tt.name+" in force", l.m.Policy().IdleTimeout, tt.idle)
		want(t, tt.name+" in force", l.m.Policy().AbsoluteTimeout, tt.absolute)
	}
}

func TestSecuritySetCookieOfTheZeroConfig(t *testing.T) {
	v := newLab(t).visitor()
	v.write("x")
	if len(v.fresh) != 1 {
		t.Fatalf("Set-Cookie = %q; want one", v.fresh)
	}
	pair, attributes, _ := strings.Cut(v.fresh[0], "; ")
	want(t, "attributes", attributes, "Path=/; HttpOnly; Secure; SameSite=Lax")
	if !strings.HasPrefix(pair, "__Host-session=s%3A") || len(v.id()) != 32 {
		t.Errorf("cookie = %q; want __Host-session, signed, with an id of 32 characters", pair)
	}
}

// RFC 6265bis §5.4 and §5.5, ASVS 5.0 §3.3.2: SameSite is always said.
func TestSecuritySetCookieOfEveryKind(t *testing.T) {
	for _, tt := range []struct {
		cookie session.Cookie
		want   string // behind the value, for a new session over TLS
	}{
		{session.Cookie{SameSite: session.SameSiteStrict}, "Path=/; HttpOnly; Secure; SameSite=Strict"},
		{session.Cookie{SameSite: session.SameSiteNone}, "Path=/; HttpOnly; Secure; SameSite=None"},
		{session.Cookie{SameSite: session.SameSiteAuto}, "Path=/; HttpOnly; Secure; SameSite=None"},
		{session.Cookie{SameSite: session.SameSiteAuto, Secure: session.InsecurePlainHTTP}, "Path=/; HttpOnly; SameSite=Lax"},
		{session.Cookie{SameSite: session.InsecureSameSiteOmitted}, "Path=/; HttpOnly; Secure"},
		{session.Cookie{HTTPOnly: session.InsecureScriptAccess}, "Path=/; Secure; SameSite=Lax"},
		{session.Cookie{Secure: session.SecureAuto}, "Path=/; HttpOnly; Secure; SameSite=Lax"},
		{session.Cookie{Secure: session.InsecurePlainHTTP}, "Path=/; HttpOnly; SameSite=Lax"},
		{
			session.Cookie{Domain: "shop.example", Partitioned: true, Priority: session.PriorityHigh},
			"Domain=shop.example; Path=/; HttpOnly; Secure; Partitioned; Priority=High; SameSite=Lax",
		},
	} {
		v := newLab(t, func(c *session.Config) { c.Cookie = tt.cookie }).visitor()
		v.write("x")
		if len(v.fresh) != 1 {
			t.Errorf("%+v: Set-Cookie = %q; want one", tt.cookie, v.fresh)
			continue
		}
		_, attributes, _ := strings.Cut(v.fresh[0], "; ")
		want(t, fmt.Sprintf("%+v", tt.cookie), attributes, tt.want)
	}
}

// refusals has a configuration for each rule, and the field that breaks it.
var refusals = []struct {
	field string
	edit  func(c *session.Config)
}{
	{"Store", func(c *session.Config) { c.Store = nil }},
	{"Secrets", func(c *session.Config) { c.Secrets = nil }},
	{"Secrets", func(c *session.Config) { c.Secrets = []string{""} }},
	{"Secrets", func(c *session.Config) { c.Secrets = []string{labSecret, ""} }},
	{"Secrets", func(c *session.Config) { c.Secrets, c.InsecureSecrets = []string{""}, true }},
	{"Secrets", func(c *session.Config) { c.Secrets = []string{"fifteen bytes.."} }},
	{"Secrets", func(c *session.Config) { c.Secrets = []string{"keyboard cat"} }},
	{"Secrets", func(c *session.Config) { c.Secrets = []string{" Your-Session-Secret\n"} }},
	{"Secrets", func(c *session.Config) { c.Secrets = []string{strings.Repeat("a", 32)} }},
	{"Cookie.Name", func(c *session.Config) { c.Cookie.Name = "a b" }},
	{"Cookie.Name", func(c *session.Config) { c.Cookie.Name = "a=b" }},
	{"Cookie.Name", func(c *session.Config) { c.Cookie.Name = "a;b" }},
	{"Cookie.Name", func(c *session.Config) { c.Cookie.Name = "sitzüng" }},
	{"Cookie.Name", func(c *session.Config) { c.Cookie.Name = "a\x00" }},
	{"Cookie.Name", func(c *session.Config) { c.Cookie.Name = strings.Repeat("n", 4096) }},
	{"Cookie.Domain", func(c *session.Config) { c.Cookie.Domain = "com" }},
	{"Cookie.Domain", func(c *session.Config) { c.Cookie.Domain = "shop.example; Path=/x" }},
	{"Cookie.Domain", func(c *session.Config) { c.Cookie.Domain = "192.0.2.1" }},
	{"Cookie.Domain", func(c *session.Config) { c.Cookie.Name, c.Cookie.Domain = "__Host-x", "shop.example" }},
	{"Cookie.Domain", func(c *session.Config) { c.Cookie.Name, c.Cookie.Domain = "__hOsT-x", "shop.example" }},
	{"Cookie.Path", func(c *session.Config) { c.Cookie.Path = "admin" }},
	{"Cookie.Path", func(c *session.Config) { c.Cookie.Path = "/a; Domain=evil.example" }},
	{"Cookie.Path", func(c *session.Config) { c.Cookie.Path = "/a\r\nSet-Cookie: x=y" }},
	{"Cookie.Path", func(c *session.Config) { c.Cookie.Path = "/" + strings.Repeat("p", 1024) }},
	{"Cookie.Path", func(c *session.Config) { c.Cookie.Name, c.Cookie.Path = "__Host-x", "/admin" }},
	{"Cookie.Secure", func(c *session.Config) { c.Cookie.Secure = 9 }},
	{"Cookie.Secure", func(c *session.Config) {
		c.Cookie.Name, c.Cookie.Secure = "__Host-x", session.InsecurePlainHTTP
	}},
	{"Cookie.Secure", func(c *session.Config) { c.Cookie.Name, c.Cookie.Secure = "__Secure-x", session.SecureAuto }},
	{"Cookie.HTTPOnly", func(c *session.Config) { c.Cookie.HTTPOnly = -1 }},
	{"Cookie.SameSite", func(c *session.Config) { c.Cookie.SameSite = 9 }},
	{"Cookie.SameSite", func(c *session.Config) {
		c.Cookie.SameSite, c.Cookie.Secure = session.SameSiteNone, session.InsecurePlainHTTP
	}},
	{"Cookie.SameSite", func(c *session.Config) {
		c.Cookie.SameSite, c.Cookie.Secure = session.SameSiteNone, session.SecureAuto
	}},
	{"Cookie.Partitioned", func(c *session.Config) {
		c.Cookie.Partitioned, c.Cookie.Secure = true, session.InsecurePlainHTTP
	}},
	{"Cookie.Priority", func(c *session.Config) { c.Cookie.Priority = "Highest" }},
	{"Cookie.MaxAge", func(c *session.Config) { c.Cookie.MaxAge = -time.Second }},
	{"Cookie.MaxAge", func(c *session.Config) { c.Cookie.MaxAge = 400*24*time.Hour + time.Millisecond }},
	{"Cookie.MaxAge", func(c *session.Config) { c.Cookie.MaxAge = time.Second + 1 }},
	{"IdleTimeout", func(c *session.Config) { c.IdleTimeout = 30 }},
	{"IdleTimeout", func(c *session.Config) { c.IdleTimeout = 11 * 365 * 24 * time.Hour }},
	{"AbsoluteTimeout", func(c *session.Config) { c.AbsoluteTimeout = 12 }},
	{"TouchEvery", func(c *session.Config) { c.IdleTimeout, c.TouchEvery = time.Minute, 31*time.Second }},
	{"RenewGrace", func(c *session.Config) { c.RenewGrace = -1 }},
	{"RenewGrace", func(c *session.Config) { c.RenewGrace = time.Minute + time.Millisecond }},
	{"StoreTimeout", func(c *session.Config) { c.StoreTimeout = 5 }},
	{"MaxBytes", func(c *session.Config) { c.MaxBytes = 1023 }},
	{"Unset", func(c *session.Config) { c.Unset = 2 }},
	{"EncryptionKeys", func(c *session.Config) { c.EncryptionKeys = [][]byte{[]byte(labSecret)[:16]} }},
	{"EncryptionKeys", func(c *session.Config) { c.EncryptionKeys = [][]byte{make([]byte, 32)} }},
	{"MaxPerUser", func(c *session.Config) { c.MaxPerUser = -1 }},
	{"MaxPerUser", func(c *session.Config) { c.Store, c.MaxPerUser = struct{ session.Store }{}, 1 }},
	{"TrustedProxies", func(c *session.Config) { c.TrustedProxies = []string{"proxy.example"} }},
	{"TrustedProxies", func(c *session.Config) { c.TrustedProxies = []string{"10.0.0.0/33"} }},
}

func TestSecurityRefusedConfigurations(t *testing.T) {
	for i, tt := range refusals {
		c := newLab(t).config()
		tt.edit(&c)
		m, err := session.New(c)
		var wrong *session.ConfigError
		if m != nil || !errors.As(err, &wrong) || wrong.Field != tt.field || wrong.Reason == "" {
			t.Errorf("case %d: New = %v, %v; want an error about %s", i, m, err, tt.field)
		}
	}
}

func TestSecurityRefusalsAreReportedAtOnce(t *testing.T) {
	_, err := session.New(session.Config{
		Cookie:     session.Cookie{Name: "a b", Path: "x", Domain: "com", MaxAge: -1},
		RenewGrace: -1, MaxBytes: 1, MaxPerUser: -1, TrustedProxies: []string{"x"},
		EncryptionKeys: [][]byte{nil},
	})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("New = %v; want joined errors", err)
	}
	var fields []string
	for _, e := range joined.Unwrap() {
		if wrong, ok := errors.AsType[*session.ConfigError](e); ok {
			fields = append(fields, wrong.Field)
		}
	}
	slices.Sort(fields)
	want(t, "fields", strings.Join(slices.Compact(fields), " "), "Cookie.Domain Cookie.MaxAge Cookie.Name Cookie.Path "+
		"EncryptionKeys MaxBytes MaxPerUser RenewGrace Secrets Store TrustedProxies")
}

// The error ends up in a log, so it may not quote a secret or a key.
func TestSecurityRefusalsQuoteNoSecret(t *testing.T) {
	for _, secret := range []string{"hunter2", strings.Repeat("z", 20), "Your-Session-Secret"} {
		_, err := session.New(session.Config{Secrets: []string{secret}, EncryptionKeys: [][]byte{[]byte(secret)}})
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("New with the secret %q = %v; want an error that does not quote it", secret, err)
		}
	}
}

// A cookie that outlives every session would be a promise that nobody keeps.
func TestSecurityCookieOutlivingTheSessionIsRefused(t *testing.T) {
	for absolute, refused := range map[time.Duration]bool{0: true, 29 * 24 * time.Hour: true, 30 * 24 * time.Hour: false, -1: false} {
		c := newLab(t).config()
		c.Cookie.MaxAge, c.AbsoluteTimeout = 30*24*time.Hour, absolute
		_, err := session.New(c)
		var wrong *session.ConfigError
		if got := errors.As(err, &wrong) && wrong.Field == "Cookie.MaxAge"; got != refused {
			t.Errorf("New with Cookie.MaxAge 30 days and AbsoluteTimeout %v = %v; want it refused: %v", absolute, err, refused)
		}
	}
}

func TestSecurityLongestLifetimeIsAccepted(t *testing.T) {
	l := newLab(t, func(c *session.Config) { c.Cookie.MaxAge, c.AbsoluteTimeout = 400*24*time.Hour, -1 })
	v := l.visitor()
	v.post(func(s *session.Session) error {
		if err := s.SetMaxAge(400*24*time.Hour + time.Millisecond); err == nil {
			t.Error("SetMaxAge(400 days and a millisecond) = nil; want an error")
		}
		return s.SetMaxAge(400 * 24 * time.Hour)
	})
}

// RFC 6265bis §5.5: browsers drop a cookie whose name and value have more than
// 4096 bytes together. A name that could come to that is refused at start, so
// that the longest name and id that are accepted make a cookie that is kept.
func TestSecurityLongestCookie(t *testing.T) {
	longest := 4096
	for ; longest > 0; longest-- {
		c := newLab(t).config()
		c.Cookie.Name = strings.Repeat("n", longest)
		_, err := session.New(c)
		if err == nil {
			break
		}
		if wrong, ok := errors.AsType[*session.ConfigError](err); !ok || wrong.Field != "Cookie.Name" {
			t.Fatalf("New with a name of %d bytes = %v; want an error about Cookie.Name", longest, err)
		}
	}
	v := newLab(t, func(c *session.Config) {
		c.Cookie.Name = strings.Repeat("n", longest)
		c.GenerateID = func(*http.Request) (string, error) { return strings.Repeat("@", 128), nil }
	}).visitor()
	v.write("x")
	if n := len(v.cookies[0]) - len("="); longest < 256 || n > 4096 || v.read() != "x" {
		t.Errorf("the longest name has %d bytes and makes a cookie of %d; want at least 256, at most 4096, and the note %q",
			longest, n, v.read())
	}
}
