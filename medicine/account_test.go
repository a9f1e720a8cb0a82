package medicine_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/pillboxgo/pillbox/medicine"
	"github.com/pillboxgo/pillbox/medicine/password"
	"github.com/pillboxgo/pillbox/medicine/users"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

const pass = "correct horse battery"

// serveAccounts serves the application on a store that knows whose a session is,
// with a configuration that change has changed.
func serveAccounts(t *testing.T, change func(*medicine.Config)) *server {
	t.Helper()
	s, _ := serveApp(t, change)
	return s
}

func serveApp(t *testing.T, change func(*medicine.Config)) (*server, *medicine.App) {
	t.Helper()
	store := memstore.New(memstore.Options{})
	t.Cleanup(func() { store.Close() })
	config := medicine.Config{
		Session: session.Config{
			Store:   store,
			Secrets: []string{secret},
			Logger:  slog.New(slog.NewTextHandler(t.Output(), nil)),
		},
		Origins:   []string{trustedOrigin},
		StoreName: "memory",
	}
	if change != nil {
		change(&config)
	}
	app, err := medicine.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(app.Close)
	s := httptest.NewServer(app.Handler())
	t.Cleanup(s.Close)
	return &server{s, &faultyStore{Store: store, count: store.Count}}, app
}

func credentials(name, pass string) string {
	body, err := json.Marshal(map[string]string{"username": name, "password": pass})
	if err != nil {
		panic(err)
	}
	return string(body)
}

