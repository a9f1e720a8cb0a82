package medicine_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

const goodPassword = "a horse, a battery and a staple"

// From a first visit to signing out everywhere, with forms only.
func TestFormsFromSignUpToSignOut(t *testing.T) {
	url := servePlain(t, nil)
	one := browsePlain(t, url)

	d := one.submit(one.open("/pharmacy"), "fill-prescription", "name", "Vitamin C")
	if d.path != "/pharmacy" || d.textOf("notice") != "Vitamin C is in your tray." || !strings.Contains(d.textOf("pills"), "Vitamin C") {
		t.Errorf("after the first pill, %s says %q", d.path, d.text())
	}
	if d := one.open("/pharmacy"); d.textOf("notice") != "" {
		t.Errorf("the notice is shown a second time: %q", d.textOf("notice"))
	}
	before := one.cookie
	d = one.signUp("Ilmer", goodPassword)
	if one.cookie == before {
		t.Error("the cookie is the same after signing up")
	}
	if got := d.textOf("total"); got != "1" {
		t.Errorf("after signing up the tray has %q pills; want 1, from before", got)
	}

	two := browsePlain(t, url)
	two.agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:147.0) Gecko/20100101 Firefox/147.0"
	if d := two.signIn("ilmer", goodPassword); d.path != "/dashboard" || d.textOf("user") != "Ilmer" {
		t.Fatalf("signing in leads to %s: %s", d.path, d.text())
	}
	d = one.open("/devices")
	list := elements(d.byID("devices"), "li")
	if len(list) != 2 || !strings.Contains(textIn(list[0]), "Chromium 156 on Linux this one") || !strings.Contains(textIn(list[1]), "Firefox 147 on Windows") {
		t.Fatalf("the devices are %s; want this one and Firefox", d.textOf("devices"))
	}
	if strings.Contains(d.body, strings.TrimPrefix(two.cookie, cookieName+"=")[:24]) {
		t.Error("the page holds another session's cookie")
	}
	other := attribute(elements(list[1], "input")[0], "value")
	if d := one.post("/devices", "session="+other); d.path != "/devices" || d.textOf("notice") != "That session was ended." || len(elements(d.byID("devices"), "li")) != 1 {
		t.Errorf("ending the other leads to %s: %s", d.path, d.text())
	}
	if d := two.open("/dashboard"); d.path != "/login?next=/dashboard" {
		t.Errorf("the ended session is led to %s; want /login?next=/dashboard", d.path)
	}

	three := browsePlain(t, url)
	three.signIn("Ilmer", goodPassword)
	if d := one.submit(one.open("/devices"), "end-others"); d.textOf("notice") != "1 other session was ended." {
		t.Errorf("ending all others says %q", d.textOf("notice"))
	}
	if d := three.open("/devices"); d.path != "/login?next=/devices" {
		t.Errorf("the ended session is led to %s; want /login?next=/devices", d.path)
	}
	d = three.submit(three.open("/devices"), "sign-in", "username", "Ilmer", "password", goodPassword)
	if d.path != "/devices" {
		t.Errorf("signing in from there leads to %s; want back to /devices", d.path)
	}
	if d := three.submit(d, "end-this"); d.path != "/login?next=/devices" || three.cookie != "" {
		t.Errorf("ending the own session leads to %s with the cookie %t; want /login?next=/devices and none", d.path, three.cookie != "")
	}

	cookie := one.cookie
	if d := one.submit(one.open("/dashboard"), "sign-out"); d.path != "/" || one.cookie != "" {
		t.Errorf("signing out leads to %s with the cookie %t; want / and none", d.path, one.cookie != "")
	}
	one.cookie = cookie
	if d := one.open("/dashboard"); d.path != "/login?next=/dashboard" {
		t.Errorf("the cookie from before signing out leads to %s; want /login?next=/dashboard", d.path)
	}
}

func TestFormsOfTheTray(t *testing.T) {
	b := browsePlain(t, servePlain(t, nil))
	for _, name := range []string{"Ibuprofen", "Ibuprofen", "  Zoë's & Co <10 mg>  "} {
		b.submit(b.open("/pharmacy"), "fill-prescription", "name", name)
	}
	d := b.open("/pharmacy")
	if got := d.textOf("pills"); d.textOf("total") != "3" || !strings.Contains(got, "Ibuprofen ×, 2") || !strings.Contains(got, "Zoë's & Co <10 mg> ×, 1") {
		t.Errorf("the tray has %s: %s", d.textOf("total"), got)
	}
	list := b.send("GET", "/pills", nil, "Accept", "application/json")
	if want := `{"data":[{"name":"Ibuprofen"},{"name":"Ibuprofen"},{"name":"Zoë's & Co <10 mg>"}]}`; list.body != want {
		t.Errorf("GET /pills = %s; want %s", list.body, want)
	}
	if d := b.post("/pharmacy", "remove=Ibuprofen"); d.textOf("notice") != "One Ibuprofen was removed." || d.textOf("total") != "2" {
		t.Errorf("removing says %q and leaves %s", d.textOf("notice"), d.textOf("total"))
	}
	if d := b.post("/pharmacy", "remove=Unknown%3Cb%3E"); d.textOf("notice") != "There is no “Unknown<b>” in your tray." || d.textOf("total") != "2" {
		t.Errorf("removing an unknown medicine says %q and leaves %s", d.textOf("notice"), d.textOf("total"))
	}
	if d := b.submit(b.open("/pharmacy"), "empty"); d.textOf("notice") != "The tray is empty." || d.byID("pills") != nil {
		t.Errorf("emptying says %q: %s", d.textOf("notice"), d.text())
	}
}

