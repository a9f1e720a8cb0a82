package browser_test

import (
	"fmt"
	"strings"
	"testing"
)

// sessionsShown is how many sessions the page Devices lists, or -1 while it does
// not know.
const sessionsShown = `(section("Your sessions")?.querySelector("[aria-busy=true]") ? -1 : all("li", section("Your sessions") ?? document.createElement("p")).length)`

// other is the row of a session that is not the one that looks.
const other = `all("li", section("Your sessions")).find((e) => !says("This one", e))`

// Two browsers see each other, and each can end the other's session. Its open
// page then says so by itself, and its cookie is worth nothing.
func TestEndASessionFromAnotherDevice(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *server) {
		one, two := visit(t, ""), visit(t, "")
		one.register(s, "Ilmer")
		two.signIn(s, "Ilmer")
		two.click(`link("Devices")`, 1)
		two.at("/devices", "Devices")
		wait(two, sessionsShown, 2)
		two.click(`link("Pharmacy")`, 1)
		wait(two, "shown()", 0)
		two.click(fill, 1)
		wait(two, "shown()", 1)
		cookie := two.cookie(s.url)

		one.click(`link("Devices")`, 1)
		one.at("/devices", "Devices")
		wait(one, sessionsShown, 2)
		wait(one, `all("li", section("Your sessions")).filter((e) => says("This one", e)).length`, 1)
		wait(one, `/(Chromium|Chrome) \d+ on Linux/.test(seen(`+other+`)) && says("127.0.0.1", `+other+`)`, true)
		// The list shows nobody how to be one of them.
		for _, b := range []*tab{one, two} {
			b.keepsToItself(s)
		}

		two.watch(`says("Your session was ended.") && shown() === 0`)
		one.click(`button("End", `+other+`)`, 1)
		wantWithin(t, second, "the end of the session, on the page that is open elsewhere", one, two)
		s.refuses(cookie)
		wait(one, sessionsShown, 1)
		one.says("Only here.")
		wait(two, `[!!link("Devices"), !!link("Sign in")].join(" ")`, "false true")
		one.wantNoProblem("the one who ends")
		two.wantNoProblem("the one who is ended")

		// From there the visitor is somebody new, who can sign in.
		two.click(`link("Sign in again")`, 1)
		two.at("/login?next=/pharmacy", "Sign in")
		two.sign("Sign in", "Ilmer", secret)
		two.at("/pharmacy", "Pharmacy")
		wait(two, "shown()", 0)
	})
}

// keepsToItself checks that neither the list nor the page holds the cookie, or
// the id of a session, which is the part of the cookie before its signature.
func (b *tab) keepsToItself(s *server) {
	b.t.Helper()
	cookie := b.cookie(s.url)
	id, _, ok := strings.Cut(strings.TrimPrefix(cookie, "s%3A"), ".")
	if !ok || len(id) < 16 {
		b.t.Fatalf("the cookie has no id before a dot, but %d characters", len(id))
	}
	everything := get[string](b, `document.documentElement.outerHTML + JSON.stringify({...localStorage}) + document.cookie + await (await fetch("/sessions")).text()`)
	for what, text := range map[string]string{"cookie": cookie, "session id": id} {
		if strings.Contains(everything, text) {
			b.t.Errorf("the page, or the answer to GET /sessions, holds the %s", what)
		}
	}
	if !strings.Contains(everything, `"current":true`) {
		b.t.Errorf("GET /sessions tells of no current session: the check above checks nothing")
	}
}

func TestEndAllOtherSessions(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *server) {
		one, two, three := visit(t, ""), visit(t, ""), visit(t, "")
		one.register(s, "Ilmer")
		two.signIn(s, "Ilmer")
		three.signIn(s, "Ilmer")
		kept, ended := one.cookie(s.url), []string{two.cookie(s.url), three.cookie(s.url)}

		one.open(s.url + "/devices")
		wait(one, sessionsShown, 3)
		one.click(`button("End all others")`, 1)
		one.click(`button("Keep them")`, 1)
		wait(one, sessionsShown, 3)
		one.click(`button("End all others")`, 1)
		for _, b := range []*tab{two, three} {
			b.watch(`says("Your session was ended.") || h1() === "Sign in"`)
		}
		one.click(`button("End them")`, 1)
		wantWithin(t, second, "the end of all other sessions", one, two, three)
		for _, cookie := range ended {
			s.refuses(cookie)
		}
		wait(one, sessionsShown, 1)
		if got := one.cookie(s.url); got != kept {
			t.Error("ending the others has changed this browser's cookie")
		}
		one.click(`link("Dashboard")`, 1)
		one.at("/dashboard", "Hello, Ilmer.")
		for _, b := range []*tab{two, three} {
			b.at("/login?next=/dashboard", "Sign in") // Dashboard is for members
			b.says("Your session was ended.")
			b.wantNoProblem("an ended session's page")
		}
	})
}

// A sign-out in one tab is one in all of them.
func TestSignOutReachesTheOtherTab(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *server) {
		one := visit(t, "")
		one.register(s, "Ilmer")
		two := one.another(s.url + "/pharmacy")
		two.click(fill, 1)
		wait(two, "shown()", 1)
		wait(two, `!!link("Devices")`, true)
		one.front()
		two.watch(`says("You are signed out.") && shown() === 0 && !link("Devices")`)
		one.click(`button("Sign out")`, 1)
		wantWithin(t, second, "a sign-out, in the other tab", one, two)
		one.at("/", strange[0].h1)
		one.click(`link("Sign in")`, 1)
		// And a sign-in.
		two.watch(`!!link("Devices")`)
		one.sign("Sign in", "Ilmer", secret)
		one.at("/dashboard", "Hello, Ilmer.")
		wantWithin(t, 2*second, "a sign-in, which takes a slow hash, in the other tab", one, two)
		one.wantNoProblem("first tab")
		two.wantNoProblem("second tab")
	})
}

// Who has read the public id of somebody else's session can do nothing with it,
// and does not learn whether there is one.
func TestAnotherUsersSessionCannotBeEnded(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, s *server) {
		one, two := visit(t, ""), visit(t, "")
		one.register(s, "Ilmer")
		two.register(s, "Homer")
		public := get[string](one, `(await (await fetch("/sessions")).json()).data[0].publicId`)
		const end = `await (async () => { const r = await fetch("/sessions/%s", {method: "DELETE"}); return r.status + " " + (await r.json()).error?.code; })()`
		for what, id := range map[string]string{"of another user": public, "that there is not": strings.Repeat("A", len(public))} {
			if got := get[string](two, fmt.Sprintf(end, id)); got != "404 no_such_session" {
				t.Errorf("ending a session %s answers %s; want 404 no_such_session", what, got)
			}
		}
		get[any](two, `await fetch("/sessions", {method: "DELETE"})`)
		one.open(s.url + "/devices")
		one.at("/devices", "Devices")
		wait(one, sessionsShown, 1)
	})
}