func (v *visitor) post(path, body string, headers ...string) reply {
	v.t.Helper()
	return v.do("POST", path, body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// register makes an account and signs the visitor in to it.
func (v *visitor) register(name string) {
	v.t.Helper()
	v.post("/register", credentials(name, pass)).
		want(v.t, "register "+name, 201, `{"data":{"username":"`+name+`","next":"/dashboard"}}`)
}

// wantUser checks who the server takes the visitor for, "" for nobody.
func (v *visitor) wantUser(name string) {
	v.t.Helper()
	r := v.do("GET", "/me", "")
	if name == "" {
		r.wantError(v.t, "GET /me of nobody", 401, "signed_out")
		return
	}
	if r.status != 200 || !strings.HasPrefix(r.body, `{"data":{"username":"`+name+`","signedInAt":"2`) {
		v.t.Errorf("GET /me = %d %s; want 200 for %s", r.status, r.body, name)
	}
}

func (v *visitor) wantPills(body string) {
	v.t.Helper()
	v.do("GET", "/pills", "").want(v.t, "GET /pills", 200, `{"data":`+body+`}`)
}

func TestRegisterSignOutSignIn(t *testing.T) {
	s := serveAccounts(t, nil)
	v := s.visitor(t)
	v.wantUser("")
	v.post("/logout", "").want(t, "POST /logout of nobody", 200, `{"data":{}}`)
	if v.cookie != "" {
		t.Errorf("signing nobody out sets the cookie %q", v.cookie)
	}
	v.register("Ilmer")
	v.wantUser("Ilmer")
	v.post("/logout", "{}").want(t, "POST /logout", 200, `{"data":{}}`)
	v.wantUser("")
	if n := s.sessions(t); n != 0 {
		t.Errorf("%d sessions are stored after signing out; want 0", n)
	}
	for _, name := range []string{"Ilmer", "ilmer", "ILMER", "Ｉｌｍｅｒ"} {
		other := s.visitor(t)
		other.post("/login", credentials(name, pass)).want(t, "sign in as "+name, 200, `{"data":{"username":"Ilmer","next":"/dashboard"}}`)
		other.wantUser("Ilmer")
	}
	other := s.visitor(t)
	r := other.post("/register", credentials("ilmer", pass))
	r.wantField(t, "register a name that is taken", 409, "username_taken", "username")
	other.wantUser("")
}

// wantField checks that a reply is an error that names the input at fault.
func (r reply) wantField(t *testing.T, what string, status int, code, field string) {
	t.Helper()
	r.wantError(t, what, status, code)
	var got struct{ Error struct{ Field string } }
	if err := json.Unmarshal([]byte(r.body), &got); err != nil || got.Error.Field != field {
		t.Errorf("%s = %s; want the field %q", what, head(r.body), field)
	}
}

// What the server says of the signed-in session.
func TestSessionCardOfAUser(t *testing.T) {
	s := serveAccounts(t, nil)
	v := s.visitor(t)
	before := time.Now().Add(-time.Second)
	v.register("Zoë")
	var card struct {
		Data struct {
			User        string
			IdleTimeout int64
		}
	}
	r := v.do("GET", "/session", "")
	if err := json.Unmarshal([]byte(r.body), &card); err != nil || card.Data.User != "Zoë" || card.Data.IdleTimeout != 1_800_000 {
		t.Errorf("GET /session = %s, %v; want the user Zoë and 30 minutes in milliseconds", r.body, err)
	}
	var me struct {
		Data struct{ SignedInAt time.Time }
	}
	r = v.do("GET", "/me", "")
	if err := json.Unmarshal([]byte(r.body), &me); err != nil || me.Data.SignedInAt.Before(before) || time.Until(me.Data.SignedInAt) > 0 {
		t.Errorf("GET /me = %s, %v; want when this began", r.body, err)
	}
	if !strings.Contains(r.body, `Z"`) {
		t.Errorf("GET /me = %s; want the time in UTC", r.body)
	}
}

func TestStay(t *testing.T) {
	s := serveAccounts(t, func(c *medicine.Config) { c.Session.TouchEvery = 10 * time.Minute })
	v := s.visitor(t)
	v.post("/session", "").want(t, "stay without a session", 200, `{"data":{"live":false}}`)
	if v.cookie != "" || s.sessions(t) != 0 {
		t.Error("to stay begins a session")
	}
	v.add(`{"name":"Ibuprofen"}`)
	deadline := func(r reply) time.Time {
		t.Helper()
		var card struct {
			Data struct {
				Live         bool
				IdleDeadline time.Time
			}
		}
		if err := json.Unmarshal([]byte(r.body), &card); err != nil || r.status != 200 || !card.Data.Live {
			t.Fatalf("the card of a session = %d %s, %v", r.status, r.body, err)
		}
		return card.Data.IdleDeadline
	}
	first := deadline(v.do("GET", "/session", ""))
	time.Sleep(5 * time.Millisecond) // deadlines are whole milliseconds
	if again := deadline(v.do("GET", "/session", "")); !again.Equal(first) {
		t.Fatalf("GET /session moves the deadline from %v to %v within TouchEvery", first, again)
	}
	stayed := deadline(v.post("/session", ""))
	if !stayed.After(first) {
		t.Errorf("POST /session: the deadline is %v; want it after %v", stayed, first)
	}
	if now := deadline(v.do("GET", "/session", "")); !now.Equal(stayed) {
		t.Errorf("the deadline that is stored is %v; want %v as POST /session says", now, stayed)
	}
	v.wantPills(`[{"name":"Ibuprofen"}]`)
}

// Session fixation: whoever knows the id from before the sign-in has nothing.
func TestOldIDIsRefusedInTheNextRequest(t *testing.T) {
	for _, path := range []string{"/register", "/login"} {
		t.Run(path, func(t *testing.T) {
			s := serveAccounts(t, nil)
			if path == "/login" {
				s.visitor(t).register("ilmer")
			}
			v := s.visitor(t)
			v.add(`{"name":"mine"}`)
			attacker := &visitor{t: t, server: s, cookie: v.cookie}
			attacker.wantPills(`[{"name":"mine"}]`)
			if r := v.post(path, credentials("ilmer", pass)); r.status >= 300 {
				t.Fatalf("POST %s = %d %s", path, r.status, r.body)
			}
			if v.cookie == attacker.cookie {
				t.Error("the id is the same after signing in")
			}
			old := attacker.cookie
			attacker.wantUser("")
			attacker.wantPills(`[]`)
			attacker.cookie = old
			attacker.do("GET", "/session", "").want(t, "GET /session with the old id", 200, `{"data":{"live":false}}`)
			v.wantUser("ilmer")
			v.wantPills(`[{"name":"mine"}]`)
		})
	}
}

func TestAnotherUserBeginsEmpty(t *testing.T) {
	s := serveAccounts(t, nil)
	v := s.visitor(t)
	v.register("ilmer")
	v.add(`{"name":"of ilmer"}`)
	for _, path := range []string{"/register", "/login"} {
		if path == "/login" {
			v.post("/login", credentials("ilmer", pass))
			v.wantPills("[]")
			v.add(`{"name":"of ilmer"}`)
		}
		first := *v
		v.post(path, credentials("homer", pass))
		v.wantUser("homer")
		v.wantPills("[]")
		first.wantUser("") // the session of before has ended
	}
	v.add(`{"name":"of homer"}`)
	v.post("/login", credentials("homer", pass))
	v.wantPills(`[{"name":"of homer"}]`) // the same user again
}

// Every answer to a sign-in comes after its session is stored.
func TestSignedInOnArrival(t *testing.T) {
	slow := &slowStore{Store: memstore.New(memstore.Options{})}
	t.Cleanup(func() { slow.Store.(*memstore.Store).Close() })
	s := serveAccounts(t, func(c *medicine.Config) { c.Session.Store = slow })
	s.visitor(t).register("ilmer")
	slow.by.Store(int64(50 * time.Millisecond))
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			v := s.visitor(t)
			path, name := "/login", "ilmer"
			if i%2 == 1 {
				path, name = "/register", fmt.Sprint("visitor", i)
			}
			if r := v.post(path, credentials(name, pass)); r.status >= 300 {
				t.Errorf("POST %s = %d %s", path, r.status, r.body)
			}
			v.wantUser(name)
		})
	}
	wg.Wait()
}

