package interop_test

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

// A side is one of two applications that share a store.
type side struct{ name, url string }

// share starts an Express application and a Pillbox one on one store.
func share(t *testing.T, options string, edit ...func(*session.Config)) (store session.Store, express, pillbox side) {
	t.Helper()
	store = newStore()
	express = side{"Express", startExpress(t, []session.Store{store}, options) + "/0"}
	pillbox = side{"Pillbox", startPillbox(t, configure(store, edit...))}
	return store, express, pillbox
}

// values are what JSON can hold and a careless reader changes, as JSON.stringify
// writes it: numeric names first, and U+2028 as it is.
const values = `{"9":2,"10":1,"big":12345678901234567000,"tiny":1e-7,"minus":-0.5,"text":"<a href=\"x\">&amp;é😀` + "\u2028" +
	`\ud800</a>","nested":{"z":1,"a":[{"b":null},[],{}]},"":"empty name","null":null,"no":false}`

// A session that one side made is read, changed, touched, saved, reloaded,
// regenerated and destroyed by the other, cookie and record alike.
func TestSessionsAreShared(t *testing.T) {
	t.Parallel()
	for _, lifetime := range []string{"null", "3600000"} {
		options := fmt.Sprintf(`{"secret":"keyboard cat","resave":false,"saveUninitialized":false,"cookie":{"maxAge":%s}}`, lifetime)
		store, express, pillbox := share(t, options)
		for _, pair := range [][2]side{{express, pillbox}, {pillbox, express}} {
			t.Run(fmt.Sprintf("made by %s, maxAge %s", pair[0].name, lifetime), func(t *testing.T) {
				exchange(t, pair[0], pair[1], func(id string) string { return stored(t, store, id) })
			})
		}
	}
}

