package session_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

const minimalRecord = `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"user":"bob"}`

// Known values of cookie-signature, encodeURIComponent included. An id that has
// characters which a store could misread is refused before the store sees it,
// though its signature is good: express-session makes none such by itself.
func TestExpressSignatureVectors(t *testing.T) {
	for _, test := range []struct {
		id, value string
		asked     bool
	}{
		{"apple", "s%3Aapple.D8Y%2BpkTAmeR0PobOhY4G97PRW%2Bj7bUnP%2F5m6%2FOn1MCU", true},
		{"%", "s%3A%25.kzQ6x52kKVdF35Qh62AWk4ZekS28K5XYCXKa%2FOTZ01g", false},
		{"/foo", "s%3A%2Ffoo.paEKBtAHbV5s1IB8B2zPnzAgYmmnRPIqObW4VRYj%2FMQ", false},
	} {
		if got := signed(test.id, expressSecret); got != test.value {
			t.Errorf("signed(%q) = %q; want %q: the tests' own signing is wrong", test.id, got, test.value)
		}
		a := newExpressApp(t)
		r := a.get("connect.sid="+test.value, a.look)
		if asked := r.calls == "load"; asked != test.asked {
			t.Errorf("cookie of %q: store calls %q; want a load: %v", test.id, r.calls, test.asked)
		}
	}
}

// Of an id that needs it, everything but A-Z a-z 0-9 - _ . ! ~ * ' ( ) is
// percent-encoded in upper case, the signature's + and / too.
func TestExpressEncodeURIComponent(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~:+=@"
	a := newExpressApp(t, func(c *session.Config) {
		c.GenerateID = func(*http.Request) (string, error) { return alphabet, nil }
	})
	r := a.get("", func(s *session.Session) { a.set(s, "user", "bob") })
	const want = "connect.sid=s%3AABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~%3A%2B%3D%40."
	if !strings.HasPrefix(r.cookie(), want) || r.cookie() != "connect.sid="+signed(alphabet, expressSecret) {
		t.Errorf("cookie %q; want %q and the signature", r.cookie(), want)
	}
	if strings.ContainsAny(strings.TrimPrefix(r.cookie(), "connect.sid="), "+/=:@") {
		t.Errorf("cookie %q has a character that encodeURIComponent does not leave", r.cookie())
	}
}

// Which Cookie headers are this session's, and which are nobody's. The latter
// cost no call of the store.
func TestExpressCookieParsing(t *testing.T) {
	const id, dotted = "an-id-of-the-parsing-test", "an.id.with.dots."
	signature := func(id string) string {
		_, sig, _ := strings.Cut(strings.TrimPrefix(signed(id, expressSecret), "s%3A"+id), ".")
		sig = strings.NewReplacer("%2B", "+", "%2F", "/").Replace(sig)
		return sig
	}
	good, sig := signed(id, expressSecret), signature(id)
	bits, err := base64.RawStdEncoding.DecodeString(sig)
	if err != nil {
		t.Fatal(err)
	}
	urlSafe := base64.RawURLEncoding.EncodeToString(bits)
	if urlSafe == sig {
		t.Fatalf("signature %q is the same in base64url: choose another id", sig)
	}
	other := []byte(sig) // the same bits, written otherwise: the last two are padding
	if other[len(other)-1]++; other[len(other)-1] == '{' {
		t.Fatal("choose another id")
	}

	for _, test := range []struct {
		name, header string
		found        bool
	}{
		{"as sent", "connect.sid=" + good, true},
		{"no cookie", "", false},
		{"empty", "connect.sid=", false},
		{"no equals sign", "connect.sid", false},
		{"another name", "connect.sidx=" + good, false},
		{"another name before", "xconnect.sid=" + good, false},
		{"another case", "Connect.sid=" + good, false},
		{"after others", "a=1; b=2; connect.sid=" + good + "; c=3", true},
		{"without blanks", "a=1;connect.sid=" + good + ";c=3", true},
		{"blanks and tabs", " \t connect.sid \t= \t" + good + " \t ; c=3", true},
		{"a no-break space is part of the name", "\u00a0connect.sid=" + good, false},
		{"empty pairs", ";;; ;connect.sid=" + good, true},
		{"a pair without equals sign before", "junk; connect.sid=" + good, true},
		{"an equals sign in a value before", "a=b=c; connect.sid=" + good, true},
		{"quotes", `connect.sid="` + good + `"`, true},
		{"quotes and blanks inside", `connect.sid=" ` + good + ` "`, false},
		{"two pairs of quotes", `connect.sid=""` + good + `""`, false},
		{"one quote", `connect.sid="` + good, false},
		{"a lone quote", `connect.sid="`, false},

		{"unencoded", "connect.sid=s:" + id + "." + sig, true},
		{"only the colon encoded", "connect.sid=s%3A" + id + "." + sig, true},
		{"lower-case escapes", "connect.sid=s%3a" + id + "." + strings.NewReplacer("+", "%2b", "/", "%2f").Replace(sig), true},
		{"letters escaped as well", "connect.sid=%73%3A%61" + id[1:] + "." + sig, true},
		{"encoded twice", "connect.sid=" + strings.ReplaceAll(good, "%", "%25"), false},
		{"a plus is no blank", "connect.sid=s:" + id + "." + sig + "+", false},
		// decodeURIComponent throws on these, and then the text counts as it is.
		{"a broken escape", "connect.sid=s%3A" + id + "." + sig + "%", false},
		{"a broken escape in front", "connect.sid=s:%zz" + id + "." + sig, false},
		{"an escape that is no UTF-8", "connect.sid=s:%ff" + id + "." + sig, false},

		{"unsigned", "connect.sid=" + id, false},
		{"a JSON cookie", "connect.sid=j:" + id + "." + sig, false},
		{"upper-case prefix", "connect.sid=S:" + id + "." + sig, false},
		{"no dot", "connect.sid=s:" + id, false},
		{"no signature", "connect.sid=s:" + id + ".", false},
		{"signature of another id", "connect.sid=s:" + id + "." + signature("apple"), false},
		{"signature cut short", "connect.sid=s:" + id + "." + sig[:42], false},
		{"padded signature", "connect.sid=s:" + id + "." + sig + "=", false},
		{"base64url signature", "connect.sid=s:" + id + "." + urlSafe, false},
		{"other padding bits", "connect.sid=s:" + id + "." + string(other), false},
		{"signature in lower case", "connect.sid=s:" + id + "." + strings.ToLower(sig), false},
		{"id longer than what is signed", "connect.sid=s:" + id + "x." + sig, false},
		{"empty id", "connect.sid=" + signed("", expressSecret), false},
		{"an id of 4 kB", "connect.sid=" + signed(strings.Repeat("x", 4000), expressSecret), false},
		{"a NUL in the id", "connect.sid=" + signed("a\x00b", expressSecret), false},
		{"an id with dots", "connect.sid=" + signed(dotted, expressSecret), true},

		{"a good one before a bad one", "connect.sid=" + good + "; connect.sid=junk", true},
		// Better than express-session, which looks at the first one only: a
		// subdomain or a plain-HTTP page can plant a cookie in front of ours
		// and lock the visitor out.
		{"a bad one before a good one", "connect.sid=junk; connect.sid=" + good, true},
		{"an unknown one before a good one", "connect.sid=" + signed("unknown", expressSecret) + "; connect.sid=" + good, true},
		{"the same twice", "connect.sid=" + good + "; connect.sid=" + good, true},
		{"too many to look at", strings.Repeat("connect.sid=junk; ", 1000) + "connect.sid=" + good, false},
	} {
		a := newExpressApp(t)
		a.store.keep(id, minimalRecord, time.Hour)
		a.store.keep(dotted, minimalRecord, time.Hour)
		var user any
		r := a.get(test.header, func(s *session.Session) { user = a.read(s, "user") })
		if found := user == "bob"; found != test.found {
			t.Errorf("%s: Cookie %.200q: session found %v; want %v", test.name, test.header, found, test.found)
		}
		if !test.found && r.calls != "" {
			t.Errorf("%s: Cookie %.200q: store calls %q; want none", test.name, test.header, r.calls)
		}
	}
}