func TestOldestSessionEnds(t *testing.T) {
	s := serveAccounts(t, nil)
	first := s.visitor(t)
	first.register("ilmer")
	var rest []*visitor
	for range 19 {
		v := s.visitor(t)
		v.post("/login", credentials("ilmer", pass))
		rest = append(rest, v)
	}
	first.wantUser("ilmer")
	last := s.visitor(t)
	last.post("/login", credentials("ilmer", pass))
	first.wantUser("")
	rest[0].wantUser("ilmer")
	last.wantUser("ilmer")
	if n := s.sessions(t); n != 20 {
		t.Errorf("%d sessions are stored; want 20", n)
	}
}

// Nobody learns by the answer whether there is an account, nor by the work.
func TestUnknownAccountAndWrongPasswordAreTheSame(t *testing.T) {
	hasher := password.New()
	s := serveAccounts(t, func(c *medicine.Config) { c.Passwords = hasher })
	s.visitor(t).register("ilmer")
	answers := make(map[string]string)
	for _, test := range []struct{ name, username, password string }{
		{"wrong password", "ilmer", "wrong horse battery"},
		{"unknown account", "homer", pass},
		{"password too short to be one", "ilmer", "x"},
		{"password with control characters", "homer", "wrong\x00horse"},
		{"password too long to be one", "ilmer", strings.Repeat("x", 1025)},
		{"name that is none", "two words", pass},
		{"name that is too long", strings.Repeat("x", 65), pass},
	} {
		before := hasher.Count()
		v := s.visitor(t)
		r := v.post("/login", credentials(test.username, test.password))
		r.wantField(t, test.name, 401, "wrong_credentials", "")
		if n := hasher.Count() - before; n != 1 {
			t.Errorf("%s: %d hashes; want 1", test.name, n)
		}
		if v.cookie != "" {
			t.Errorf("%s sets the cookie %q", test.name, v.cookie)
		}
		r.header.Del("Date")
		answers[fmt.Sprint(r.status, r.header, r.body)] = test.name
	}
	if len(answers) != 1 {
		t.Errorf("the answers differ: %q", answers)
	}
}