// exchange has one side make a session and both do to it what there is to do,
// in turns. The function stored returns what is stored under an id, or "".
func exchange(t *testing.T, maker, other side, stored func(id string) string) {
	t.Helper()
	v := &visitor{t: t}
	made := v.must(maker.url, `[["set","user","bob"],["set","values",`+values+`]]`)
	if v.cookie == "" {
		t.Fatalf("Set-Cookie %q; want a session cookie", made.cookies)
	}
	id := v.id()
	check := func(url, ops, want string) {
		t.Helper()
		before := v.cookie
		got := v.must(url, ops)
		var data []string
		for _, name := range got.names() {
			if name != "values" {
				data = append(data, fmt.Sprint(name, "=", got.data[name]))
			}
		}
		if s := strings.Join(data, " "); s != want {
			t.Errorf("%s answers with %q; want %q", ops, s, want)
		}
		if !reflect.DeepEqual(got.data["values"], made.data["values"]) {
			t.Errorf("%s: values became %v; want %v", ops, got.data["values"], made.data["values"])
		}
		if v.cookie != before || stored(id) == "" {
			t.Errorf("%s: cookie %q became %q; want the session to go on", ops, before, v.cookie)
		}
	}
	check(other.url, `[]`, "user=bob")
	check(other.url, `[["set","n",1]]`, "n=1 user=bob")
	check(maker.url, `[["set","n",2],["append","list","a"]]`, "list=[a] n=2 user=bob")
	check(other.url, `[["append","list","b"],["save"]]`, "list=[a b] n=2 user=bob")
	check(maker.url, `[["delete","n"]]`, "list=[a b] user=bob")
	check(other.url, `[["touch"]]`, "list=[a b] user=bob")
	check(maker.url, `[["touch"]]`, "list=[a b] user=bob")
	check(other.url, `[["maxAge",7200000],["append","list","c"]]`, "list=[a b c] user=bob")
	check(maker.url, `[["maxAge",5400000],["append","list","d"]]`, "list=[a b c d] user=bob")
	check(other.url, `[["set","lost",1],["reload"]]`, "list=[a b c d] user=bob")
	check(maker.url, `[["set","user","eve"],["reload"],["delete","list"]]`, "user=bob")

	// moved checks that the visitor has another id, under which the other
	// side finds the user alone, and that the old one is dead for both.
	moved := func(ops string, from, to side) {
		t.Helper()
		before := v.cookie
		v.must(from.url, ops)
		if v.cookie == before || stored(id) != "" {
			t.Errorf("after %s by %s: cookie %q, stored under the old id %q; want another cookie and nothing", ops, from.name, v.cookie, stored(id))
		}
		old := &visitor{t: t, cookie: before}
		for _, s := range []side{from, to} {
			if got := old.must(s.url, `[]`); len(got.data) != 0 || stored(id) != "" {
				t.Errorf("after %s by %s: %s finds %v under the old id; want nothing", ops, from.name, s.name, got.data)
			}
		}
		id = v.id()
		if got := v.must(to.url, `[]`); got.data["user"] != "eve" || got.data["values"] != nil {
			t.Errorf("%s finds %v after %s by %s; want eve alone", to.name, got.data, ops, from.name)
		}
	}
	moved(`[["regenerate"],["set","user","eve"]]`, other, maker)
	moved(`[["regenerate"],["set","user","eve"]]`, maker, other)
	moved(`[["signIn","eve"],["set","user","eve"],["delete","values"]]`, other, maker)
	moved(`[["signIn","eve"],["set","user","eve"],["delete","values"]]`, maker, other)

	for _, end := range []struct {
		ops      string
		by, then side
	}{
		{`[["destroy"]]`, other, maker},
		{`[["destroy"]]`, maker, other},
		{`[["signOut"]]`, other, maker},
		{`[["signOut"]]`, maker, other},
	} {
		stale := v.cookie
		v.must(end.by.url, end.ops)
		if got := stored(id); got != "" {
			t.Errorf("after %s by %s there is still %s", end.ops, end.by.name, got)
		}
		v.cookie = stale
		if got := v.must(end.then.url, `[]`); len(got.data) != 0 || len(got.cookies) > 0 {
			t.Errorf("%s finds %v after %s by %s, and sends %q; want nothing", end.then.name, got.data, end.ops, end.by.name, got.cookies)
		}
		v.must(end.then.url, `[["touch"]]`)
		v.must(end.then.url, `[["set","user","eve"]]`)
		if v.cookie == stale || stored(id) != "" {
			t.Errorf("%s adopts the id of the session that %s ended by %s", end.then.name, end.by.name, end.ops)
		}
		id = v.id()
	}
}

var pillboxMember = regexp.MustCompile(`,"__pillbox":\{[^}]*\}`)

// Pillbox writes back what Express stored byte for byte, the cookie object
// included, and puts its own beside it.
func TestExpressBytesSurvivePillbox(t *testing.T) {
	t.Parallel()
	store, express, pillbox := share(t, `{"secret":"keyboard cat","resave":false,"saveUninitialized":false,
		"cookie":{"httpOnly":false,"priority":"high","sameSite":true,"domain":"localhost"}}`)
	v := &visitor{t: t}
	v.must(express.url, `[["set","a",`+values+`],["set","b","x"]]`)
	before := stored(t, store, v.id())
	if !strings.Contains(before, `"sameSite":true`) || !strings.Contains(before, `\ud800`) {
		t.Fatalf("Express stored %s; want the forms that the test is about", before)
	}
	v.must(pillbox.url, `[]`)
	v.must(pillbox.url, `[["touch"],["save"]]`)
	if got := stored(t, store, v.id()); got != before {
		t.Errorf("after Pillbox read and touched it:\n got %s\nwant %s", got, before)
	}
	v.must(pillbox.url, `[["set","c",{"z":1,"a":"<>"}]]`)
	want := strings.TrimSuffix(before, "}") + `,"c":{"z":1,"a":"<>"}}`
	if got := pillboxMember.ReplaceAllString(stored(t, store, v.id()), ""); got != want {
		t.Errorf("after Pillbox set c:\n got %s\nwant %s", got, want)
	}
	v.must(pillbox.url, `[["delete","c"]]`)
	if got := pillboxMember.ReplaceAllString(stored(t, store, v.id()), ""); got != before {
		t.Errorf("after Pillbox deleted c:\n got %s\nwant %s", got, before)
	}
}

