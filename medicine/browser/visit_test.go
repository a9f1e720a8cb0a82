package browser_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
)

// The original shows up to five pills too few of ten fast clicks, and keeps two
// to seven.
func TestTenFastClicks(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.url+"/pharmacy")
	wait(b, "shown()", 0)
	b.click(fill, 10)
	wait(b, "shown()", 10)
	s.wantStored(repeat("Ibuprofen", 10)...)
	if n := b.sent("POST", "/pills"); n != 10 {
		t.Errorf("10 clicks sent %d pills; want 10", n)
	}
	b.open(s.url + "/pharmacy")
	wait(b, "shown()", 10)
	b.click(fill, 10)
	wait(b, "shown()", 20)
	s.wantStored(repeat("Ibuprofen", 20)...)
	b.wantNoProblem("Pharmacy")
}

func TestPillsSurviveARestart(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.url+"/pharmacy")
	b.click(fill, 3)
	wait(b, "shown()", 3)
	s.kill()
	s.start()
	b.open(s.url + "/pharmacy")
	wait(b, "shown()", 3)
	b.click(fill, 1)
	wait(b, "shown()", 4)
	s.stop()
	s.start()
	b.open(s.url + "/pharmacy")
	wait(b, "shown()", 4)
	s.wantStored(repeat("Ibuprofen", 4)...)
}

func TestPagesLoadCleanly(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, "")
	for _, p := range []struct{ path, title, ready string }{
		{"/", "Home · Medicine", `section("Employees Available")?.innerText.includes("Ilmer") && document.body.innerText.includes("Nothing yet.")`},
		{"/pharmacy", "Pharmacy · Medicine", `section("Employees Available")?.innerText.includes("Homer") && shown() === 0`},
		{"/about", "About · Medicine", `document.querySelector("h1") !== null`},
		{"/no/such/page", "Not found · Medicine", `document.querySelector("h1") !== null`},
	} {
		b.open(s.url + p.path)
		wait(b, p.ready, true)
		wait(b, "document.title", p.title)
	}
	// From page to page within the application, and back.
	for _, link := range []string{"Pharmacy", "About", "Home"} {
		b.click(fmt.Sprintf(`all("nav a").find((a) => clean(a.textContent) === %q)`, link), 1)
		wait(b, "document.title", link+" · Medicine")
	}
	get[any](b, "history.back()")
	wait(b, "document.title", "About · Medicine")
	b.wantNoProblem("looking around")
	if got := s.stored(); len(got) != 0 {
		t.Errorf("looking around stored the sessions %q; want none", got)
	}
	if c := b.cookies(s.url); len(c) != 0 {
		t.Errorf("looking around set %d cookies; want none", len(c))
	}
}

// That no problem is noticed on our pages says something only if problems are.
func TestProblemsAreNoticed(t *testing.T) {
	t.Parallel()
	browser(t)
	b := visit(t, "http://"+chromium.clients.String()+"/bad")
	for _, want := range []string{"Content Security Policy", "/missing answers 404", "console.error: \"complaint\"", "request failed: http://localhost:1/: net::ERR_", "exception: Uncaught TypeError"} {
		waitFor(t, want, func() error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if all := strings.Join(b.problems, "\n"); !strings.Contains(all, want) {
				return fmt.Errorf("noticed are\n%s", all)
			}
			return nil
		})
	}
}

func TestAddRemoveAndClear(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.url+"/pharmacy")
	b.write("Vitamin C")
	b.click(fill, 2)
	wait(b, "shown()", 2)
	b.click(`button("Paracetamol")`, 1)
	wait(b, "field().value", "Paracetamol")
	b.click(fill, 1)
	wait(b, "shown()", 3)
	s.wantStored("Vitamin C", "Vitamin C", "Paracetamol")

	b.click(`button("Remove one Vitamin C")`, 1)
	wait(b, "shown()", 2)
	s.wantStored("Vitamin C", "Paracetamol")

	b.click(`button("Empty the tray")`, 1)
	b.click(`button("Keep them")`, 1)
	wait(b, "shown()", 2)
	b.click(`button("Empty the tray")`, 1)
	b.click(`button("Empty it")`, 1)
	wait(b, "shown()", 0)
	s.wantStored()
	b.wantNoProblem("Pharmacy")

	// The card on Home tells of the session.
	b.open(s.url)
	wait(b, `/Public id \S{16,}.* Kept in sqlite, [\d,]+ bytes/.test(clean(section("What the server keeps for you")?.innerText ?? ""))`, true)
}

func TestNamesAreCheckedAtTheField(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.url+"/pharmacy")
	wait(b, "shown()", 0)
	const problem = `(() => { const f = field(); return f.getAttribute("aria-invalid") === "true" ? document.getElementById(f.getAttribute("aria-describedby")).textContent : ""; })()`
	for text, want := range map[string]string{
		"":                        "Write the name of a medicine.",
		"   ":                     "Write the name of a medicine.",
		strings.Repeat("ab", 100): "200 characters",
	} {
		b.write(text)
		b.click(fill, 1)
		wait(b, problem+`.includes("`+want+`")`, true)
		if got := get[string](b, "field().value"); got != text {
			t.Errorf("after the error the field has %q; want %q as it was typed", got, text)
		}
	}
	b.write(`<img src=x onerror="alert(1)">`)
	wait(b, problem, "")
	b.click(fill, 1)
	wait(b, "shown()", 1)
	s.wantStored(`<img src=x onerror="alert(1)">`)
	b.wantNoProblem("Pharmacy")
}

