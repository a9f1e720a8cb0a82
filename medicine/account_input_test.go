package medicine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/medicine"
	"github.com/pillboxgo/pillbox/medicine/password"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

const (
	anyPath    = "/login /register"
	onRegister = "/register"
	onLogin    = "/login"
)

func TestBadCredentials(t *testing.T) {
	const typ = "application/json"
	type result struct {
		status      int
		code, field string
	}
	badJSON := result{400, "bad_json", ""}
	notJSON := result{415, "not_json", ""}
	badName, badPassword := result{400, "invalid_username", "username"}, result{400, "invalid_password", "password"}
	long := strings.Repeat("x", 65)
	for _, test := range []struct {
		name  string
		paths string
		typ   string
		body  string
		want  result
	}{
		{"no body", anyPath, typ, "", badJSON},
		{"spaces", anyPath, typ, "  ", badJSON},
		{"null", anyPath, typ, "null", badJSON},
		{"list", anyPath, typ, `["ilmer","` + pass + `"]`, badJSON},
		{"text", anyPath, typ, `"ilmer"`, badJSON},
		{"number", anyPath, typ, "5", badJSON},
		{"cut off", anyPath, typ, `{"username":"ilmer","password":"` + pass, badJSON},
		{"cut off behind a member", anyPath, typ, `{"username":"ilmer","password":"` + pass + `"`, badJSON},
		{"two objects", anyPath, typ, credentials("ilmer", pass) + credentials("homer", pass), badJSON},
		{"text behind", anyPath, typ, credentials("ilmer", pass) + "x", badJSON},
		{"comma at the end", anyPath, typ, `{"username":"ilmer","password":"` + pass + `",}`, badJSON},
		{"single quotes", anyPath, typ, `{'username':'ilmer'}`, badJSON},
		{"form", anyPath, typ, "username=ilmer&password=" + pass, badJSON},
		{"name twice", anyPath, typ, `{"username":"ilmer","username":"homer","password":"` + pass + `"}`, badJSON},
		{"name twice, once escaped", anyPath, typ, `{"username":"ilmer","\u0075sername":"homer","password":"` + pass + `"}`, badJSON},
		{"password twice", anyPath, typ, `{"username":"ilmer","password":"x","password":"` + pass + `"}`, badJSON},
		{"unknown member twice", anyPath, typ, `{"a":1,"a":2,"username":"ilmer","password":"` + pass + `"}`, badJSON},
		{"invalid UTF-8", anyPath, typ, "{\"username\":\"il\xffmer\",\"password\":\"" + pass + "\"}", badJSON},
		{"UTF-16", anyPath, typ, "\xff\xfe{\x00}\x00", badJSON},
		{"byte order mark", anyPath, typ, "\xef\xbb\xbf" + credentials("ilmer", pass), badJSON},
		{"deep", anyPath, typ, `{"a":` + strings.Repeat("[", 12_000), badJSON},

		{"no type", anyPath, "", credentials("ilmer", pass), notJSON},
		{"text/plain", anyPath, "text/plain", credentials("ilmer", pass), notJSON},
		{"JSON in UTF-16", anyPath, typ + "; charset=utf-16", credentials("ilmer", pass), notJSON},
		{"no type at all", anyPath, ";;", credentials("ilmer", pass), notJSON},

		{"over 16 KiB", anyPath, typ, `{"next":"` + strings.Repeat("x", 16<<10) + `"}`, result{413, "body_too_large", ""}},
		{"10 MB", anyPath, typ, strings.Repeat(" ", 10<<20), result{413, "body_too_large", ""}},

		{"empty object", anyPath, typ, "{}", badName},
		{"other case", anyPath, typ, `{"Username":"ilmer","PASSWORD":"` + pass + `"}`, badName},
		{"name a number", anyPath, typ, `{"username":5,"password":"` + pass + `"}`, badName},
		{"name a list", anyPath, typ, `{"username":["ilmer"],"password":"` + pass + `"}`, badName},
		{"name an object", anyPath, typ, `{"username":{"$ne":null},"password":"` + pass + `"}`, badName},
		{"name true", anyPath, typ, `{"username":true,"password":"` + pass + `"}`, badName},
		{"name null", anyPath, typ, `{"username":null,"password":"` + pass + `"}`, badName},
		{"name empty", anyPath, typ, credentials("", pass), badName},
		{"password missing", anyPath, typ, `{"username":"ilmer"}`, badPassword},
		{"password empty", anyPath, typ, credentials("ilmer", ""), badPassword},
		{"password null", anyPath, typ, `{"username":"ilmer","password":null}`, badPassword},
		{"password a number", anyPath, typ, `{"username":"ilmer","password":12345678}`, badPassword},
		{"password an object", anyPath, typ, `{"username":"ilmer","password":{"$gt":""}}`, badPassword},

		{"name of 65", onRegister, typ, credentials(long, pass), badName},
		{"name with a space", onRegister, typ, credentials("two words", pass), badName},
		{"name with NUL", onRegister, typ, credentials("il\x00mer", pass), badName},
		{"name that turns around", onRegister, typ, credentials("il\u202emer", pass), badName},
		{"name with half a surrogate pair", onRegister, typ, `{"username":"il\ud800mer","password":"` + pass + `"}`, badName},
		{"password of 7", onRegister, typ, credentials("ilmer", "1234567"), badPassword},
		{"password of 1025 bytes", onRegister, typ, credentials("ilmer", strings.Repeat("x", 1025)), badPassword},
		{"password with a line break", onRegister, typ, credentials("ilmer", "correct\nhorse"), badPassword},
		{"password with half a surrogate pair", onRegister, typ, `{"username":"ilmer","password":"correct \ud800 horse"}`, badPassword},
		{"password is the name", onRegister, typ, credentials("ilmer-the-first", "ilmer-the-first"), badPassword},
		{"password is the name in other letters", onRegister, typ, credentials("Ilmer-The-First", "ｉLMER-the-first"), badPassword},
		{"both bad", onRegister, typ, credentials("two words", "x"), badName},
		{"name of 65 signs in", onLogin, typ, credentials(long, pass), result{401, "wrong_credentials", ""}},
	} {
		for path := range strings.FieldsSeq(test.paths) {
			t.Run(test.name+path, func(t *testing.T) {
				hasher := password.New()
				s := serveAccounts(t, func(c *medicine.Config) { c.Passwords = hasher })
				v := s.visitor(t)
				r := v.do("POST", path, test.body, "Content-Type", test.typ)
				r.wantField(t, "POST "+path, test.want.status, test.want.code, test.want.field)
				if v.cookie != "" || s.sessions(t) != 0 {
					t.Errorf("POST %s begins a session", path)
				}
				if len(r.body) > 400 || strings.Contains(r.body, pass) {
					t.Errorf("POST %s = %s; want an answer that quotes nothing", path, head(r.body))
				}
				if n := hasher.Count(); n != 0 && test.want.status != 401 {
					t.Errorf("POST %s computes %d hashes; want none", path, n)
				}
			})
		}
	}
}

