package browser_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pillboxgo/pillbox/internal/need"
)

const screenshots = "../../screenshots"

// atRest ends all animations, such as those from light colours to dark ones.
// The end of one begins others: of what inherits a colour.
const atRest = `(() => {
	for (let round = 0; round < 100; round++)
		for (const a of document.getAnimations()) try { a.finish(); } catch { a.cancel(); } // it may have no end
})()`

// shifts adds up how far what was shown has moved since the page began to load,
// without a visitor's doing: the Cumulative Layout Shift, of which 0.1 is called
// good (https://web.dev/articles/cls).
const shifts = `new Promise((resolve) => {
	const observer = new PerformanceObserver(() => {});
	observer.observe({type: "layout-shift", buffered: true});
	// What is buffered is there after the next frame.
	setTimeout(() => resolve(observer.takeRecords().filter((e) => !e.hadRecentInput).reduce((sum, e) => sum + e.value, 0)), 50);
})`

const mostShift = 0.02

// axe returns axe-core, to be evaluated in a page.
func axe(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join(need.NPM(t, "."), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}

// A view is a page in a state that is worth looking at.
type view struct {
	name, path string
	title, h1  string
	ready      string       // an expression that is true once all is there
	then       func(b *tab) // what the visitor does there, or nil
}

var looks = []struct {
	name          string
	width, height int64
}{{"wide", 1280, 900}, {"narrow", 360, 740}}

// check opens a page and looks at it in light and dark, wide and narrow: no
// violation that axe-core finds (of WCAG 2.2 and its best practices), nothing that
// is wider than the window, nothing that moves while it loads, and a picture for
// people.
func (v view) check(b *tab, url, axe string) {
	t := b.t
	t.Helper()
	b.media("light")
	for _, look := range slices.Backward(looks) {
		b.size(look.width, look.height)
		b.open(url + v.path)
		wait(b, v.ready, true)
		get[any](b, "document.fonts.ready.then(() => true)")
		if sum := get[float64](b, shifts); sum > mostShift {
			t.Errorf("%s, %s: what is shown moves by %.3f while the page loads; want %v at most", v.name, look.name, sum, mostShift)
		}
	}
	wait(b, "document.title", v.title+" · Medicine")
	if got := get[string](b, "h1()"); got != v.h1 {
		t.Errorf("%s: the headings of the first rank are %q; want the one %q", v.name, got, v.h1)
	}
	if v.then != nil {
		v.then(b)
	}
	b.do("load axe-core", chromedp.Evaluate[chromedp.Void](axe))
	for _, colours := range []string{"light", "dark"} {
		b.media(colours)
		for _, look := range looks {
			name := strings.Join([]string{v.name, colours, look.name}, "-")
			b.size(look.width, look.height)
			get[any](b, atRest)
			for _, violation := range get[[]string](b, `axe.run({resultTypes: ["violations"]}).then((r) =>
				r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html + " (" + n.failureSummary + ")").join(", ")))`) {
				t.Errorf("%s: %s", name, violation)
			}
			if over := get[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
				t.Errorf("%s: the page is %d pixels wider than the window", name, over)
			}
			picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
			if err != nil {
				t.Fatalf("%s: take a picture: %v", name, err)
			}
			if err := os.WriteFile(filepath.Join(screenshots, name+".png"), picture, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.media("light")
	b.size(1280, 900)
}

const employees = `section("Employees Available")?.textContent.includes("Homer")`

// strange are the pages as a new visitor has them.
var strange = []view{
	{name: "home-new", path: "/", title: "Home", h1: "The shelf remembers. You carry the ticket.", ready: `says("Nothing yet.") && ` + employees},
	{name: "pharmacy-empty", path: "/pharmacy", title: "Pharmacy", h1: "Pharmacy", ready: "shown() === 0 && " + employees},
	{name: "storage-empty", path: "/storage", title: "Storage", h1: "Session and local storage", ready: `all(".empty").length === 2`},
	{name: "login", path: "/login", title: "Sign in", h1: "Sign in", ready: "!!" + password},
	{name: "login-refused", path: "/login?next=/devices", title: "Sign in", h1: "Sign in", ready: "!!" + password, then: func(b *tab) {
		b.sign("Sign in", "Nobody", "wrong password")
		b.says("do not match")
	}},
	{name: "register", path: "/register", title: "Sign up", h1: "Sign up", ready: "!!" + password},
	{name: "register-refused", path: "/register", title: "Sign up", h1: "Sign up", ready: "!!" + password, then: func(b *tab) {
		b.sign("Sign up", strings.Repeat("Much too long ", 10), "short")
		wait(b, "(wrong("+username+") || wrong("+password+")) !== ''", true)
	}},
	{name: "lab", path: "/lab", title: "Lab", h1: "Security lab", ready: `!!button("Run all five")`},
	{name: "about", path: "/about", title: "About", h1: "What this pharmacy shows", ready: "true"},
	{name: "not-found", path: "/no/such/page", title: "Not found", h1: "There is no such page.", ready: "true"},
}

// own are the pages of somebody who is signed in, with pills and a second session.
var own = []view{
	{name: "home", path: "/", title: "Home", h1: strange[0].h1, ready: `says("Kept in") && ` + employees, then: func(b *tab) {
		b.click(`button("Send both requests")`, 1)
		wait(b, `!!button("Send both again")`, true)
	}},
	{name: "pharmacy", path: "/pharmacy", title: "Pharmacy", h1: "Pharmacy", ready: "shown() === 6 && " + employees},
	{name: "storage", path: "/storage", title: "Storage", h1: "Session and local storage", ready: `says("6 pills", section("The session"))`, then: func(b *tab) {
		b.click(`button("Local storage only")`, 2)
		for _, name := range []string{"Read both", "Slip in a pill", "Ask as another browser would", "Ask where it is kept", "Measure both"} {
			b.click(fmt.Sprintf("button(%q)", name), 1)
		}
		wait(b, `says("What came of it will be written here.") || all("[aria-busy=true]").length > 0`, false)
	}},
	{name: "lab-run", path: "/lab", title: "Lab", h1: "Security lab", ready: `!!button("Run all five")`, then: runAllAttacks},
	{name: "dashboard", path: "/dashboard", title: "Dashboard", h1: "Hello, Ilmer.", ready: `says("6 pills") && says("Kept in") && all(".skeleton").length === 0`},
	{name: "devices", path: "/devices", title: "Devices", h1: "Devices", ready: sessionsShown + " === 2"},
}

// Every page in every look.
func TestPagesAreAccessible(t *testing.T) {
	browser(t) // before npm is asked for
	script := axe(t)
	if err := os.MkdirAll(screenshots, 0o755); err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	t.Run("of a stranger", func(t *testing.T) {
		b := visit(t, "")
		for _, v := range strange {
			t.Run(v.name, func(t *testing.T) {
				b.t = t
				v.check(b, s.url, script)
			})
		}
	})
	t.Run("of a user", func(t *testing.T) {
		b := visit(t, "")
		b.register(s, "Ilmer")
		visit(t, "").signIn(s, "Ilmer")
		b.click(`link("Pharmacy")`, 1)
		b.click(fill, 3)
		wait(b, "shown()", 3)
		b.click(`button("Cetirizine")`, 1)
		b.click(fill, 2)
		b.write("A medicine with quite a long name, 200 mg")
		b.click(fill, 1)
		wait(b, "shown()", 6)
		for _, v := range own {
			t.Run(v.name, func(t *testing.T) {
				b.t = t
				v.check(b, s.url, script)
			})
		}
	})
}

// The check above has to be able to fail.
func TestAxeFindsViolations(t *testing.T) {
	browser(t)
	script := axe(t)
	b := visit(t, "about:blank")
	get[any](b, `document.write('<p style="color:#aaa;background:#bbb">faint</p><input><img src="x.png">')`)
	b.do("load axe-core", chromedp.Evaluate[chromedp.Void](script))
	got := get[string](b, `axe.run().then((r) => r.violations.map((v) => v.id).join(" "))`)
	for _, want := range []string{"color-contrast", "image-alt", "label"} {
		if !strings.Contains(got, want) {
			t.Errorf("axe-core finds %s in a bad page; want %s among it", got, want)
		}
	}
}
