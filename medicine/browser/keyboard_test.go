package browser_test

import (
	"fmt"
	"testing"
)

const (
	tabKey   = "\t"
	enterKey = "\r"
)

// reachable are the elements that Tab has to reach, in their order.
const reachable = `all("a[href], button, input, select, textarea, summary, [tabindex='0']").filter((e) => !e.disabled && e.type !== "hidden" && e.tabIndex >= 0 && e.checkVisibility({visibilityProperty: true}))`

// focusLook is how what has the focus looks: it and what is around it, since the
// line around a field may show that the field has it.
const focusLook = `(() => {
	const look = [];
	for (let e = globalThis.focused, n = 0; e && n < 3; e = e.parentElement, n++) {
		const s = getComputedStyle(e);
		look.push(s.outlineStyle === "none" ? "" : s.outlineStyle + s.outlineWidth + s.outlineColor, s.boxShadow, s.borderColor);
	}
	return look.join(";");
})()`

// Tab reaches all there is to click and to type in, once each, and shows where it
// is: by an outline, and by nothing lying over it.
func TestTabReachesEverything(t *testing.T) {
	t.Parallel()
	s := serve(t)
	stranger, user := visit(t, ""), visit(t, "")
	user.register(s, "Ilmer")
	user.click(`link("Pharmacy")`, 1)
	user.click(fill, 2)
	wait(user, "shown()", 2)
	for _, group := range []struct {
		b     *tab
		views []view
	}{{stranger, strange}, {user, own}} {
		for _, v := range group.views {
			if v.name == "storage" || v.name == "devices" || v.name == "pharmacy" || v.name == "not-found" {
				v.ready = reachable + ".length > 8" // with less in it than the pictures have
			} else if v.then != nil && v.name != "home" {
				continue // the same page once more
			}
			t.Run(v.name, func(t *testing.T) {
				group.b.t = t
				group.b.open(s.url + v.path)
				wait(group.b, `!!document.querySelector("h1")`, true)
				wait(group.b, v.ready+` || `+reachable+".length > 8", true)
				group.b.walk()
			})
		}
	}
}

// walk presses Tab until the focus has come round.
func (b *tab) walk() {
	b.t.Helper()
	get[any](b, `document.fonts.ready.then(() => true)`)
	count := func() int { return get[int](b, reachable+".length") }
	want, visited, before := count(), 0, ""
	get[any](b, `(() => { document.activeElement?.blur(); globalThis.reached = new Set(); globalThis.focused = undefined; })()`)
	for {
		b.press(tabKey)
		get[any](b, atRest)
		if before != "" {
			if after := get[string](b, focusLook); after == before {
				b.t.Errorf("nothing shows that %s has the focus", get[string](b, "focused.outerHTML.slice(0, 200)"))
			}
		}
		// The browser's own bar comes after the last element.
		if !get[bool](b, `(() => {
			const e = document.activeElement;
			if (!e || e === document.body || reached.has(e)) return false;
			reached.add(e);
			globalThis.focused = e;
			return true;
		})()`) {
			break
		}
		visited++
		before = get[string](b, focusLook)
		if over := get[string](b, `(() => {
			const r = focused.getBoundingClientRect();
			const top = document.elementFromPoint(Math.min(r.x + r.width / 2, innerWidth - 1), Math.min(Math.max(r.y + r.height / 2, 0), innerHeight - 1));
			return !top || focused.contains(top) || top.contains(focused) || [...focused.labels ?? []].some((l) => l.contains(top)) ? "" : top.outerHTML.slice(0, 200);
		})()`); over != "" {
			b.t.Errorf("over %s, which has the focus, lies %s", get[string](b, "focused.outerHTML.slice(0, 200)"), over)
		}
		if visited > 200 {
			b.t.Fatal("Tab finds no end")
		}
	}
	if visited < want {
		b.t.Errorf("Tab reaches %d of %d elements; not %q", visited, want, get[[]string](b, reachable+`.filter((e) => !reached.has(e)).map((e) => e.outerHTML.slice(0, 120))`))
	}
	if want < 8 {
		b.t.Errorf("the page has %d elements to reach: it was not all there", want)
	}
}

// tabTo presses Tab until an element has the focus.
func (b *tab) tabTo(element string) {
	b.t.Helper()
	wait(b, fmt.Sprintf("!!(%s)", element), true)
	for range 60 {
		b.press(tabKey)
		if get[bool](b, element+" === document.activeElement") {
			return
		}
	}
	b.t.Fatalf("60 presses of Tab do not reach %s", element)
}

// Somebody without a mouse fills a prescription, signs up, looks at the devices
// and signs out.
func TestKeyboardAlone(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.url+"/pharmacy")
	wait(b, "shown()", 0)
	b.press(tabKey)
	wait(b, "nameOf(document.activeElement)", "Skip to the content")
	b.press(enterKey)
	b.tabTo("field()")
	b.press(enterKey)
	wait(b, "shown()", 1)
	b.tabTo(fill)
	b.press(" ")
	wait(b, "shown()", 2)

	b.tabTo(`link("Sign in")`)
	b.press(enterKey)
	b.at("/login", "Sign in")
	wait(b, `nameOf(document.activeElement)`, "Sign in") // the heading of the new page
	b.tabTo(`link("Sign up")`)
	b.press(enterKey)
	b.at("/register", "Sign up")
	b.tabTo(username)
	b.press("Ilmer")
	b.tabTo(password)
	b.press(secret)
	b.press(enterKey)
	b.at("/dashboard", "Hello, Ilmer.")

	b.tabTo(`link("Devices")`)
	b.press(enterKey)
	b.at("/devices", "Devices")
	wait(b, sessionsShown, 1)
	b.wantNoProblem("the keyboard alone")
	b.tabTo(`button("Sign out")`)
	b.press(enterKey)
	b.at("/", strange[0].h1)
}

// On a narrow window the pages stand in a menu that opens and closes.
func TestMenuOfANarrowWindow(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, "")
	b.size(360, 740)
	b.open(s.url + "/")
	wait(b, `!!link("Storage")`, false)
	b.click(`button("Menu")`, 1)
	wait(b, `!!link("Storage")`, true)
	b.press("\x1b")
	wait(b, `!!link("Storage")`, false)
	wait(b, `document.activeElement === button("Menu")`, true)
	b.click(`button("Menu")`, 1)
	b.click(`link("Storage")`, 1)
	b.at("/storage", "Session and local storage")
	wait(b, `!!link("Storage")`, false)
	b.wantNoProblem("the menu")
}

// The colours that a visitor chooses stay chosen, before anything is painted, and
// are those of every page.
func TestColoursAreKept(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.url+"/")
	const background = `getComputedStyle(document.documentElement).backgroundColor`
	wait(b, `!!button("Use dark colours")`, true)
	light := get[string](b, background)
	b.click(`button("Use dark colours")`, 1)
	wait(b, `!!button("Use light colours")`, true)
	get[any](b, atRest)
	dark := get[string](b, background)
	if light == dark {
		t.Errorf("light and dark are both %s", light)
	}
	for _, path := range []string{"/", "/about"} {
		b.open(s.url + path)
		wait(b, background, dark)
		wait(b, `!!button("Use light colours")`, true)
	}
	b.click(`button("Use light colours")`, 1)
	b.do("reload", reload)
	wait(b, background, light)
	// Without a choice the system's count.
	b.media("dark")
	wait(b, background, dark)
	b.wantNoProblem("the colours")
}
