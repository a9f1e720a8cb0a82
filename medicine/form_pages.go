package medicine

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/pillboxgo/pillbox/medicine/password"
	"github.com/pillboxgo/pillbox/medicine/web"
	"github.com/pillboxgo/pillbox/session"
)

//go:embed plain
var plainFiles embed.FS

// A plainPage is a page as it is without JavaScript.
type plainPage struct {
	title string
	body  *template.Template

	// fill reads what the page shows of the visitor's session. A page without it
	// is the same for everybody.
	fill func(a *App, r *http.Request, v *view) error
}

// plainPages are the pages by their path.
var plainPages = map[string]plainPage{
	"/":          newPlainPage("Home", "home", nil),
	"/about":     newPlainPage("About", "about", nil),
	"/lab":       newPlainPage("Lab", "lab", nil),
	"/storage":   newPlainPage("Storage", "storage", nil),
	"/pharmacy":  newPlainPage("Pharmacy", "pharmacy", fillPharmacy),
	"/login":     newPlainPage("Sign in", "login", fillAccount),
	"/register":  newPlainPage("Sign up", "register", fillAccount),
	"/dashboard": newPlainPage("Dashboard", "dashboard", fillDashboard),
	"/devices":   newPlainPage("Devices", "devices", fillDevices),
}

var (
	missingPage = newPlainPage("Not found", "missing", nil)
	refusedPage = template.Must(template.ParseFS(plainFiles, "plain/refused.html"))
)

func newPlainPage(title, name string, fill func(*App, *http.Request, *view) error) plainPage {
	body := template.Must(template.New("layout.html").ParseFS(plainFiles, "plain/layout.html", "plain/"+name+".html"))
	return plainPage{title, body, fill}
}

// A view is what a plain page shows.
type view struct {
	Path    string
	Next    string  // where the page leads to, if the visitor came from elsewhere
	Notice  *notice // what became of the form before
	Trouble string  // why the page has less than it should
	Known   bool    // whether User is known, and not only unread
	User    string  // who is signed in, or "" for nobody

	Pills    []tray
	Total    int
	SignedIn time.Time
	Idle     time.Time
	Limit    time.Time
	Devices  []listedSession
}

// A tray is the pills of one name.
type tray struct {
	Name  string
	Count int
}

// fillPage is the [web.Fill] of the application. It reads the session only where
// the page shows something of it, and then a visitor without a cookie still costs
// no call of the store. A store that fails leaves the page to say so: where
// scripts run nobody sees it, and they find out for themselves.
func (a *App) fillPage(w http.ResponseWriter, r *http.Request) (web.Page, bool) {
	p, ok := plainPages[r.URL.Path]
	if !ok {
		p = missingPage
	}
	v := &view{Path: r.URL.Path}
	if p.fill != nil {
		err := p.fill(a, r, v)
		if err != nil {
			p := problemOf(err)
			if p.Code == codeSignedOut {
				seeOther(w, r, "/login?next="+r.URL.Path)
				return web.Page{}, false
			}
			v.Trouble = p.Message
		}
	}
	title := p.title + " · Medicine"
	if v.Notice != nil && v.Notice.Kind == "error" {
		title = "Error: " + title
	}
	return web.Page{Title: title, Plain: v.render(p.body), Flash: v.Notice.String(), Shared: p.fill == nil}, true
}

func (v *view) render(t *template.Template) template.HTML {
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		panic(err) // of our own types into memory; tests show every page
	}
	return template.HTML(b.String()) // by html/template
}

// known notes who is signed in, and what the form before has to say.
func (a *App) known(r *http.Request, v *view) error {
	user, _, err := a.account(r)
	if err != nil {
		return err
	}
	v.User, v.Known, v.Notice = user.Name, true, takeNotice(r)
	return nil
}

func fillAccount(a *App, r *http.Request, v *view) error {
	if next := localPath(r.URL.Query().Get("next")); next != localPath("") {
		v.Next = next
	}
	return a.known(r, v)
}

func fillPharmacy(a *App, r *http.Request, v *view) error {
	if err := a.known(r, v); err != nil {
		return err
	}
	list, err := pills.Get(session.From(r.Context()))
	v.Pills, v.Total = trays(list), len(list)
	return err
}

// trays gathers the pills of one name, in the order in which each name came
// first.
func trays(list []json.RawMessage) []tray {
	var all []tray
	where := map[string]int{}
	for _, pill := range list {
		name := pillName(pill)
		i, ok := where[name]
		if !ok {
			i = len(all)
			where[name] = i
			all = append(all, tray{Name: name})
		}
		all[i].Count++
	}
	return all
}

