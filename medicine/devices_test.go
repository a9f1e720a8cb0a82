package medicine_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/internal/storeurl"
	"github.com/pillboxgo/pillbox/medicine"
	"github.com/pillboxgo/pillbox/medicine/users"
	"github.com/pillboxgo/pillbox/session"
)

type sessionInList struct {
	PublicID  string    `json:"publicId"`
	Current   bool      `json:"current"`
	Browser   string    `json:"browser"`
	System    string    `json:"system"`
	Address   string    `json:"address"`
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
}

func (b *plainBrowser) sessions() []sessionInList {
	b.t.Helper()
	d := b.send("GET", "/sessions", nil, "Accept", "application/json")
	var list struct {
		Data []sessionInList `json:"data"`
	}
	if err := strictJSON(d.body, &list); err != nil || d.status != 200 {
		b.t.Fatalf("GET /sessions = %d %s (%v)", d.status, d.body, err)
	}
	return list.Data
}

// wantJSON checks a status and a whole body.
func (d document) wantJSON(status int, body string) {
	d.t.Helper()
	if d.status != status || d.body != body {
		d.t.Errorf("%s = %d %s; want %d %s", d.path, d.status, head(d.body), status, body)
	}
}

// wantCode checks a status and the code of an error.
func (d document) wantCode(status int, code string) {
	d.t.Helper()
	var got struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(d.body), &got); err != nil || d.status != status || got.Error.Code != code || got.Error.Message == "" {
		d.t.Errorf("%s = %d %s; want %d with the code %s", d.path, d.status, head(d.body), status, code)
	}
}

func TestOwnSessions(t *testing.T) {
	url := servePlain(t, nil, trustLoopback)
	one, two, other := browsePlain(t, url), browsePlain(t, url), browsePlain(t, url)
	one.address, two.address = "203.0.113.7", "2001:db8::7"
	two.agent = "<script>alert(1)</script>"
	start := time.Now().Add(-time.Second)
	one.signUp("Ilmer", goodPassword)
	two.signIn("Ilmer", goodPassword)
	other.signUp("Homer", goodPassword)

	for _, b := range []*plainBrowser{one, two} {
		list := b.sessions()
		if len(list) != 2 || !list[0].Current || list[1].Current || list[0].PublicID == list[1].PublicID {
			t.Fatalf("the list is %+v; want the own session first, and the other", list)
		}
		for _, s := range list {
			want := "Chromium 156 Linux 203.0.113.7"
			if s.Current == (b == two) {
				want = "an unknown browser an unknown system 2001:db8::7"
			}
			if got := s.Browser + " " + s.System + " " + s.Address; got != want {
				t.Errorf("a session is that of %s; want %s", got, want)
			}
			if s.FirstSeen.Before(start) || s.LastSeen.Before(start) || s.FirstSeen.After(time.Now()) || s.LastSeen.After(time.Now()) {
				t.Errorf("a session was seen from %v to %v; want today", s.FirstSeen, s.LastSeen)
			}
			for _, b := range []*plainBrowser{one, two, other} {
				if cookie := strings.TrimPrefix(b.cookie, cookieName+"=s%3A"); strings.Contains(fmt.Sprint(list), cookie[:20]) {
					t.Error("the list holds a session's id")
				}
			}
		}
	}

	// Nobody ends what belongs to somebody else.
	foreign := other.sessions()[0].PublicID
	for _, id := range []string{foreign, "junk", "%00", "..%2f..", strings.Repeat("A", 100_000), foreign + "x", "%ff"} {
		d := one.send("DELETE", "/sessions/"+id, nil)
		d.path = "DELETE of " + head(id)
		d.wantCode(404, "no_such_session")
	}
	if other.send("GET", "/me", nil).status != 200 {
		t.Error("another user's session was ended")
	}
	one.send("DELETE", "/sessions/"+one.sessions()[1].PublicID, nil).wantJSON(200, `{"data":{"ended":1}}`)
	two.send("GET", "/me", nil).wantCode(401, "signed_out")

	two.signIn("Ilmer", goodPassword)
	browsePlain(t, url).signIn("Ilmer", goodPassword)
	one.send("DELETE", "/sessions", nil).wantJSON(200, `{"data":{"ended":2}}`)
	two.send("GET", "/me", nil).wantCode(401, "signed_out")
	one.send("DELETE", "/sessions", nil).wantJSON(200, `{"data":{"ended":0}}`)

	d := one.send("DELETE", "/sessions/"+one.sessions()[0].PublicID, nil)
	d.wantJSON(200, `{"data":{"ended":1}}`)
	if one.cookie != "" {
		t.Error("after the own session was ended its cookie is still there")
	}
	for _, request := range []string{"GET /sessions", "DELETE /sessions", "DELETE /sessions/" + foreign} {
		method, path, _ := strings.Cut(request, " ")
		one.send(method, path, nil).wantCode(401, "signed_out")
	}
	if d := one.send("PUT", "/sessions", nil); d.status != 405 || d.header.Get("Allow") != "GET, HEAD, DELETE" {
		t.Errorf("PUT /sessions = %d, Allow %q; want 405", d.status, d.header.Get("Allow"))
	}
}

