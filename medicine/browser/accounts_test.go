package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const (
	username = `labelled("User name")`
	password = `labelled(/^Password/)`
	secret   = "eight sleepy camels"
)

// sign fills in the form that has this button, and sends it.
func (b *tab) sign(action, name, pass string) {
	b.t.Helper()
	b.enter(username, name)
	b.enter(password, pass)
	b.click(fmt.Sprintf("button(%q)", action), 1)
}

// register makes an account from wherever the visitor is, and ends on Dashboard.
func (b *tab) register(s *server, name string) {
	b.t.Helper()
	b.open(s.url + "/register")
	b.sign("Sign up", name, secret)
	b.at("/dashboard", "Hello, "+name+".")
}

// signIn signs in, and ends on Dashboard.
func (b *tab) signIn(s *server, name string) {
	b.t.Helper()
	b.open(s.url + "/login")
	b.sign("Sign in", name, secret)
	b.at("/dashboard", "Hello, "+name+".")
}

// refuses checks that a cookie that the server gave opens nothing any more, by
// the very next request, of somebody who has kept it.
func (s *server) refuses(cookie string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+"/session", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if cookie == "" {
		s.t.Fatal("there was no cookie")
	}
	req.Header.Set("Cookie", "__Host-session="+cookie)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ Data struct{ Live bool } }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != 200 || answer.Data.Live {
		s.t.Errorf("GET /session with the cookie from before = %d, live %v, %v; want 200 and no live session", res.StatusCode, answer.Data.Live, err)
	}
}

// One visitor's way: pills first, then an account, out, in again. The cookie's
// value changes each time, and the one from before is worth nothing at once.
func TestSignUpInAndOut(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, s *server) {
		b := visit(t, s.url+"/pharmacy")
		b.click(fill, 2)
		wait(b, "shown()", 2)
		before := b.cookie(s.url)

		b.click(`link("Sign in")`, 1)
		b.at("/login", "Sign in")
		b.click(`link("Sign up")`, 1)
		b.at("/register", "Sign up")
		b.sign("Sign up", "Ilmer", secret)
		b.at("/dashboard", "Hello, Ilmer.")
		s.refuses(before)
		signedUp := b.cookie(s.url)
		if signedUp == before || signedUp == "" {
			t.Error("signing up has not changed the cookie's value")
		}
		wait(b, `says("2 pills", section("Your pills"))`, true)
		s.wantStored(repeat("Ibuprofen", 2)...)
		// Those who are signed in find what is theirs, and no way to sign in.
		wait(b, `[!!link("Dashboard"), !!link("Devices"), !!link("Sign in"), says("Ilmer", document.querySelector("header"))].join(" ")`, "true true false true")
		b.open(s.url + "/pharmacy")
		wait(b, "shown()", 2)

		b.click(`button("Sign out")`, 1)
		b.at("/", strange[0].h1)
		b.says("You are signed out.")
		s.refuses(signedUp)
		b.open(s.url + "/pharmacy")
		wait(b, "shown()", 0)
		wait(b, `[!!link("Dashboard"), !!link("Sign in")].join(" ")`, "false true")

		b.click(fill, 1)
		wait(b, "shown()", 1)
		before = b.cookie(s.url)
		b.click(`link("Sign in")`, 1)
		b.at("/login", "Sign in")
		b.sign("Sign in", "ilmer", secret) // as somebody types a name
		b.at("/dashboard", "Hello, Ilmer.")
		s.refuses(before)
		wait(b, `says("1 pill", section("Your pills"))`, true)
		s.wantStored("Ibuprofen")

		b.click(`button("Sign out")`, 1)
		b.at("/", strange[0].h1)
		b.wantNoProblem("signing up, in and out")
	})
}

// Without the script the form is sent as forms are, and the server redirects: the
// new cookie is there when the next page is asked for.
func TestPlainFormSignsIn(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, s *server) {
		b := visit(t, s.url+"/pharmacy")
		b.register(s, "Ilmer")
		b.click(`button("Sign out")`, 1)
		b.at("/", strange[0].h1)
		b.open(s.url + "/pharmacy")
		b.click(fill, 3)
		wait(b, "shown()", 3)
		before := b.cookie(s.url)
		b.open(s.url + "/login?next=/devices")
		b.enter(username, "Ilmer")
		b.enter(password, secret)
		get[any](b, password+`.form.submit()`) // asks no listener
		b.at("/devices", "Devices")
		s.refuses(before)
		if b.cookie(s.url) == before {
			t.Error("signing in has not changed the cookie's value")
		}
		b.open(s.url + "/pharmacy")
		wait(b, "shown()", 3)
		b.wantNoProblem("a plain form")
	})
}

func TestReturnTo(t *testing.T) {
	t.Parallel()
	s := serve(t)
	visit(t, "").register(s, "Ilmer")

	b := visit(t, s.url+"/devices")
	b.at("/login?next=/devices", "Sign in")
	b.sign("Sign in", "Ilmer", secret)
	b.at("/devices", "Devices")
	// Back leads to where the visitor came from, not into the form again.
	b.wantNoProblem("returning")
	for _, next := range []string{"//evil.example", `/\evil.example`, "https://evil.example/", "javascript:alert(1)", "/%09/evil.example", "\t//evil.example"} {
		b.click(`button("Sign out")`, 1)
		wait(b, `!!link("Sign in")`, true)
		get[any](b, fmt.Sprintf(`location.assign("/login?next=" + encodeURIComponent(%q))`, next))
		wait(b, "new URLSearchParams(location.search).get('next')", next)
		b.sign("Sign in", "Ilmer", secret)
		if next != "/%09/evil.example" { // the path of that name, here
			b.at("/dashboard", "Hello, Ilmer.")
		} else {
			wait(b, "location.pathname", next)
		}
		if got := get[string](b, "location.origin"); got != s.url {
			t.Errorf("signing in with next=%q leads to %s", next, got)
		}
	}
}