func TestEncodedCredentials(t *testing.T) {
	s := serveAccounts(t, nil)
	for _, path := range []string{"/login", "/register"} {
		s.visitor(t).post(path, credentials("ilmer", pass), "Content-Encoding", "gzip").wantError(t, "POST "+path, 415, "encoded")
	}
}

func TestUnusualCredentials(t *testing.T) {
	s := serveAccounts(t, nil)
	for name, body := range map[string]string{
		"escaped":         `{"\u0075sername":"\u0069lmer","password":"correct horse battery"}`,
		"spaces":          " {\n\"username\" : \"ilmer\" , \"password\" : \"correct horse battery\" }\r\n",
		"unknown members": `{"remember":true,"username":"ilmer","password":"correct horse battery","x":{"username":"homer"}}`,
		"other space":     "{\"username\":\"ilmer\",\"password\":\"correct\u00a0horse battery\"}",
	} {
		v := s.visitor(t)
		r := v.post("/register", strings.Replace(body, "lmer", "lmer-"+strings.ReplaceAll(name, " ", "-"), 1))
		if r.status != 201 {
			t.Errorf("%s: POST /register = %d %s; want 201", name, r.status, r.body)
		}
		v.wantUser("ilmer-" + strings.ReplaceAll(name, " ", "-"))
	}
	v := s.visitor(t)
	longest := strings.Repeat("ж", 512)
	if r := v.post("/register", credentials(strings.Repeat("名", 64), longest), "Content-Type", "application/json; charset=UTF-8"); r.status != 201 {
		t.Errorf("register with the longest name and password = %d %s; want 201", r.status, head(r.body))
	}
	if r := v.post("/login", credentials(strings.Repeat("名", 64), longest)); r.status != 200 {
		t.Errorf("sign in with the longest name and password = %d %s; want 200", r.status, head(r.body))
	}
	// Nothing is cut off.
	v.post("/login", credentials(strings.Repeat("名", 64), longest[:len(longest)-2])).wantError(t, "all of the password but its end", 401, "wrong_credentials")
}

