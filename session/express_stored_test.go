package session_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// What a new session is stored as: express-session's nine cookie keys in its
// order, those that are unset left out, then Pillbox's own member, then the
// data. The clock of the bubble stands at the year 2000.
func TestExpressStoredForm(t *testing.T) {
	const own = `,"__pillbox":{"created":946684800000},"user":"bob"}`
	for _, test := range []struct {
		name string
		edit func(*session.Cookie)
		url  string
		want string
	}{
		{"minimum", func(*session.Cookie) {}, "http://example.com/", `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}`},
		{"httpOnly false", func(c *session.Cookie) { c.HTTPOnly = session.InsecureScriptAccess }, "http://example.com/", `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":false,"path":"/"}`},
		{"maxAge", func(c *session.Cookie) { c.MaxAge = 59999 * time.Millisecond }, "http://example.com/", `{"cookie":{"originalMaxAge":59999,"expires":"2000-01-01T00:00:59.999Z","httpOnly":true,"path":"/"}`},
		{"maxAge of whole seconds", func(c *session.Cookie) { c.MaxAge = time.Minute }, "http://example.com/", `{"cookie":{"originalMaxAge":60000,"expires":"2000-01-01T00:01:00.000Z","httpOnly":true,"path":"/"}`},
		{"secure auto over https", func(c *session.Cookie) { c.Secure = session.SecureAuto }, "https://example.com/", `{"cookie":{"originalMaxAge":null,"expires":null,"secure":true,"httpOnly":true,"path":"/"}`},
		{"sameSite auto over http", func(c *session.Cookie) { c.SameSite = session.SameSiteAuto }, "http://example.com/", `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/","sameSite":"lax"}`},
		{"all", func(c *session.Cookie) {
			c.Domain, c.Path, c.MaxAge = "example.com", `/a"<b>`, time.Minute
			c.Secure, c.Partitioned, c.Priority, c.SameSite = session.SecureAlways, true, session.PriorityHigh, session.SameSiteNone
		}, `https://example.com/a"<b>`, `{"cookie":{"originalMaxAge":60000,"partitioned":true,"priority":"high","expires":"2000-01-01T00:01:00.000Z","secure":true,"httpOnly":true,"domain":"example.com","path":"/a\"<b>","sameSite":"none"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newExpressApp(t, func(c *session.Config) { test.edit(&c.Cookie) })
				r := requestTo("https://example.com/", "")
				if strings.HasPrefix(test.url, "http:") {
					r.TLS = nil
				}
				r.RequestURI = strings.TrimPrefix(strings.TrimPrefix(test.url, "https://example.com"), "http://example.com")
				a.do(r, func(s *session.Session) { a.set(s, "user", "bob") })
				if ids := a.store.ids(); len(ids) != 1 || a.store.text(ids[0]) != test.want+own {
					t.Errorf("stored %q:\n got %s\nwant %s", ids, a.store.text(strings.Join(ids, "")), test.want+own)
				}
			})
		})
	}
}

// Sessions of an Express application in every form it may give them: what
// Pillbox does not change it writes back byte for byte. Each is given one key
// more, and what was there is expected to stand.
func TestExpressForeignBytesSurvive(t *testing.T) {
	const cookie = `{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}`
	for _, test := range []struct {
		name, stored, want string // want without its closing brace and the new key
	}{
		{"nothing but a cookie", `{"cookie":` + cookie + `}`, `{"cookie":` + cookie},
		{"numbers beyond 2^53", `{"cookie":` + cookie + `,"n":9007199254740993,"m":[1e400,-0,0.1e-7,12345678901234567890.123]}`, `{"cookie":` + cookie + `,"n":9007199254740993,"m":[1e400,-0,0.1e-7,12345678901234567890.123]`},
		{"key order", `{"z":1,"cookie":` + cookie + `,"a":{"z":1,"a":2},"10":0,"9":0}`, `{"z":1,"cookie":` + cookie + `,"a":{"z":1,"a":2},"10":0,"9":0`},
		{"cookie last", `{"user":"bob","cookie":` + cookie + `}`, `{"user":"bob","cookie":` + cookie},
		{"lone surrogates", `{"cookie":` + cookie + `,"s":"\ud800 \udc00","\ud83d":1}`, `{"cookie":` + cookie + `,"s":"\ud800 \udc00","\ud83d":1`},
		{"escapes", `{"cookie":` + cookie + `,"\u0061\/":"\u003c\/script\u003e\u2028\"\\"}`, `{"cookie":` + cookie + `,"\u0061\/":"\u003c\/script\u003e\u2028\"\\"`},
		{"text beyond ASCII", `{"cookie":` + cookie + `,"naïve":"<p>&å€😀` + "\u2028\u007f" + `"}`, `{"cookie":` + cookie + `,"naïve":"<p>&å€😀` + "\u2028\u007f" + `"`},
		{"duplicate keys", `{"cookie":` + cookie + `,"a":1,"b":2,"a":3}`, `{"cookie":` + cookie + `,"a":1,"b":2,"a":3`},
		{"blanks inside of values", `{"cookie":` + cookie + `,"a":[ 1 , { "b" : 2 } ]}`, `{"cookie":` + cookie + `,"a":[ 1 , { "b" : 2 } ]`},
		{"blanks between members", " {\n \"cookie\" : " + cookie + " ,\t\"a\" : 1 } ", `{"cookie":` + cookie + `,"a":1`},
		{"empty values", `{"cookie":` + cookie + `,"a":null,"b":{},"c":[],"":"","d":false}`, `{"cookie":` + cookie + `,"a":null,"b":{},"c":[],"":"","d":false`},
		{"keys of other packages", `{"cookie":` + cookie + `,"passport":{"user":{"id":1}},"flash":{"error":["x"]},"csrfSecret":"a","__lastAccess":1700000000000,"lastModified":"2026-01-01"}`, `{"cookie":` + cookie + `,"passport":{"user":{"id":1}},"flash":{"error":["x"]},"csrfSecret":"a","__lastAccess":1700000000000,"lastModified":"2026-01-01"`},
		{"reserved names", `{"cookie":` + cookie + `,"id":1,"save":2,"__proto__":{"x":1},"toString":3}`, `{"cookie":` + cookie + `,"id":1,"save":2,"__proto__":{"x":1},"toString":3`},

		{"cookie with keys in another order", `{"cookie":{"path":"/","expires":null,"httpOnly":true,"originalMaxAge":null}}`, `{"cookie":{"path":"/","expires":null,"httpOnly":true,"originalMaxAge":null}`},
		{"cookie with missing keys", `{"cookie":{}}`, `{"cookie":{}`},
		{"cookie with unknown keys", `{"cookie":{"originalMaxAge":null,"expires":null,"_x":{"y":[1]}}}`, `{"cookie":{"originalMaxAge":null,"expires":null,"_x":{"y":[1]}}`},
		{"expires false", `{"cookie":{"originalMaxAge":false,"expires":false,"httpOnly":true,"path":"/"}}`, `{"cookie":{"originalMaxAge":false,"expires":false,"httpOnly":true,"path":"/"}`},
		{"originalMaxAge absent", `{"cookie":{"expires":null,"httpOnly":true,"path":"/"}}`, `{"cookie":{"expires":null,"httpOnly":true,"path":"/"}`},
		{"sameSite true", `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/","sameSite":true}}`, `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/","sameSite":true}`},
		{"sameSite false", `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/","sameSite":false}}`, `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/","sameSite":false}`},
		{"secure auto unresolved", `{"cookie":{"originalMaxAge":null,"expires":null,"secure":"auto","httpOnly":true,"path":"/"}}`, `{"cookie":{"originalMaxAge":null,"expires":null,"secure":"auto","httpOnly":true,"path":"/"}`},
		{"another site's cookie", `{"cookie":{"originalMaxAge":null,"expires":null,"secure":true,"httpOnly":false,"domain":"example.org","path":"/old"}}`, `{"cookie":{"originalMaxAge":null,"expires":null,"secure":true,"httpOnly":false,"domain":"example.org","path":"/old"}`},
		// The one thing that is brought up to date, in its place.
		{"expires moves", `{"cookie":{"path":"/","originalMaxAge":60000,"expires":"2000-01-01T00:00:30.000Z","x":1}}`, `{"cookie":{"path":"/","originalMaxAge":60000,"expires":"2000-01-01T00:01:00.000Z","x":1}`},
		{"expires was stale", `{"cookie":{"originalMaxAge":60000.75,"expires":"1999-01-01T00:00:00.000Z"}}`, `{"cookie":{"originalMaxAge":60000.75,"expires":"2000-01-01T00:01:00.000Z"}`},
		{"expires was missing", `{"cookie":{"originalMaxAge":60000}}`, `{"cookie":{"originalMaxAge":60000,"expires":"2000-01-01T00:01:00.000Z"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const id = "an-id-of-the-foreign-test"
				a := newExpressApp(t)
				a.store.keep(id, test.stored, 24*time.Hour)
				r := a.get("connect.sid="+signed(id, expressSecret), func(s *session.Session) { a.set(s, "mine", "<1>") })
				// A row that was given longer than its session's own lifetime
				// is cut to that at once, which is one more update.
				lifetime := strings.Contains(test.stored, "60000")
				if got, want := a.store.text(id), test.want+`,"mine":"<1>"}`; got != want || !lifetime && r.calls != "load update" {
					t.Errorf("store calls %q; stored\n got %s\nwant %s", r.calls, got, want)
				}
				// And what is read only is not written at all.
				a.store.keep(id, test.stored, 24*time.Hour)
				r = a.get("connect.sid="+signed(id, expressSecret), func(s *session.Session) {
					_, err := session.Key[any]("mine").Get(s)
					a.ok("Get", err)
				})
				if !lifetime && (r.calls != "load" || a.store.text(id) != test.stored) {
					t.Errorf("after a request that reads: store calls %q, stored %s; want one load, and it untouched", r.calls, a.store.text(id))
				}
			})
		})
	}
}

// A change to a key that is there leaves it in its place, and a key that goes
// takes its duplicates along.
func TestExpressForeignKeysInPlace(t *testing.T) {
	const cookie = `"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}`
	for _, test := range []struct {
		name, stored string
		change       func(a *expressApp, s *session.Session)
		want         string
	}{
		{"set", `{` + cookie + `,"a":1,"b":2,"c":3}`, func(a *expressApp, s *session.Session) { a.set(s, "b", "x") }, `{` + cookie + `,"a":1,"b":"x","c":3}`},
		{"set, name escaped", `{` + cookie + `,"\u0062":2,"c":3}`, func(a *expressApp, s *session.Session) { a.set(s, "b", "x") }, `{` + cookie + `,"\u0062":"x","c":3}`},
		{"set a duplicate", `{` + cookie + `,"a":1,"b":2,"a":3}`, func(a *expressApp, s *session.Session) {
			if got := a.read(s, "a"); got != 3.0 {
				a.Errorf("duplicate key reads %v; want 3, the last, as JSON.parse has it", got)
			}
			a.set(s, "a", 4)
		}, `{` + cookie + `,"a":1,"b":2,"a":4}`},
		{"delete a duplicate", `{` + cookie + `,"a":1,"b":2,"a":3}`, func(a *expressApp, s *session.Session) { a.ok("Delete", session.Key[int]("a").Delete(s)) }, `{` + cookie + `,"b":2}`},
		{"delete the first", `{"a":1,` + cookie + `}`, func(a *expressApp, s *session.Session) { a.ok("Delete", session.Key[int]("a").Delete(s)) }, `{` + cookie + `}`},
		{"update", `{` + cookie + `,"n":41,"z":9007199254740993}`, func(a *expressApp, s *session.Session) {
			n, err := session.Key[int]("n").Update(s, func(n int) int { return n + 1 })
			if n != 42 || err != nil {
				a.Errorf("Update = %d, %v; want 42", n, err)
			}
		}, `{` + cookie + `,"n":42,"z":9007199254740993}`},
		{"a new name that needs escapes", `{` + cookie + `}`, func(a *expressApp, s *session.Session) { a.set(s, "a\"\n<å", 1) }, `{` + cookie + `,"a\"\n<å":1}`},
		{"numbers as JavaScript writes them", `{` + cookie + `}`, func(a *expressApp, s *session.Session) { a.set(s, "n", []float64{1, 0.1, 1e21, 1e-7, 123456789012}) }, `{` + cookie + `,"n":[1,0.1,1e+21,1e-7,123456789012]}`},
	} {
		const id = "an-id-of-the-in-place-test"
		a := newExpressApp(t)
		a.store.keep(id, test.stored, time.Hour)
		a.get("connect.sid="+signed(id, expressSecret), func(s *session.Session) { test.change(a, s) })
		if got := a.store.text(id); got != test.want {
			t.Errorf("%s: stored\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

// Names that express-session would drop when it reads the session are refused
// before they are lost, and those that are there already do not show.
func TestExpressReservedNames(t *testing.T) {
	names := []string{
		"cookie", "id", "req", "touch", "resetMaxAge", "save", "reload", "destroy", "regenerate",
		"constructor", "toString", "toLocaleString", "valueOf", "hasOwnProperty", "isPrototypeOf",
		"propertyIsEnumerable", "__proto__", "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__",
	}
	const id = "an-id-of-the-reserved-test"
	a := newExpressApp(t)
	a.store.keep(id, `{"cookie":{},"id":1,"toString":2,"user":"bob"}`, time.Hour)
	a.get("connect.sid="+signed(id, expressSecret), func(s *session.Session) {
		for _, name := range names {
			key := session.Key[any](name)
			_, getErr := key.Get(s)
			_, updateErr := key.Update(s, func(any) any { return 1 })
			for verb, err := range map[string]error{"Set": key.Set(s, 1), "Get": getErr, "Delete": key.Delete(s), "Update": updateErr} {
				if err == nil {
					t.Errorf("%s of key %q = nil; want ErrReservedKey", verb, name)
				}
			}
		}
		keys, err := s.Keys()
		if !slices.Equal(keys, []string{"user"}) || err != nil {
			t.Errorf("Keys() = %q, %v; want user alone", keys, err)
		}
	})
	if got, want := a.store.text(id), `{"cookie":{},"id":1,"toString":2,"user":"bob"}`; got != want {
		t.Errorf("stored %s; want %s", got, want)
	}
}

// The lifetime of a foreign session is its originalMaxAge: expires beside it
// goes stale with stores that move only the row.
func TestExpressForeignLifetime(t *testing.T) {
	for _, test := range []struct {
		cookie string
		live   bool
		maxAge time.Duration
	}{
		{`{"originalMaxAge":60000,"expires":"2026-01-01T00:00:00.000Z"}`, true, time.Minute},
		{`{"originalMaxAge":60000,"expires":"1999-01-01T00:00:00.000Z"}`, true, time.Minute},
		{`{"originalMaxAge":59999.4,"expires":null}`, true, 59999 * time.Millisecond},
		{`{"originalMaxAge":6e4}`, true, time.Minute},
		{`{"originalMaxAge":1e300}`, true, 10 * 365 * 24 * time.Hour},
		{`{"originalMaxAge":null,"expires":null}`, true, 0},
		{`{"originalMaxAge":false,"expires":false}`, true, 0},
		{`{"expires":null}`, true, 0},
		{`{}`, true, 0},
		{`{"originalMaxAge":0,"expires":"2000-01-01T00:00:00.000Z"}`, false, 0},
		{`{"originalMaxAge":-1}`, false, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			const id = "an-id-of-the-lifetime-test"
			a := newExpressApp(t)
			a.store.keep(id, `{"cookie":`+test.cookie+`,"user":"bob"}`, time.Hour)
			a.get("connect.sid="+signed(id, expressSecret), func(s *session.Session) {
				maxAge, err := s.MaxAge()
				if live := a.read(s, "user") == "bob"; live != test.live || maxAge != test.maxAge || err != nil {
					t.Errorf("cookie %s: live %v, MaxAge() = %v, %v; want %v, %v", test.cookie, live, maxAge, err, test.live, test.maxAge)
				}
			})
		})
	}
}

// Better than express-session, which answers 500 until the cookie is deleted by
// hand: what is no session is none, its cookie is cleared, and the visitor gets
// a new one.
func TestExpressDamagedRecordBetterReplaced(t *testing.T) {
	for _, stored := range []string{
		`{}`, `{"user":"bob"}`, `null`, `[]`, `"x"`, `TOMBSTONE`, `{"cookie":null}`, `{"cookie":1}`, `{"cookie":{}`,
		`{"cookie":{}}x`, `{"cookie":{},}`, `{"cookie":{"originalMaxAge":"60000"}}`, `{"cookie":{"originalMaxAge":true}}`,
		`{"cookie":{},"__pillbox":1}`, `{"cookie":{},"__pillbox":{"created":"x"}}`, `{"cookie":{},"a":01}`, "{\"cookie\":{},\"a\":\"\n\"}",
	} {
		const id = "an-id-of-the-damaged-test"
		a := newExpressApp(t)
		a.store.keep(id, stored, time.Hour)
		cookie := "connect.sid=" + signed(id, expressSecret)
		r := a.get(cookie, func(s *session.Session) {
			if user := a.read(s, "user"); user != nil {
				t.Errorf("%s: user %v; want none", stored, user)
			}
		})
		if r.StatusCode != 200 || r.cookie() != "connect.sid=" || !strings.Contains(r.line(), "Expires=Thu, 01 Jan 1970 00:00:00 GMT") {
			t.Errorf("%s: status %d, Set-Cookie %q; want 200 and the cookie cleared", stored, r.StatusCode, r.cookies())
		}
		r = a.get(cookie, func(s *session.Session) { a.set(s, "user", "bob") })
		if r.StatusCode != 200 || r.cookie() == "" || strings.Contains(r.cookie(), id) {
			t.Errorf("%s: status %d, Set-Cookie %q; want 200 and another id", stored, r.StatusCode, r.cookies())
		}
		if got := a.store.text(id); got != stored {
			t.Errorf("%s became %s; want it left for whoever looks into it", stored, got)
		}
	}
}

// What JavaScript reads back of what Go stored is what Go stored: values are
// encoded as JSON.stringify has them where it matters.
func TestExpressValuesRoundTrip(t *testing.T) {
	a := newExpressApp(t)
	for _, value := range []any{"<script>&\u2028", "å€😀", 0.0, 1e21, -1.5, true, nil, []any{}, map[string]any{"a": []any{1.0, "x", nil}}} {
		r := a.get("", func(s *session.Session) { a.set(s, "v", value) })
		var got any
		a.get(r.cookie(), func(s *session.Session) { got = a.read(s, "v") })
		if fmt.Sprint(got) != fmt.Sprint(value) {
			t.Errorf("%#v became %#v", value, got)
		}
	}
	for _, id := range a.store.ids() {
		if text := a.store.text(id); !json.Valid([]byte(text)) || strings.Contains(text, `\u003c`) || strings.Contains(text, `\u0026`) {
			t.Errorf("stored %s; want valid JSON with < and & as they are", text)
		}
	}
}