// The server's own words are shown at the field, and what was typed stays.
func TestServersErrorKeepsWhatWasTyped(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.url+"/pharmacy")
	b.click(fill, 1)
	wait(b, "shown()", 1)
	// Until not even the smallest pill fits.
	get[any](b, `(async () => {
		for (let size = 100_000; size >= 1; ) {
			const r = await fetch("/pills", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify({name: "Big", x: "x".repeat(size)})});
			if (r.status === 413) size = Math.floor(size / 2);
			else if (!r.ok) throw new Error(String(r.status));
		}
	})()`)
	b.write(strings.Repeat("Long ", 19) + "name")
	typed := get[string](b, "field().value")
	b.click(fill, 1)
	wait(b, `document.body.innerText.includes("Your session is full. Remove some pills first.")`, true)
	if got := get[string](b, "field().value"); got != typed {
		t.Errorf("after the error the field has %q; want %q", got, typed)
	}
}

// The original makes up to six sessions of one visit: one for each preflight and
// each request without credentials.
func TestFirstRequestsMakeOneSession(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.url+"/")
	wait(b, `document.body.innerText.includes("Nothing yet.")`, true)
	b.open(s.url + "/pharmacy")
	b.click(fill, 5) // before the list has arrived, perhaps
	wait(b, "shown()", 5)
	s.wantStored(repeat("Ibuprofen", 5)...)
}

func TestCookieInTheBrowser(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.url+"/pharmacy")
	b.click(fill, 1)
	wait(b, "shown()", 1)
	cookies := b.cookies(s.url)
	if len(cookies) != 1 {
		t.Fatalf("the browser has %d cookies; want 1", len(cookies))
	}
	c := cookies[0]
	if c.Name != "__Host-session" || !c.HTTPOnly || !c.Secure || c.SameSite != network.CookieSameSiteLax || c.Path != "/" || c.Domain != "localhost" || !c.Session {
		t.Errorf("the cookie is %s, HttpOnly %v, Secure %v, SameSite %s, Path %s, Domain %s, until the browser closes %v; want __Host-session, all true, Lax, / and localhost",
			c.Name, c.HTTPOnly, c.Secure, c.SameSite, c.Path, c.Domain, c.Session)
	}
	if got := get[string](b, "document.cookie"); got != "" {
		t.Errorf("document.cookie = %q; want nothing that a script can read", got)
	}
	if got := get[int](b, "localStorage.length + sessionStorage.length"); got != 0 {
		t.Errorf("the page keeps %d values in the browser; want 0", got)
	}
}

func TestTwoTabsAgree(t *testing.T) {
	t.Parallel()
	s := serve(t)
	one := visit(t, s.url+"/pharmacy")
	one.click(fill, 1)
	wait(one, "shown()", 1)
	two := one.another(s.url + "/pharmacy")
	wait(two, "shown()", 1)
	two.click(fill, 2)
	wait(two, "shown()", 3)

	one.front()
	wait(one, "shown()", 3)
	one.click(`button("Remove one Ibuprofen")`, 1)
	wait(one, "shown()", 2)
	two.front()
	wait(two, "shown()", 2)

	// Both at once: nothing is lost.
	one.click(fill, 5)
	two.click(fill, 5)
	waitFor(t, "12 pills", func() error {
		if got := s.stored(); len(got) != 1 || len(got[0]) != 12 {
			return fmt.Errorf("stored are %q", got)
		}
		return nil
	})
	one.front()
	wait(one, "shown()", 12)
	two.front()
	wait(two, "shown()", 12)
	one.wantNoProblem("first tab")
	two.wantNoProblem("second tab")
}

func TestTwoBrowsersAreTwoVisitors(t *testing.T) {
	t.Parallel()
	s := serve(t)
	one, two := visit(t, s.url+"/pharmacy"), visit(t, s.url+"/pharmacy")
	one.click(fill, 1)
	wait(one, "shown()", 1)
	wait(two, "shown()", 0)
	two.click(fill, 2)
	wait(two, "shown()", 2)
	if got := s.stored(); len(got) != 2 || len(got[0])+len(got[1]) != 3 {
		t.Errorf("stored are %q; want two sessions with 1 and 2 pills", got)
	}
}

func TestServerDown(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.url+"/pharmacy")
	b.click(fill, 1)
	wait(b, "shown()", 1)
	s.kill()
	b.write("Aspirin 100")
	b.click(fill, 1)
	wait(b, `document.body.innerText.includes("The server cannot be reached.")`, true)
	if got := get[string](b, "field().value"); got != "Aspirin 100" {
		t.Errorf("after the error the field has %q; want Aspirin 100", got)
	}
	if got := get[int](b, "shown()"); got != 1 {
		t.Errorf("the page shows %d pills after an error; want 1 as before", got)
	}
	s.start()
	b.click(fill, 1)
	wait(b, "shown()", 2)
	s.wantStored("Ibuprofen", "Aspirin 100")
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		if strings.HasPrefix(p, "exception") || strings.HasPrefix(p, "console") {
			t.Errorf("while the server was down: %s", p)
		}
	}
}

func TestWithoutJavaScript(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, "")
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	call(b, page.Navigate, page.NavigateParams{URL: s.url + "/pharmacy"})
	wait(b, `document.body?.innerText.includes("JavaScript") ?? false`, true)
}