// A script that starts after all finds what the server had to say, and nothing
// of the plain page shows.
func TestNoticeForTheScript(t *testing.T) {
	b := browsePlain(t, servePlain(t, nil))
	d := b.signIn(`</noscript><b>"ilmer`, "wrong password")
	root, err := html.Parse(strings.NewReader(d.body)) // as where scripts run
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Kind, Message, Field string
		Values               map[string]string
	}
	for _, e := range elements(root, "meta") {
		if attribute(e, "name") == "flash" {
			if err := json.Unmarshal([]byte(attribute(e, "content")), &got); err != nil {
				t.Error(err)
			}
		}
	}
	if got.Kind != "error" || got.Message != "User name and password do not match. Check both and try again." || got.Values["username"] != `</noscript><b>"ilmer` || len(got.Values) != 1 {
		t.Errorf("the script finds %+v", got)
	}
	if strings.Contains(d.body, "wrong password") {
		t.Error("the page holds the password")
	}
	if b := elements(root, "b"); len(b) > 0 || len(elements(root, "form")) > 0 {
		t.Error("something of the plain page shows where scripts run")
	}
	for _, e := range elements(root, "div") {
		if attribute(e, "id") == "app" && e.FirstChild != nil {
			t.Error("the script's own element is not empty")
		}
	}
	if again := b.open("/login"); strings.Contains(again.body, `name="flash"`) {
		t.Error("the notice is there a second time")
	}
}

// A page that is fetched in advance or by a script, or asked for by HEAD, takes no
// notice away.
func TestNoticeWaitsForItsReader(t *testing.T) {
	b := browsePlain(t, servePlain(t, nil))
	b.send("POST", "/pharmacy", strings.NewReader("name="), "Content-Type", "application/x-www-form-urlencoded")
	b.send("HEAD", "/pharmacy", nil)
	b.send("GET", "/pharmacy", nil, "Sec-Purpose", "prefetch;prerender")
	b.send("GET", "/pharmacy", nil, "Sec-Fetch-Dest", "empty")
	b.open("/login") // a page with notices of its own
	b.open("/pharmacy").wantProblem("name", "Write the name of a medicine.")
}

// Of forms whose page was never loaded the last one is answered for, so that
// whoever posts for ever fills no session.
func TestNoticesDoNotPileUp(t *testing.T) {
	b := browsePlain(t, servePlain(t, nil))
	for range 30 {
		b.send("POST", "/pharmacy", strings.NewReader("name="+strings.Repeat("x", 12<<10)), "Content-Type", "application/x-www-form-urlencoded")
	}
	var card struct{ Data struct{ Bytes int } }
	if err := json.Unmarshal([]byte(b.send("GET", "/session", nil).body), &card); err != nil || card.Data.Bytes > 20<<10 {
		t.Errorf("after 30 forms the session has %d bytes (%v); want those of one", card.Data.Bytes, err)
	}
}

func TestReturnTo(t *testing.T) {
	url := servePlain(t, nil)
	browsePlain(t, url).signUp("Ilmer", goodPassword)
	for next, want := range map[string]string{
		"/pharmacy":             "/pharmacy",
		"/devices?a=b&c=%3Cd":   "/devices?a=b&c=%3Cd",
		"":                      "/dashboard",
		"//evil.example":        "/dashboard",
		`/\evil.example`:        "/dashboard",
		"https://evil.example/": "/dashboard",
		"/\t/evil.example":      "/dashboard",
		"javascript:alert(1)":   "/dashboard",
		`"><script>alert(1)`:    "/dashboard",
	} {
		b := browsePlain(t, url)
		// By way of an error, which must not forget where to go.
		d := b.open("/login?next=" + escape(next))
		if strings.Contains(d.body, "evil.example") || strings.Contains(d.body, "alert(1)") {
			t.Errorf("next=%q is on the page", next)
		}
		d = b.submit(d, "sign-in", "username", "Ilmer", "password", "")
		d.wantProblem("password", "Enter your password.")
		if d := b.submit(d, "sign-in", "password", goodPassword); d.path != want {
			t.Errorf("next=%q leads to %s; want %s", next, d.path, want)
		}
		if d := b.open("/login?next=" + escape(next)); !strings.Contains(d.textOf("user"), "Ilmer") || d.byID("sign-in") != nil {
			t.Errorf("who is signed in is asked to sign in: %s", d.text())
		}
		// The form itself says where to go; a script's check of it is no defence.
		r := browsePlain(t, url).send("POST", "/login", strings.NewReader("username=Ilmer&password="+escape(goodPassword)+"&next="+escape(next)), "Content-Type", "application/x-www-form-urlencoded")
		if r.status != http.StatusSeeOther || r.header.Get("Location") != want {
			t.Errorf("POST with next=%q = %d to %q; want 303 to %s", next, r.status, r.header.Get("Location"), want)
		}
	}
}
