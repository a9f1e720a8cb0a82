package browser_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// place is where to click an element. It awaits nothing, since timers stand still
// in a page whose scripts are switched off.
const place = `(() => {
	const e = %s;
	if (!e) throw new Error("it is not there");
	e.scrollIntoView({block: "center", behavior: "instant"});
	const r = e.getBoundingClientRect();
	const [x, y] = [r.x + r.width / 2, r.y + r.height / 2];
	const top = document.elementFromPoint(x, y);
	if (!top || !(e.contains(top) || top.contains(e))) throw new Error("over it lies " + top?.outerHTML.slice(0, 200));
	globalThis.clickedAt ??= (addEventListener("click", () => (globalThis.clickedAt = Date.now()), {capture: true}), 0);
	return [x, y];
})()`

// click clicks an element n times with the mouse, as fast as the browser takes
// it, once the element stays where it is and nothing lies over it.
func (b *tab) click(element string, n int) {
	b.t.Helper()
	var at, last [2]float64
	waitFor(b.t, "a place to click "+element, func() (err error) {
		last = at
		if at, err = eval[[2]float64](b, fmt.Sprintf(place, element)); err == nil && at != last {
			err = fmt.Errorf("it moves from %v to %v", last, at)
		}
		return err // the page may be loading
	})
	b.do("click "+element, slices.Repeat([]chromedp.Action[chromedp.Void]{chromedp.MouseClickXY(at[0], at[1])}, n)...)
}

// enter replaces the text of a field, as typing does.
func (b *tab) enter(element, text string) {
	b.t.Helper()
	b.click(element, 1)
	get[any](b, element+".select()")
	if text == "" {
		b.press("\x7f")
	} else {
		call(b, input.InsertText, input.InsertTextParams{Text: text})
	}
	wait(b, element+".value", text)
}

// write is enter for the name of the medicine.
func (b *tab) write(text string) {
	b.t.Helper()
	b.enter("field()", text)
}

// press presses keys, as chromedp spells them.
func (b *tab) press(keys string) {
	b.t.Helper()
	b.do("press a key", chromedp.KeyEvent(keys))
}

// says waits until the page shows a text.
func (b *tab) says(text string) {
	b.t.Helper()
	wait(b, fmt.Sprintf("says(%q)", text), true)
}

// at waits until the page of this path is open and shows its title and, as the
// one heading of the first rank, h1.
func (b *tab) at(path, h1 string) {
	b.t.Helper()
	wait(b, "location.pathname + location.search", path)
	wait(b, "h1()", h1)
}

// reload is what F5 does.
var reload = chromedp.Reload()

// close closes the tab, as a visitor does.
func (b *tab) close() {
	b.t.Helper()
	call(b, page.Close, cdp.Empty{})
}

// A stopwatch tells what a visitor sees, to the millisecond: both times are taken
// in the pages, by the clock of the machine, so that the way to the test and back
// is not among what is measured.
const stopwatch = `(() => {
	globalThis.sawAt = 0;
	const look = () => {
		if (%s) globalThis.sawAt = Date.now();
		else setTimeout(look, 4);
	};
	look();
	return true;
})()`

// watch begins to look for the moment from which an expression is true.
func (b *tab) watch(expression string) {
	b.t.Helper()
	get[bool](b, fmt.Sprintf(stopwatch, expression))
}

// since returns how long after the last click in another tab this one saw what it
// watches for. It fails the test if the page was loaded anew meanwhile.
func (b *tab) since(clicked *tab) time.Duration {
	b.t.Helper()
	wait(b, "globalThis.sawAt > 0", true)
	return time.Duration(get[float64](b, "globalThis.sawAt")-get[float64](clicked, "globalThis.clickedAt")) * time.Millisecond
}

// wantWithin checks that each of these tabs saw what it watches for within a time
// after the last click in the tab clicked, and logs what was measured.
func wantWithin(t *testing.T, limit time.Duration, what string, clicked *tab, tabs ...*tab) {
	t.Helper()
	for n, b := range tabs {
		took := b.since(clicked)
		t.Logf("%s: seen by tab %d of %d after %v", what, n+1, len(tabs), took)
		if took > limit {
			t.Errorf("%s: seen by tab %d after %v; want %v at most", what, n+1, took, limit)
		}
	}
}