// HTTP/2 splits the Cookie header into several; Node joins them again.
func TestExpressCookieHeaderInPieces(t *testing.T) {
	a := newExpressApp(t)
	cookie, _ := a.begin()
	r := request("a=1")
	r.Header.Add("Cookie", cookie)
	r.Header.Add("Cookie", "b=2")
	var user any
	a.do(r, func(s *session.Session) { user = a.read(s, "user") })
	if user != "bob" {
		t.Errorf("user %v; want bob", user)
	}
}

// Better than express-session, which takes the first one: of two live sessions
// in one request nobody knows whose is whose, so neither is used.
func TestExpressTwoLiveSessionsBetterRefused(t *testing.T) {
	a := newExpressApp(t)
	mine, _ := a.begin()
	planted, _ := a.begin()
	for _, header := range []string{planted + "; " + mine, mine + "; " + planted} {
		var user any
		a.get(header, func(s *session.Session) { user = a.read(s, "user") })
		if user != nil {
			t.Errorf("with two live sessions the user is %v; want none", user)
		}
	}
}

// An unknown id is never adopted, by whatever the request does next.
func TestExpressUnknownIDIsNotAdopted(t *testing.T) {
	const unknown = "an-id-that-the-store-lacks"
	for name, f := range map[string]func(a *expressApp, s *session.Session){
		"Set":        func(a *expressApp, s *session.Session) { a.set(s, "user", "eve") },
		"Regenerate": func(a *expressApp, s *session.Session) { a.ok("Regenerate", s.Regenerate()) },
		"SignIn":     func(a *expressApp, s *session.Session) { a.ok("SignIn", s.SignIn("eve")) },
		"Touch":      func(a *expressApp, s *session.Session) { a.ok("Touch", s.Touch()) },
		"SetMaxAge":  func(a *expressApp, s *session.Session) { a.ok("SetMaxAge", s.SetMaxAge(time.Hour)) },
		"Save":       func(a *expressApp, s *session.Session) { a.ok("Save", s.Save()) },
		"Update": func(a *expressApp, s *session.Session) {
			_, err := session.Key[int]("n").Update(s, func(n int) int { return n + 1 })
			a.ok("Update", err)
		},
	} {
		for _, all := range []bool{false, true} {
			a := newExpressApp(t, func(c *session.Config) { c.Resave, c.SaveUninitialized, c.Rolling = all, all, all })
			r := a.get("connect.sid="+signed(unknown, expressSecret), func(s *session.Session) { f(a, s) })
			if r.StatusCode != 200 || strings.Contains(strings.Join(r.cookies(), " "), unknown) || a.store.text(unknown) != "" {
				t.Errorf("%s (resave and the rest %v): status %d, Set-Cookie %q, stored under the id %q; want another id", name, all, r.StatusCode, r.cookies(), a.store.text(unknown))
			}
		}
	}
}