func TestNext(t *testing.T) {
	s := serveAccounts(t, nil)
	s.visitor(t).register("ilmer")
	for i, test := range []struct{ next, want string }{
		{`"/devices"`, "/devices"},
		{`"/pharmacy?a=1"`, "/pharmacy?a=1"},
		{`"//evil.example"`, "/dashboard"},
		{`"https://evil.example"`, "/dashboard"},
		{`"/\\evil.example"`, "/dashboard"},
		{`""`, "/dashboard"},
		{`null`, "/dashboard"},
		{`5`, "/dashboard"},
		{`["/devices"]`, "/dashboard"},
	} {
		with := func(name string) string {
			return `{"username":"` + name + `","password":"` + pass + `","next":` + test.next + `}`
		}
		s.visitor(t).post("/login", with("ilmer")).
			want(t, "sign in with next "+test.next, 200, `{"data":{"username":"ilmer","next":"`+test.want+`"}}`)
		name := fmt.Sprint("visitor", i)
		s.visitor(t).post("/register", with(name)).
			want(t, "register with next "+test.next, 201, `{"data":{"username":"`+name+`","next":"`+test.want+`"}}`)
	}
}

// A page of another site signs nobody in, or out.
func TestForeignSignIn(t *testing.T) {
	s := serveAccounts(t, nil)
	v := s.visitor(t)
	v.register("ilmer")
	before := v.cookie
	for _, path := range []string{"/login", "/register", "/logout", "/session"} {
		r := v.post(path, credentials("homer", pass), "Origin", foreignOrigin, "Sec-Fetch-Site", "same-site")
		if r.status != 403 || r.header["Set-Cookie"] != nil || r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("POST %s from %s = %d, cookie %q; want 403", path, foreignOrigin, r.status, r.header["Set-Cookie"])
		}
	}
	if v.cookie != before {
		t.Error("a foreign page changes the cookie")
	}
	v.wantUser("ilmer")
	// One that is trusted may.
	if r := v.post("/logout", "", "Origin", trustedOrigin, "Sec-Fetch-Site", "same-site"); r.status != 200 {
		t.Errorf("POST /logout from %s = %d %s; want 200", trustedOrigin, r.status, r.body)
	}
}

// Whatever is sent to sign in is answered by JSON with a status of 200 to 499, and
// without a session unless it is right.
func FuzzCredentials(f *testing.F) {
	for _, body := range []string{
		"", "null", "{}", credentials("ilmer", pass), credentials("", ""), `{"username":5}`, `{"username":"a","username":"b"}`,
		`{"username":"ilmer","password":"x","next":"//evil"}`, `{"username":"\ud800"}`, "{\"username\":\"\xff\"}", `{"a":[{"b":null}],"username":"x"}`,
	} {
		f.Add(body)
	}
	store := memstore.New(memstore.Options{})
	f.Cleanup(func() { store.Close() })
	f.Fuzz(func(t *testing.T, body string) {
		app, err := medicine.New(medicine.Config{Session: session.Config{
			Store: store, Secrets: []string{secret}, Logger: slog.New(slog.DiscardHandler),
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer app.Close()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/login", bytes.NewReader([]byte(body)))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		app.Handler().ServeHTTP(w, r)
		var e struct {
			Error struct{ Code, Message, Field string }
		}
		if err := strictJSON(w.Body.String(), &e); err != nil || w.Code < 400 || w.Code > 499 || e.Error.Code == "" || e.Error.Message == "" {
			t.Fatalf("POST of %q = %d %s, %v; want an error in JSON", body, w.Code, w.Body, err)
		}
		if w.Header()["Set-Cookie"] != nil {
			t.Errorf("POST of %q sets a cookie", body)
		}
		// With one member twice nobody knows who it is.
		var c struct{ Username, Password json.RawMessage }
		if e.Error.Code == "wrong_credentials" && (json.Unmarshal([]byte(body), &c) != nil || c.Username == nil || c.Password == nil) {
			t.Errorf("POST of %q = %s; want that it cannot be read", body, w.Body)
		}
	})
}
