package browser_test

import (
	"os"
	"path/filepath"
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

// Every page, in light and dark, wide and narrow: no violation that axe-core
// finds (of WCAG 2.2 and its best practices), nothing that is wider than the
// window, and a picture to look at.
func TestPagesAreAccessible(t *testing.T) {
	browser(t) // before npm is asked for
	axe, err := os.ReadFile(filepath.Join(need.NPM(t, "."), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(screenshots, 0o755); err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	b := visit(t, s.url+"/")
	for _, p := range []struct{ name, path, ready string }{
		{"home-new", "/", `document.body.innerText.includes("Nothing yet.") && section("Employees Available")?.innerText.includes("Homer")`},
		{"pharmacy-empty", "/pharmacy", `shown() === 0 && section("Employees Available")?.innerText.includes("Homer")`},
		{"pharmacy", "/pharmacy", `shown() === 6 && section("Employees Available")?.innerText.includes("Homer")`},
		{"home", "/", `document.body.innerText.includes("Kept in") && section("Employees Available")?.innerText.includes("Homer")`},
		{"about", "/about", `document.querySelector("h1") !== null`},
		{"not-found", "/no/such/page", `document.querySelector("h1") !== null`},
	} {
		if p.name == "pharmacy" {
			b.size(1280, 900)
			b.open(s.url + p.path)
			b.click(fill, 3)
			wait(b, "shown()", 3)
			b.click(`button("Cetirizine")`, 1)
			b.click(fill, 2)
			b.write("A medicine with quite a long name, 200 mg")
			b.click(fill, 1)
			wait(b, "shown()", 6)
		}
		b.open(s.url + p.path)
		wait(b, p.ready, true)
		get[any](b, "document.fonts.ready.then(() => true)")
		b.do("load axe-core", chromedp.Evaluate[chromedp.Void](string(axe)))
		for _, colours := range []string{"light", "dark"} {
			b.media(colours)
			for _, size := range []struct {
				name          string
				width, height int64
			}{{"wide", 1280, 900}, {"narrow", 360, 740}} {
				name := strings.Join([]string{p.name, colours, size.name}, "-")
				b.size(size.width, size.height)
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
	}
	b.wantNoProblem("all pages")
}

// The check above has to be able to fail.
func TestAxeFindsViolations(t *testing.T) {
	browser(t)
	axe, err := os.ReadFile(filepath.Join(need.NPM(t, "."), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	b := visit(t, "about:blank")
	get[any](b, `document.write('<p style="color:#aaa;background:#bbb">faint</p><input><img src="x.png">')`)
	b.do("load axe-core", chromedp.Evaluate[chromedp.Void](string(axe)))
	got := get[string](b, `axe.run().then((r) => r.violations.map((v) => v.id).join(" "))`)
	for _, want := range []string{"color-contrast", "image-alt", "label"} {
		if !strings.Contains(got, want) {
			t.Errorf("axe-core finds %s in a bad page; want %s among it", got, want)
		}
	}
}
