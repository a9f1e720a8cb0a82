package medicine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pillboxgo/pillbox/medicine/web"
	"github.com/pillboxgo/pillbox/session"
)

// formRoutes registers the pages as they are without JavaScript, their style
// sheet, and what they send. The forms of accounts come by accountRoutes.
func (a *App) formRoutes() {
	pages := web.Pages(a.fillPage)
	a.mux.Handle("/", pages) // and their files, and whatever there is not
	for _, path := range []string{"/login", "/register", "/devices", "/pharmacy"} {
		a.mux.Handle("GET "+path, pages)
		a.mux.HandleFunc(path, onlyMethods("GET, HEAD, POST"))
	}
	a.mux.HandleFunc("POST /pharmacy", a.pharmacyForm)
	a.mux.HandleFunc("POST /devices", a.devicesForm)
	a.mux.HandleFunc("GET "+plainStyle, servePlainStyle)
}

func (a *App) loginForm(w http.ResponseWriter, r *http.Request) {
	a.accountForm(w, r, "/login", func(name, password string) error {
		_, err := a.signIn(r, name, password)
		return err
	})
}

func (a *App) registerForm(w http.ResponseWriter, r *http.Request) {
	a.accountForm(w, r, "/register", func(name, password string) error {
		_, err := a.register(r, name, password)
		return err
	})
}

// accountForm reads a form with a user name and a password, and goes on to where
// the form says after do has returned nil.
func (a *App) accountForm(w http.ResponseWriter, r *http.Request, page string, do func(name, password string) error) {
	f, err := readForm(r)
	if err != nil {
		refusePage(w, page, err)
		return
	}
	next := localPath(url.Values(f).Get("next"))
	name, err := f.text("username", "The user name")
	if err == nil {
		var password string
		if password, err = f.text("password", "The password"); err == nil {
			err = do(name, password)
		}
	}
	if err != nil {
		back(w, r, page, withNext(page, next), f.typed("username"), err)
		return
	}
	seeOther(w, r, next)
}

// withNext returns the address of a page that leads to next.
func withNext(page, next string) string {
	if next == localPath("") {
		return page
	}
	return page + "?next=" + url.QueryEscape(next)
}

func (a *App) logoutForm(w http.ResponseWriter, r *http.Request) {
	if err := a.signOut(r); err != nil {
		refusePage(w, "/dashboard", err)
		return
	}
	seeOther(w, r, "/")
}

// pharmacyForm adds a pill (name), removes the last of a name (remove), or
// removes all (clear).
func (a *App) pharmacyForm(w http.ResponseWriter, r *http.Request) {
	const page = "/pharmacy"
	f, err := readForm(r)
	if err != nil {
		refusePage(w, page, err)
		return
	}
	s := session.From(r.Context())
	switch {
	case f.has("clear"):
		err = clearTray(s, page)
	case f.has("remove"):
		err = removeFromTray(s, page, f)
	default:
		err = addToTray(s, page, f)
	}
	if err != nil {
		back(w, r, page, page, f.typed("name"), err)
		return
	}
	seeOther(w, r, page)
}

func addToTray(s *session.Session, page string, f form) error {
	name, err := f.text("name", "The name")
	if err != nil {
		return err
	}
	name = strings.TrimSpace(name)
	switch n := utf8.RuneCountInString(name); {
	case n == 0:
		return &problem{status: http.StatusBadRequest, Code: "invalid_name", Message: "Write the name of a medicine.", Field: "name"}
	case n > maxName:
		return &problem{status: http.StatusBadRequest, Code: "invalid_name", Message: fmt.Sprintf("The name has %d characters; %d are the most.", n, maxName), Field: "name"}
	}
	// As a script would send it, so with < > & as they are.
	var pill bytes.Buffer
	enc := json.NewEncoder(&pill)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]string{"name": name}); err != nil {
		return err
	}
	if err := (notice{Kind: "done", Message: name + " is in your tray."}).put(s, page); err != nil {
		return err
	}
	_, err = pills.Update(s, func(list []json.RawMessage) []json.RawMessage {
		return append(list, bytes.TrimSpace(pill.Bytes()))
	})
	return err
}

func removeFromTray(s *session.Session, page string, f form) error {
	name, err := f.text("remove", "The name")
	if err != nil {
		return err
	}
	gone := &problem{status: http.StatusNotFound, Code: "no_such_pill", Message: fmt.Sprintf("There is no “%s” in your tray.", name)}
	list, err := pills.Get(s)
	if err != nil {
		return err
	}
	if findPill(list, len(list)-1, name) < 0 {
		return gone
	}
	found := false
	_, err = pills.Update(s, func(list []json.RawMessage) []json.RawMessage {
		i := findPill(list, len(list)-1, name)
		if found = i >= 0; found {
			list = slices.Delete(list, i, i+1)
		}
		return list
	})
	if err == nil && !found {
		return gone
	}
	if err != nil {
		return err
	}
	return notice{Kind: "done", Message: "One " + shownPill(name) + " was removed."}.leave(s, page)
}

func clearTray(s *session.Session, page string) error {
	list, err := pills.Get(s)
	if err != nil || len(list) == 0 {
		return err
	}
	if err := pills.Delete(s); err != nil {
		return err
	}
	return notice{Kind: "done", Message: "The tray is empty."}.leave(s, page)
}

// devicesForm ends one of the user's sessions (session), or all others (others).
func (a *App) devicesForm(w http.ResponseWriter, r *http.Request) {
	const page = "/devices"
	f, err := readForm(r)
	if err != nil {
		refusePage(w, page, err)
		return
	}
	said, err := a.endByForm(r, f)
	if err == nil && said != "" {
		err = notice{Kind: "done", Message: said}.leave(session.From(r.Context()), page)
	}
	if err != nil {
		back(w, r, page, page, nil, err)
		return
	}
	seeOther(w, r, page)
}

// endByForm ends what a form asks for and returns what to say of it: nothing
// where the session ended that would have to keep it for the next page.
func (a *App) endByForm(r *http.Request, f form) (said string, err error) {
	if f.has("others") {
		n, err := a.endOthers(r)
		if n == 1 {
			return "1 other session was ended.", err
		}
		return fmt.Sprintf("%d other sessions were ended.", n), err
	}
	publicID, err := f.text("session", "The session")
	if err != nil {
		return "", err
	}
	_, current, err := owner(r)
	if err == nil {
		err = a.endOne(r, publicID)
	}
	if err != nil || publicID == current {
		return "", err
	}
	return "That session was ended.", nil
}

// back leads to the page of a form that could not be done, and has it say what
// is wrong. address is that of the page, with its query.
func back(w http.ResponseWriter, r *http.Request, page, address string, typed map[string]string, err error) {
	p := problemOf(err)
	if p.Code == codeSignedOut {
		seeOther(w, r, "/login?next="+page)
		return
	}
	// Only what another try with the same form can put right: anything else is
	// told at once, and nothing is kept for it.
	if p.Field == "" && p.status != http.StatusUnauthorized && p.status != http.StatusNotFound {
		refusePage(w, page, err)
		return
	}
	n := notice{Kind: "error", Message: p.Message, Field: p.Field, Values: typed}
	if err := n.leave(session.From(r.Context()), page); err != nil {
		refusePage(w, page, err)
		return
	}
	seeOther(w, r, address)
}

// seeOther leads a browser that has sent a form to a page, so that loading the
// page again sends nothing again.
func seeOther(w http.ResponseWriter, r *http.Request, address string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, address, http.StatusSeeOther)
}