// Nobody learns from an error which names there are.
func TestWrongPasswordAndUnknownName(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, "")
	b.register(s, "Ilmer")
	b.click(`button("Sign out")`, 1)
	b.at("/", strange[0].h1)
	b.open(s.url + "/login")
	const said = `[...all("form [role=alert]")].map((e) => seen(e)).join("")`
	var first string
	for _, name := range []string{"Ilmer", "nobody"} {
		b.sign("Sign in", name, "wrong password")
		wait(b, said+`.length > 0`, true)
		got := get[string](b, said)
		if first == "" {
			first = got
		}
		if got != first || !strings.Contains(got, "password") {
			t.Errorf("signing in as %s says %q; want %q, the same for all", name, got, first)
		}
		wait(b, password+" === document.activeElement", true)
		if got := get[string](b, username+".value"); got != name {
			t.Errorf("after the error the name is %q; want %q", got, name)
		}
		wait(b, "location.pathname", "/login")
		b.enter(password, "") // the message goes away with it
		wait(b, said, "")
	}
	b.sign("Sign in", "Ilmer", secret)
	b.at("/dashboard", "Hello, Ilmer.")
}

// What is wrong is said at the field, the focus goes there, and what was typed
// stays.
func TestAccountFieldsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := serve(t)
	visit(t, "").register(s, "Ilmer")
	b := visit(t, "")
	for _, test := range []struct {
		page, action, what, name, pass string
		at                             string
	}{
		{"/register", "Sign up", "nothing", "", "", username},
		{"/register", "Sign up", "no name", "", secret, username},
		{"/register", "Sign up", "no password", "Homer", "", password},
		{"/register", "Sign up", "a short password", "Homer", "short", password},
		{"/register", "Sign up", "a password that is too long", "Homer", strings.Repeat("long ", 300), password},
		{"/register", "Sign up", "the name as the password", "HomerHomer", "homerhomer", password},
		{"/register", "Sign up", "a long name", strings.Repeat("Homer", 30), secret, username},
		{"/register", "Sign up", "a name that is taken", "Ilmer", secret, username},
		{"/register", "Sign up", "a name that differs in case only", "iLMER", secret, username},
		{"/login", "Sign in", "nothing", "", "", username},
		{"/login", "Sign in", "no password", "Ilmer", "", password},
	} {
		t.Run(test.action+" with "+test.what, func(t *testing.T) {
			b.t = t
			b.open(s.url + test.page)
			b.sign(test.action, test.name, test.pass)
			wait(b, fmt.Sprintf(`wrong(%s) !== ""`, test.at), true)
			wait(b, test.at+" === document.activeElement", true)
			t.Logf("says %q", get[string](b, fmt.Sprintf("wrong(%s)", test.at)))
			if got := get[[]string](b, fmt.Sprintf("[%s.value, %s.value]", username, password)); got[0] != test.name || got[1] != test.pass {
				t.Errorf("after the error the fields hold %q; want what was typed", got)
			}
			wait(b, "location.pathname", test.page)
			// It is said until the field is changed.
			b.enter(test.at, "something else")
			wait(b, fmt.Sprintf("wrong(%s)", test.at), "")
		})
	}
}

// Errors that are of no field: a server that is not there, and one that has had
// enough.
func TestAccountFormSurvivesTheServersErrors(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.url+"/login")
	typed := fmt.Sprintf("[%s.value, %s.value].join()", username, password)
	for n := range 6 {
		b.sign("Sign in", "Ilmer", fmt.Sprintf("guess number %d", n))
		wait(b, `seen(document.querySelector("form [role=alert]")) !== ""`, true)
	}
	b.says("There were too many attempts")
	wait(b, `/Again in 0:[0-5]\d/.test(seen())`, true)
	wait(b, typed, "Ilmer,guess number 5")
	sent := b.sent("POST", "/login")
	b.click(`button("Sign in")`, 1)
	if got := b.sent("POST", "/login"); got != sent {
		t.Errorf("while it says to wait, the form sends requests: %d after %d", got, sent)
	}

	b.open(s.url + "/register")
	b.enter(username, "Homer")
	b.enter(password, secret)
	s.kill()
	b.click(`button("Sign up")`, 1)
	b.says("The server cannot be reached.")
	wait(b, typed, "Homer,"+secret)
	s.start()
	b.click(`button("Sign up")`, 1)
	b.at("/dashboard", "Hello, Homer.")
}

// Nothing is asked for that only members may see.
func TestSignOutOnDevices(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, "")
	b.register(s, "Ilmer")
	b.click(`link("Devices")`, 1)
	b.at("/devices", "Devices")
	wait(b, sessionsShown, 1)
	b.click(`button("Sign out")`, 1)
	b.at("/", strange[0].h1)
	wait(b, `!!link("Sign in")`, true)
	b.wantNoProblem("signing out on Devices")
}