// A look at the list is no use of the sessions in it, and keeps none alive.
func TestListUsesNoSession(t *testing.T) {
	url := servePlain(t, nil, func(c *medicine.Config) { c.Session.TouchEvery = time.Millisecond })
	one, two := browsePlain(t, url), browsePlain(t, url)
	one.signUp("Ilmer", goodPassword)
	two.signIn("Ilmer", goodPassword)
	before := one.sessions()
	time.Sleep(20 * time.Millisecond)
	one.open("/devices")
	after := one.sessions()
	if !after[1].LastSeen.Equal(before[1].LastSeen) {
		t.Errorf("the other session was last used at %v before a look at the list, and at %v after it", before[1].LastSeen, after[1].LastSeen)
	}
	if !after[0].LastSeen.After(before[0].LastSeen) {
		t.Error("the session that looks is not used by it")
	}
}

// Sessions that were signed in to elsewhere, by an Express application for one,
// say nothing of their device, or anything at all.
func TestSessionsWithoutADevice(t *testing.T) {
	for name, device := range map[string]string{
		"none":      ``,
		"null":      `"device":null,`,
		"a text":    `"device":"<b>",`,
		"hostile":   `"device":{"agent":"<b>\u0000","address":"<b>","firstSeen":"9999-12-31T23:59:59-12:00"},`,
		"with zone": `"device":{"agent":"","address":"fe80::1%<b>","firstSeen":"2300-01-01T00:00:00Z"},`,
	} {
		t.Run(name, func(t *testing.T) {
			store := &rewritten{device: device}
			b := browsePlain(t, servePlain(t, openStore(t, "memory:", store)))
			b.signUp("Ilmer", goodPassword)
			store.on.Store(true)
			list := b.sessions()
			if len(list) != 1 || list[0].Browser != "an unknown browser" || list[0].System != "an unknown system" || list[0].Address != "" && list[0].Address != "fe80::1" || list[0].FirstSeen.After(time.Now()) {
				t.Errorf("the list is %+v; want one session that is unknown", list)
			}
			if d := b.open("/devices"); !strings.Contains(d.textOf("devices"), "an unknown browser on an unknown system") || strings.Contains(d.body, "<b>") {
				t.Errorf("the page shows %s", d.textOf("devices"))
			}
		})
	}
}

// A store that does not know whose a session is cannot list a user's.
func TestSessionsWithoutAnIndex(t *testing.T) {
	inner := openStore(t, "memory:", nil)
	b := browsePlain(t, servePlain(t, struct{ session.Store }{inner}))
	b.signUp("Ilmer", goodPassword)
	b.send("GET", "/sessions", nil).wantCode(501, "not_implemented")
	b.send("DELETE", "/sessions", nil).wantCode(501, "not_implemented")
	if d := b.open("/devices"); d.status != 200 || !strings.Contains(d.textOf("trouble"), "cannot list") {
		t.Errorf("GET /devices = %d %s; want 200 and a sentence", d.status, d.text())
	}
	if d := b.post("/devices", "others=1"); d.status != 501 || !strings.Contains(d.textOf("notice"), "cannot list") {
		t.Errorf("POST /devices = %d %s; want 501 and a sentence", d.status, d.text())
	}
}

