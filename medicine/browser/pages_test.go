package browser_test

import (
	"fmt"
	"strings"
	"testing"
)

// Home sends one request with the cookie and one without, and shows what came
// back.
func TestHomeComparesARequestWithAndWithoutItsCookie(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, s *server) {
		b := visit(t, s.url+"/")
		const with, without = `around("article", "With its cookie")`, `around("article", "Without it")`
		both := fmt.Sprintf(`[%s, %s].map((e) => seen(e).match(/\{"data":.*\]\}/)?.[0]).join(" ")`, with, without)
		b.click(`button("Send both requests")`, 1)
		wait(b, both, `{"data":[]} {"data":[]}`)
		b.says("no session yet")
		if got := s.stored(); len(got) != 0 {
			t.Errorf("comparing stored %q; want no session", got)
		}

		b.click(`link("Pharmacy")`, 1)
		b.click(fill, 1)
		wait(b, "shown()", 1)
		b.click(`link("Home")`, 1)
		b.click(`button("Send both requests")`, 1)
		wait(b, both, `{"data":[{"name":"Ibuprofen"}]} {"data":[]}`)
		wait(b, fmt.Sprintf(`says("Cookie: __Host-session", %s) && says("Cookie: none", %s)`, with, without), true)
		b.keepsCookie(s)
		s.wantStored("Ibuprofen")
		b.wantNoProblem("Home")
	})
}

// keepsCookie checks that the page knows nothing of the cookie's value.
func (b *tab) keepsCookie(s *server) {
	b.t.Helper()
	cookie := b.cookie(s.url)
	if cookie == "" {
		b.t.Fatal("there is no cookie")
	}
	if strings.Contains(get[string](b, "document.documentElement.outerHTML + document.cookie + JSON.stringify({...localStorage})"), cookie) {
		b.t.Error("the page holds the cookie's value")
	}
}

// The same list, in the session and in local storage: both outlive a reload, and
// neither depends on the other. A script reads the one and not the cookie.
func TestStorageKeepsBothLists(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, s *server) {
		b := visit(t, s.url+"/storage")
		const lists = `["The session", "Local storage"].map((title) => seen(section(title)).match(/([\d,]+) pills?/)?.[1] ?? "0").join(" ")`
		wait(b, lists, "0 0")
		b.click(`button("Add to both")`, 2)
		wait(b, lists, "2 2")
		b.click(`button("Session only")`, 1)
		b.click(`button("Local storage only")`, 2)
		wait(b, lists, "3 4")
		s.wantStored(repeat("Vitamin D", 3)...)
		b.do("reload", reload)
		wait(b, lists, "3 4")
		b.click(`button(/^Remove one Vitamin D.*session/i)`, 1)
		b.click(`button(/^Remove one Vitamin D.*local storage/i)`, 1)
		wait(b, lists, "2 3")

		b.click(`button("Read both")`, 1)
		const read = `seen(around("section", "Let the script read it"))`
		wait(b, read+`.includes("document.cookie") && `+read+`.includes("Vitamin D")`, true)
		b.keepsCookie(s)

		get[any](b, "localStorage.clear()")
		b.do("reload", reload)
		wait(b, lists, "2 0")
		b.click(`button("Local storage only")`, 1)
		wait(b, lists, "2 1")
		b.click(`button(/^Clear.*session/i)`, 1)
		b.click(`button("Clear it")`, 1)
		wait(b, lists, "0 1")
		s.wantStored()

		// The other tab sees both change.
		two := b.another(s.url + "/storage")
		wait(two, lists, "0 1")
		b.front()
		b.click(`button("Add to both")`, 1)
		wait(two, lists, "1 2")

		// What is too long is said at the field, and is in neither.
		const medicine = `labelled("Medicine")`
		b.enter(medicine, strings.Repeat("long", 30))
		b.click(`button("Add to both")`, 1)
		wait(b, "wrong("+medicine+") !== '' && document.activeElement === "+medicine, true)
		wait(b, lists, "1 2")
		b.wantNoProblem("Storage")
		two.wantNoProblem("Storage in another tab")
	})
}

// What is broken by hand is not written over, and not taken for the list.
func TestStorageSurvivesABrokenList(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.url+"/storage")
	b.click(`button("Add to both")`, 1)
	const text = `document.querySelector("textarea")`
	wait(b, text+`.value.includes("Vitamin D")`, true)
	b.enter(text, `[{"name":`)
	b.click(`button("Write it")`, 1)
	b.says("What is stored cannot be read.")
	b.do("reload", reload)
	b.says("What is stored cannot be read.")
	b.click(`button("Add to both")`, 1)
	wait(b, text+".value", `[{"name":`)
	b.click(`button("Set it aside, begin anew")`, 1)
	wait(b, `says("What is stored cannot be read.")`, false)
	b.click(`button("Local storage only")`, 1)
	wait(b, `says("1 pill", section("Local storage"))`, true)
	b.wantNoProblem("Storage with a broken list")
}

// runAllAttacks runs the attacks of the Lab by one click.
func runAllAttacks(b *tab) {
	b.t.Helper()
	b.click(`button("Run all five")`, 1)
	b.says("5 of 5 attacks run: 5 refused, 0 succeeded.")
}

// All five attacks, each by its own button, are carried out and refused.
func TestLabRefusesEachAttack(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, s *server) {
		w := s.witness()
		b := visit(t, w.url+"/pharmacy")
		b.click(fill, 2)
		wait(b, "shown()", 2)
		before, cookie := fmt.Sprint(s.stored()), b.cookie(s.url)
		b.click(`link("Lab")`, 1)
		for _, attack := range []string{"Session fixation", "Tampered cookie", "Replayed cookie"} {
			b.refused(attack)
		}
		for _, attack := range []string{"Cross-site request forgery", "Foreign origin"} {
			b.refused(attack)
		}
		// They were carried out, which the browser's console says: that of the
		// frame, which is another site's page. The Lab itself has nothing to say.
		for _, request := range []string{"POST /pills", "GET /pills"} {
			if line := request + " from null cross-site with no cookie"; !w.saw(line) {
				t.Errorf("the browser has not sent %s", line)
			}
		}
		b.wantNoProblem("the Lab")
		if got := fmt.Sprint(s.stored()); got != before {
			t.Errorf("after the attacks stored are %s; want %s as before", got, before)
		}
		if b.cookie(s.url) != cookie {
			t.Error("an attack has replaced the visitor's cookie")
		}
		b.click(`link("Pharmacy")`, 1)
		wait(b, "shown()", 2)

		// The outcome does not depend on what was run before.
		b.click(`link("Lab")`, 1)
		runAllAttacks(b)
	})
}

// refused runs an attack and waits for its verdict.
func (b *tab) refused(attack string) {
	b.t.Helper()
	card := fmt.Sprintf(`section(/%s$/)`, attack)
	b.click(fmt.Sprintf(`button(/^Run the attack.*%s/)`, attack), 1)
	wait(b, fmt.Sprintf(`!says("Not run yet", %s) && !says("Running", %[1]s)`, card), true)
	if got := get[string](b, fmt.Sprintf("seen(%s)", card)); !strings.Contains(got, "Refused") || strings.Contains(got, "Succeeded") {
		b.t.Errorf("%s is not refused: the page says %q", attack, got)
	}
	wait(b, fmt.Sprintf(`all("[role=region] li", %s).length > 0`, card), true)
}