func fillDashboard(a *App, r *http.Request, v *view) error {
	if err := a.members(r, v); err != nil {
		return err
	}
	s := session.From(r.Context())
	list, err := pills.Get(s)
	if err != nil {
		return err
	}
	info, err := s.Info()
	v.Total, v.SignedIn, v.Idle, v.Limit = len(list), info.SignedIn, info.IdleDeadline, info.AbsoluteDeadline
	return err
}

func fillDevices(a *App, r *http.Request, v *view) error {
	err := a.members(r, v)
	if err == nil {
		v.Devices, err = a.ownSessions(r)
	}
	return err
}

// members is known, for pages of those who are signed in.
func (a *App) members(r *http.Request, v *view) error {
	if err := a.known(r, v); err != nil {
		return err
	}
	if v.User == "" {
		return signedOut()
	}
	return nil
}

// An input is a field of a form, and what is wrong with it.
type input struct {
	Name, Label, Hint string
	Type, Complete    string // as HTML has type and autocomplete
	List              string // the id of what may be picked
	Value, Problem    string
	Focus             bool
}

// Input returns a field. What was typed before is there again, and the field at
// fault has the focus; the first one that can be typed into has it otherwise.
func (v *view) Input(name, label, hint, kind, complete string) input {
	in := input{Name: name, Label: label, Hint: hint, Type: kind, Complete: complete}
	n := v.Notice
	if n == nil || n.Kind != "error" {
		return in
	}
	in.Value = n.Values[name]
	switch n.Field {
	case name:
		in.Problem, in.Focus = n.Message, true
	case "":
		in.Focus = kind == "password" // of a name and a password that do not match
	}
	return in
}

// With returns the field with a list to pick from.
func (in input) With(list string) input {
	in.List = list
	return in
}

// Above returns what the notice says above the form: everything that belongs to
// no field of it.
func (v *view) Above(fields ...string) *notice {
	if v.Notice != nil {
		for _, field := range fields {
			if v.Notice.Field == field {
				return nil
			}
		}
	}
	return v.Notice
}

// Medicines are those to pick from. Any other name can be written.
func (v *view) Medicines() []string {
	return []string{"Ibuprofen", "Paracetamol", "Amoxicillin", "Cetirizine", "Omeprazole", "Vitamin D"}
}

// PasswordHint says what a password needs.
func (v *view) PasswordHint() string {
	return fmt.Sprintf("At least %d characters. A long one is better than a strange one.", password.MinCharacters)
}

// Others returns how many sessions there are beside the visitor's own.
func (v *view) Others() int { return max(len(v.Devices)-1, 0) }

// Shown returns how a pill without a name is called.
func (t tray) Shown() string { return shownPill(t.Name) }

func shownPill(name string) string {
	if name == "" {
		return "pill without a name"
	}
	return name
}

// When returns a time in words that are true everywhere, and for machines.
func (v *view) When(t time.Time) template.HTML {
	if t.IsZero() {
		return "never"
	}
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `">` + t.Format("2 January 2006, 15:04") + " UTC</time>")
}

// refusePage answers a form that cannot be shown again with what was typed, for
// that has not been read, or could not be kept. The browser may still hold it, and
// show it when its visitor goes back.
func refusePage(w http.ResponseWriter, page string, err error) {
	p := problemOf(err)
	var b bytes.Buffer
	if err := refusedPage.Execute(&b, map[string]string{"Page": page, "Title": plainPages[page].title, "Message": p.Message}); err != nil {
		panic(err) // of our own types into memory; tests show it
	}
	h := w.Header()
	web.SetHeaders(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	w.WriteHeader(p.status)
	_, _ = w.Write(b.Bytes()) // a client that left is nobody to tell
}

// plainStyle is the address of the plain pages' style sheet. It is no part of the
// build, so that it can be linked where no script runs only.
const plainStyle = "/plain.css"

func servePlainStyle(w http.ResponseWriter, r *http.Request) {
	web.SetHeaders(w.Header())
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", plainStyleTag)
	http.ServeFileFS(w, r, plainFiles, "plain"+plainStyle)
}

// plainStyleTag is the ETag of the style sheet.
var plainStyleTag = func() string {
	content, err := plainFiles.ReadFile("plain" + plainStyle)
	if err != nil {
		panic(err) // it is embedded
	}
	sum := sha256.Sum256(content)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}()