// Express writes back what Pillbox stored byte for byte, Pillbox's own member
// included, as long as it is what JSON.stringify would have written: Pillbox
// writes that.
func TestPillboxBytesSurviveExpress(t *testing.T) {
	t.Parallel()
	store, express, pillbox := share(t, recommended, func(c *session.Config) {
		c.Cookie.HTTPOnly, c.Cookie.Priority, c.Cookie.SameSite = session.InsecureScriptAccess, session.PriorityLow, session.SameSiteStrict
	})
	v := &visitor{t: t}
	v.must(pillbox.url, `[["set","a",{"z":1,"y":[1e+21,1e-7,0.1,-5,"<>&é😀"]}],["set","b","x"]]`)
	before := stored(t, store, v.id())
	v.must(express.url, `[["set","c",1]]`)
	want := strings.TrimSuffix(before, "}") + `,"c":1}`
	if got := stored(t, store, v.id()); got != want || !strings.Contains(got, `"__pillbox":{"created":`) {
		t.Errorf("after Express set c:\n got %s\nwant %s", got, want)
	}
}

// A user whom Pillbox signed in stays signed in when Express has written the
// session, and the absolute limit stays where it was.
func TestSignInSurvivesExpress(t *testing.T) {
	t.Parallel()
	store, express, pillbox := share(t, recommended, func(c *session.Config) { c.AbsoluteTimeout = 0 })
	v := &visitor{t: t}
	v.must(pillbox.url, `[["set","a",1]]`)
	own := pillboxMember.FindString(stored(t, store, v.id()))
	v.must(express.url, `[["set","b",2]]`)
	if got := stored(t, store, v.id()); own == "" || !strings.Contains(got, own) {
		t.Errorf("after Express wrote it: stored %s; want %s in it", got, own)
	}
	// One that Express made gets its stamp at Pillbox's first use of it.
	v = &visitor{t: t}
	v.must(express.url, `[["set","a",1]]`)
	v.must(pillbox.url, `[]`)
	if got := stored(t, store, v.id()); pillboxMember.FindString(got) == "" {
		t.Errorf("after Pillbox read Express's session: stored %s; want the moment it began in it", got)
	}
}

// Secrets rotate on both sides: first signs, all verify.
func TestSecretRotationIsShared(t *testing.T) {
	t.Parallel()
	stores := []session.Store{newStore()}
	stores = append(stores, stores[0])
	express := startExpress(t, stores,
		`{"secret":["new secret","old secret"],"resave":false,"saveUninitialized":false}`,
		`{"secret":"old secret","resave":false,"saveUninitialized":false}`)
	rotated := startPillbox(t, configure(stores[0], func(c *session.Config) { c.Secrets = []string{"new secret", "old secret"} }))
	old := startPillbox(t, configure(stores[0], func(c *session.Config) { c.Secrets = []string{"old secret"} }))
	for _, test := range []struct {
		name, maker, reader string
		found               bool
	}{
		{"old Express, rotated Pillbox", express + "/1", rotated, true},
		{"old Pillbox, rotated Express", old, express + "/0", true},
		{"rotated Express, rotated Pillbox", express + "/0", rotated, true},
		{"rotated Pillbox, rotated Express", rotated, express + "/0", true},
		{"rotated Express, old Pillbox", express + "/0", old, false},
		{"rotated Pillbox, old Express", rotated, express + "/1", false},
	} {
		v := &visitor{t: t}
		v.must(test.maker, `[["set","user","bob"]]`)
		if got := v.must(test.reader, `[]`); (got.data["user"] == "bob") != test.found {
			t.Errorf("%s: data %v; want the session found: %v", test.name, got.data, test.found)
		}
	}
}
