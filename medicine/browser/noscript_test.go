package browser_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// visitPlain opens a browser that runs no scripts of pages.
func visitPlain(t *testing.T, url string) *tab {
	t.Helper()
	b := visit(t, "")
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.openPlain(url)
	return b
}

// openPlain does not wait for what only a script tells.
func (b *tab) openPlain(url string) {
	b.t.Helper()
	call(b, page.Navigate, page.NavigateParams{URL: url})
}

// focused is the id of the element that has the focus.
const focused = `document.activeElement?.id ?? ""`

// From sign-up to sign-out with the mouse and the keyboard, and no script: each
// page as it is met is no wider than the window, and is there to look at.
func TestFormsWithoutJavaScript(t *testing.T) {
	if err := os.MkdirAll(screenshots, 0o755); err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	b := visitPlain(t, s.url+"/")
	look := func(b *tab, name string) {
		t.Helper()
		for _, colours := range []string{"light", "dark"} {
			b.media(colours)
			for _, size := range []struct {
				name          string
				width, height int64
			}{{"wide", 1280, 900}, {"narrow", 360, 740}} {
				name := strings.Join([]string{"plain", name, colours, size.name}, "-")
				b.size(size.width, size.height)
				wait(b, "document.documentElement.scrollWidth > innerWidth", false)
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

	b.at("/", "The shelf remembers. You carry the ticket.")
	if got := get[string](b, "document.title"); got != "Home · Medicine" {
		t.Errorf("the title is %q; want Home · Medicine", got)
	}
	look(b, "home")

	// A pill before anybody is known.
	b.click(`link("Pharmacy")`, 1)
	b.at("/pharmacy", "Pharmacy")
	b.says("The tray is empty.")
	b.enter(`labelled("Medicine")`, "   ")
	b.click(`button("Fill Prescription")`, 1)
	wait(b, `wrong(labelled("Medicine")).includes("Write the name of a medicine.")`, true)
	wait(b, focused, "name")
	for _, name := range []string{"Ibuprofen", "Ibuprofen", "A medicine with quite a long name, 200 mg <b>"} {
		b.enter(`labelled("Medicine")`, name)
		b.press("\r") // as a keyboard sends a form
		b.says(name + " is in your tray.")
	}
	b.says("Ibuprofen × , 2")
	s.wantStored("Ibuprofen", "Ibuprofen", "A medicine with quite a long name, 200 mg <b>")
	look(b, "pharmacy")

	b.click(`link("Sign up")`, 1)
	b.at("/register", "Sign up")
	b.enter(`labelled("User name")`, "Ilmer")
	b.enter(`labelled("Password")`, "short")
	b.click(`button("Sign up")`, 1)
	wait(b, `wrong(labelled("Password")).includes("at least 8 characters")`, true)
	wait(b, `labelled("User name").value`, "Ilmer")
	wait(b, focused, "password")
	look(b, "register")
	before := b.cookie(s.url)
	b.enter(`labelled("Password")`, "a horse, a battery and a staple")
	b.click(`button("Sign up")`, 1)
	b.at("/dashboard", "Dashboard")
	b.says("Hello, Ilmer")
	b.says("Pills in your tray 3")
	if b.cookie(s.url) == before {
		t.Error("the cookie is the same after signing up")
	}
	look(b, "dashboard")

	// On another device, from a page that asks to sign in first.
	other := visitPlain(t, s.url+"/devices")
	other.at("/login?next=/devices", "Sign in")
	other.enter(`labelled("User name")`, "ilmer")
	other.enter(`labelled("Password")`, "not the password")
	other.click(`button("Sign in")`, 1)
	other.says("User name and password do not match.")
	wait(other, focused, "password")
	wait(other, `labelled("User name").value`, "ilmer")
	look(other, "login")
	other.enter(`labelled("Password")`, "a horse, a battery and a staple")
	other.click(`button("Sign in")`, 1)
	other.at("/devices", "Devices")

	b.click(`link("Devices")`, 1)
	b.at("/devices", "Devices")
	wait(b, `all("#devices > li").length`, 2)
	look(b, "devices")
	b.click(`button(/^End it/)`, 1)
	b.says("That session was ended.")
	wait(b, `all("#devices > li").length`, 1)
	other.openPlain(s.url + "/dashboard")
	other.at("/login?next=/dashboard", "Sign in")

	b.click(`link("Dashboard")`, 1)
	b.at("/dashboard", "Dashboard")
	b.click(`button("Sign out")`, 1)
	b.at("/", "The shelf remembers. You carry the ticket.")
	if got := b.cookie(s.url); got != "" {
		t.Error("after signing out the cookie is still there")
	}
	b.openPlain(s.url + "/devices")
	b.at("/login?next=/devices", "Sign in")
	for _, name := range []string{"Storage", "Lab", "About"} {
		b.click(fmt.Sprintf("link(%q)", name), 1)
		b.at("/"+strings.ToLower(name), name)
		look(b, strings.ToLower(name))
	}
	b.wantNoProblem("without JavaScript")
	other.wantNoProblem("another device")
}

// A form larger than any page sends is answered with a page that says so, even
// while the browser is still sending it.
func TestFormTooLargeWithoutJavaScript(t *testing.T) {
	s := serve(t)
	b := visitPlain(t, s.url+"/pharmacy")
	b.at("/pharmacy", "Pharmacy")
	b.click("field()", 1)
	get[any](b, `field().value = "x".repeat(10_000_000)`)
	b.click(`button("Fill Prescription")`, 1)
	b.says("What you sent is too long: this form takes 16384 bytes in all.")
	if got := s.stored(); len(got) != 0 {
		t.Errorf("stored are %d sessions; want none", len(got))
	}
}
