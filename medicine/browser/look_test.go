package browser_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
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

// check opens a page and looks at it in light and dark, wide and narrow: see
// [tab.look]. Nothing may move while it loads, on a network that takes its time.
func (v view) check(b *tab, url, axe string) {
	t := b.t
	t.Helper()
	b.media("light")
	b.latency(100)
	for _, look := range slices.Backward(looks) {
		b.size(look.width, look.height)
		b.open(url + v.path)
		wait(b, v.ready, true)
		get[any](b, "document.fonts.ready.then(() => true)")
		if sum := get[float64](b, shifts); sum > mostShift {
			t.Errorf("%s, %s: what is shown moves by %.3f while the page loads; want %v at most", v.name, look.name, sum, mostShift)
		}
	}
	b.latency(0)
	wait(b, "document.title", v.title+" · Medicine")
	if got := get[string](b, "h1()"); got != v.h1 {
		t.Errorf("%s: the headings of the first rank are %q; want the one %q", v.name, got, v.h1)
	}
	if v.then != nil {
		v.then(b)
	}
	for _, colours := range []string{"light", "dark"} {
		for n := range looks {
			b.look(v.name, axe, colours, n)
		}
	}
	b.media("light")
	b.size(1280, 900)
	b.wantNoProblem(v.name)
	b.mu.Lock()
	b.problems = nil // the next view has its own
	b.mu.Unlock()
}

// look checks that axe-core finds no violation (of WCAG 2.2 and its best
// practices) and that nothing is wider than the window, and takes a picture for
// people.
func (b *tab) look(name, axe, colours string, size int) {
	b.t.Helper()
	b.media(colours)
	look := looks[size]
	name = strings.Join([]string{name, colours, look.name}, "-")
	b.size(look.width, look.height)
	get[any](b, atRest)
	if get[bool](b, "!globalThis.axe") {
		b.do("load axe-core", chromedp.Evaluate[chromedp.Void](axe))
	}
	for _, violation := range get[[]string](b, `axe.run({resultTypes: ["violations"]}).then((r) =>
		r.violations.map((v) => v.id + ": " + v.help + ": " + v.nodes.map((n) => n.html + " (" + n.failureSummary + ")").join(", ")))`) {
		b.t.Errorf("%s: %s", name, violation)
	}
	if over := get[int](b, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		b.t.Errorf("%s: the page is %d pixels wider than the window", name, over)
	}
	yes := true // the smallest PNG takes longer to make than all else that is done here
	picture := call(b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &yes, OptimizeForSpeed: &yes})
	if err := os.MkdirAll(screenshots, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(screenshots, name+".png"), picture.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// latency makes each answer this many milliseconds late, so that a page is seen
// before what it asks for has come.
func (b *tab) latency(ms float64) {
	b.t.Helper()
	rules := []*network.Conditions{}
	if ms > 0 {
		rules = append(rules, &network.Conditions{Latency: ms, DownloadThroughput: -1, UploadThroughput: -1})
	}
	call(b, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: rules})
}

// forgive forgets the problems that are of an address with this status, which
// the visitor has provoked.
func (b *tab) forgive(path string, status int) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	before := len(b.problems)
	b.problems = slices.DeleteFunc(b.problems, func(p string) bool {
		return strings.HasSuffix(p, fmt.Sprintf("%s answers %d", path, status)) ||
			strings.Contains(p, fmt.Sprintf("responded with a status of %d ", status)) && strings.HasSuffix(p, path)
	})
	if len(b.problems) == before {
		b.t.Errorf("%s has not answered %d", path, status)
	}
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
		b.forgive("/login", 401) // which a browser notes
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
		b.forgive("/pills", 400) // what was slipped in
	}},
	{name: "lab-run", path: "/lab", title: "Lab", h1: "Security lab", ready: `!!button("Run all five")`, then: runAllAttacks},
	{name: "dashboard", path: "/dashboard", title: "Dashboard", h1: "Hello, Ilmer.", ready: `says("6 pills") && says("Kept in") && all(".skeleton").length === 0`},
	{name: "devices", path: "/devices", title: "Devices", h1: "Devices", ready: sessionsShown + " === 2"},
}

// Every page in every look.
func TestPagesAreAccessible(t *testing.T) {
	t.Parallel()
	browser(t) // before npm is asked for
	script := axe(t)
	s := serve(t)
	every := func(t *testing.T, b *tab, url string, views []view) {
		for _, v := range views {
			t.Run(v.name, func(t *testing.T) {
				b.t = t
				v.check(b, url, script)
			})
		}
	}
	t.Run("of a stranger", func(t *testing.T) {
		t.Parallel()
		every(t, visit(t, ""), s.url, strange)
	})
	t.Run("of a user", func(t *testing.T) {
		t.Parallel()
		b, other := visit(t, ""), visit(t, "")
		b.register(s, "Ilmer")
		other.signIn(s, "Ilmer")
		b.click(`link("Pharmacy")`, 1)
		b.click(fill, 3)
		wait(b, "shown()", 3)
		b.click(`button("Cetirizine")`, 1)
		b.click(fill, 2)
		b.write("A medicine with quite a long name, 200 mg")
		b.click(fill, 1)
		wait(b, "shown()", 6)
		every(t, b, s.url, own)
		ended := strange[len(strange)-2]
		ended.name, ended.then = "about-ended", func(b *tab) {
			get[any](other, `await fetch("/sessions", {method: "DELETE"})`)
			b.says("Your session was ended.")
		}
		every(t, b, s.url, []view{ended})
	})
	t.Run("of a session that ends", func(t *testing.T) {
		t.Parallel()
		// Two minutes before the longest time is over, it warns.
		s := serve(t, "-idle", "6m", "-absolute", "100s")
		b := visit(t, s.url+"/pharmacy")
		b.click(fill, 1)
		wait(b, "shown()", 1)
		ending := strange[1]
		ending.name, ending.ready = "pharmacy-ending", warning+" && shown() === 1 && "+employees
		every(t, b, s.url, []view{ending})
	})
}

// The check above has to be able to fail.
func TestAxeFindsViolations(t *testing.T) {
	t.Parallel()
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