// A hash that was made at a lower cost is made anew, and one that cannot be
// checked lets nobody in and shows nothing.
func TestHashesInTheTable(t *testing.T) {
	var table users.Memory
	hasher := password.New()
	var log bytes.Buffer
	s := serveAccounts(t, func(c *medicine.Config) {
		c.Users, c.Passwords = &table, hasher
		c.Session.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	salt := []byte("0123456789abcdef")
	b64 := base64.RawStdEncoding.EncodeToString
	cheap := "$argon2id$v=19$m=8192,t=1,p=1$" + b64(salt) + "$" + b64(argon2.IDKey([]byte(pass), salt, 1, 8192, 1, 32))
	made, err := table.Create(t.Context(), "cheap", cheap)
	if err != nil {
		t.Fatal(err)
	}
	s.visitor(t).post("/login", credentials("cheap", "wrong "+pass)).wantError(t, "a wrong password", 401, "wrong_credentials")
	if u, _ := table.ByID(t.Context(), made.ID); u.Hash != cheap {
		t.Errorf("a wrong password changes the hash to %s", u.Hash)
	}
	for range 2 {
		if r := s.visitor(t).post("/login", credentials("cheap", pass)); r.status != 200 {
			t.Errorf("sign in with a cheap hash = %d %s; want 200", r.status, r.body)
		}
		if u, _ := table.ByID(t.Context(), made.ID); !strings.HasPrefix(u.Hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Errorf("the hash is %.35s… after signing in; want it at the cost of today", u.Hash)
		}
	}
	if _, err := table.Create(t.Context(), "broken", "$2b$12$x"); err != nil {
		t.Fatal(err)
	}
	before := hasher.Count()
	s.visitor(t).post("/login", credentials("broken", pass)).wantError(t, "sign in with a broken hash", 401, "wrong_credentials")
	if n := hasher.Count() - before; n != 1 {
		t.Errorf("a broken hash costs %d hashes; want 1 as any other", n)
	}
	if !strings.Contains(log.String(), "hash of a password") || strings.Contains(log.String(), "broken") || strings.Contains(log.String(), "$2b$") {
		t.Errorf("the log says %q; want that a hash is broken, without name and hash", &log)
	}
}

func TestDevice(t *testing.T) {
	s, app := serveApp(t, trustingProxy)
	v := s.visitor(t)
	agent := "Mozilla/5.0 " + strings.Repeat("é", 300)
	v.post("/register", credentials("ilmer", pass), "User-Agent", agent, "X-Forwarded-For", "10.9.9.9, 203.0.113.7")
	type device struct {
		Agent, Address string
		FirstSeen      time.Time
	}
	read := func() device {
		t.Helper()
		r := v.do("GET", "/session", "")
		var card struct{ Data struct{ PublicID string } }
		if err := json.Unmarshal([]byte(r.body), &card); err != nil {
			t.Fatal(err)
		}
		opened, err := app.Sessions().Open(t.Context(), card.Data.PublicID)
		if err != nil {
			t.Fatal(err)
		}
		d, err := session.Key[device]("device").Get(opened)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := read()
	if d.Address != "203.0.113.7" || time.Since(d.FirstSeen) > time.Minute || time.Since(d.FirstSeen) < 0 {
		t.Errorf("the device is %+v; want the address 203.0.113.7 and now", d)
	}
	if len(d.Agent) > 400 || len(d.Agent) < 397 || !strings.HasPrefix(agent, d.Agent) {
		t.Errorf("the agent is %d bytes %q; want the first 400 without half a letter", len(d.Agent), head(d.Agent))
	}
	time.Sleep(2 * time.Millisecond)
	v.post("/login", credentials("ilmer", pass), "User-Agent", "curl", "X-Forwarded-For", "2001:db8::1")
	if again := read(); again.Agent != "curl" || again.Address != "2001:db8::1" || !again.FirstSeen.Equal(d.FirstSeen) {
		t.Errorf("after another sign-in on it the device is %+v; want its new address and when it was first seen, %v", again, d.FirstSeen)
	}
}

// The log of a server on which everything happens and fails has no password, no
// id and no name.
func TestLogsKeepSecrets(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	var table users.Memory
	failing := &failingTable{Table: &table}
	s := serveAccounts(t, func(c *medicine.Config) {
		c.Users = failing
		c.Session.Logger = slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return log.Write(b)
		}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	v := s.visitor(t)
	v.register("ilmer")
	cookies := []string{v.cookie}
	v.post("/login", credentials("ilmer", pass))
	cookies = append(cookies, v.cookie)
	v.post("/login", credentials("ilmer", "wrong "+pass))
	failing.fail.Store(true)
	for _, path := range []string{"/login", "/register"} {
		r := v.post(path, credentials("ilmer", pass))
		r.wantError(t, "POST "+path+" without a database", 503, "accounts_unavailable")
		if strings.Contains(r.body, "hunter2") || r.header.Get("Retry-After") == "" {
			t.Errorf("POST %s = %s, Retry-After %q; want nothing of the error and when to try again", path, r.body, r.header.Get("Retry-After"))
		}
	}
	v.do("GET", "/me", "").wantError(t, "GET /me without a database", 503, "accounts_unavailable")
	v.post("/logout", "").want(t, "sign out without a database", 200, `{"data":{}}`)
	mu.Lock()
	defer mu.Unlock()
	said := log.String()
	if !strings.Contains(said, "accounts are not available") {
		t.Errorf("the log has nothing of the failure: %s", said)
	}
	secrets := []string{pass, "ilmer", "$argon2id"}
	for _, cookie := range cookies {
		_, value, _ := strings.Cut(cookie, "=s%3A")
		id, _, _ := strings.Cut(value, ".")
		if id == "" {
			t.Fatalf("no id in the cookie %q", cookie)
		}
		secrets = append(secrets, id)
	}
	for _, secret := range secrets {
		if strings.Contains(said, secret) {
			t.Errorf("the log has %q: %s", secret, said)
		}
	}
}