func TestDevicesForm(t *testing.T) {
	b := browsePlain(t, servePlain(t, nil))
	for _, form := range []string{"others=1", "session=x", ""} {
		if d := b.post("/devices", form); d.path != "/login?next=/devices" {
			t.Errorf("signed out, the form %q leads to %s; want /login?next=/devices", form, d.path)
		}
	}
	b.signUp("Ilmer", goodPassword)
	for form, want := range map[string]string{
		"":                                     "You have no such session.",
		"session=":                             "You have no such session.",
		"session=junk":                         "You have no such session.",
		"session=%3Cb%3E":                      "You have no such session.",
		"session=a&session=b":                  "The session came 2 times in one form.",
		"session=%FF":                          "The session is not text in UTF-8.",
		"session=a%00":                         "(NUL)",
		"session=" + strings.Repeat("A", 9000): "You have no such session.",
		"others=1":                             "0 other sessions were ended.",
	} {
		if d := b.post("/devices", form); d.path != "/devices" || !strings.Contains(d.textOf("notice"), want) || len(elements(d.byID("devices"), "li")) != 1 {
			t.Errorf("the form %s leads to %s and says %q; want %q", head(form), d.path, d.textOf("notice"), want)
		}
	}
}

func trustLoopback(c *medicine.Config) { c.Session.TrustedProxies = []string{"127.0.0.1", "::1"} }

// openStore opens a store by its URL. over, if not nil, is put over it.
func openStore(t *testing.T, url string, over *rewritten) session.Store {
	t.Helper()
	store, err := storeurl.Open(t.Context(), url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if over == nil {
		return store.Store
	}
	over.indexed = store.Store.(indexed)
	return over
}

// Whoever ends all other sessions has ended those, too, that somebody was just
// signing in to: their passwords had been sent, and some of them checked.
func TestEndingAllOthersBeatsSignInsUnderWay(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) session.Store{
		"SQLite": func(t *testing.T) session.Store {
			return openStore(t, "sqlite:"+filepath.Join(t.TempDir(), "sessions.db"), nil)
		},
		"Redis": func(t *testing.T) session.Store {
			return openStore(t, servers.Start(t, servers.Redis7).URL, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			const racers, finished = 50, 20
			table := &watchedTable{Table: new(users.Memory), arrived: make(chan struct{}, 2*racers)}
			url := servePlain(t, open(t), trustLoopback, func(c *medicine.Config) {
				c.Users, c.Session.MaxPerUser = table, 1000
			})
			caller := browsePlain(t, url)
			caller.signUp("Ilmer", goodPassword)
			table.release = make(chan struct{})

			type result struct {
				cookie string
				status int
			}
			results := make(chan result, racers)
			for i := range racers {
				go func() {
					var r result
					defer func() { results <- r }() // even where send gives up
					b := browsePlain(t, url)
					b.address = fmt.Sprintf("203.0.113.%d", i+1) // or too many come from one
					r.status = b.send("POST", "/login", strings.NewReader("username=Ilmer&password="+escape(goodPassword)), "Content-Type", "application/x-www-form-urlencoded").status
					r.cookie = b.cookie
				}()
			}
			for range racers {
				<-table.arrived // its request came before the one that ends them
			}
			close(table.release)
			var all []result
			for range finished {
				all = append(all, <-results)
			}
			d := caller.send("DELETE", "/sessions", nil)
			if d.status != http.StatusOK {
				t.Fatalf("DELETE /sessions = %d %s", d.status, d.body)
			}
			for len(all) < racers {
				all = append(all, <-results)
			}
			in := 0
			for _, r := range all {
				if r.status == http.StatusSeeOther {
					in++
				} else if r.status != http.StatusConflict {
					t.Errorf("a sign-in = %d; want 303, or 409 if it came too late", r.status)
				}
				b := browsePlain(t, url)
				b.cookie = r.cookie
				if d := b.send("GET", "/me", nil); d.status != http.StatusUnauthorized {
					t.Errorf("a session from before = %d; want 401", d.status)
				}
			}
			t.Logf("%d sign-ins were done before, %d came too late", in, racers-in)
			if in < finished {
				t.Errorf("%d sign-ins were done; want %d at least", in, finished)
			}
			if d := caller.send("GET", "/me", nil); d.status != http.StatusOK {
				t.Errorf("the caller's own session = %d; want 200", d.status)
			}
			if list := caller.sessions(); len(list) != 1 || !list[0].Current {
				t.Errorf("the list has %d sessions; want the caller's", len(list))
			}
			if d := browsePlain(t, url).signIn("Ilmer", goodPassword); d.path != "/dashboard" {
				t.Errorf("a sign-in afterwards leads to %s; want /dashboard", d.path)
			}
		})
	}
}
