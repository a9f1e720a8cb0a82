package medicine_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/pillboxgo/pillbox/medicine"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// servePlain serves the application on a store with all its powers, which that
// of serve hides, and returns its address. A nil store is one in memory.
func servePlain(t *testing.T, store session.Store, change ...func(*medicine.Config)) string {
	t.Helper()
	if store == nil {
		inner := memstore.New(memstore.Options{})
		t.Cleanup(func() { inner.Close() })
		store = inner
	}
	config := medicine.Config{Session: session.Config{
		Store:   store,
		Secrets: []string{secret},
		Logger:  slog.New(slog.NewTextHandler(t.Output(), nil)),
	}}
	for _, change := range change {
		change(&config)
	}
	app, err := medicine.New(config)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(app.Handler())
	t.Cleanup(s.Close)
	return s.URL
}

// A plainBrowser is a browser that runs no scripts. It keeps the session's
// cookie, follows redirects after forms, and sends what forms hold.
type plainBrowser struct {
	t       *testing.T
	url     string
	agent   string
	address string // that a trusted proxy says that it has
	cookie  string // name=value, or ""
}

func browsePlain(t *testing.T, url string) *plainBrowser {
	return &plainBrowser{t: t, url: url, agent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"}
}

// A document is a page that a browser has loaded, as it is without scripts.
type document struct {
	t      *testing.T
	path   string // with its query
	status int
	header http.Header
	body   string
	root   *html.Node
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// send sends one request, and follows no redirect. The headers are names and
// values in turn.
func (b *plainBrowser) send(method, path string, body io.Reader, headers ...string) document {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	req.Header.Set("User-Agent", b.agent)
	if b.address != "" {
		req.Header.Set("X-Forwarded-For", b.address)
		req.Header.Set("X-Forwarded-Proto", "https")
	}
	if b.cookie != "" {
		req.Header.Set("Cookie", b.cookie)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := noRedirects.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatalf("%s %s: read the answer: %v", method, path, err)
	}
	for _, c := range res.Cookies() {
		if c.Name == cookieName {
			b.cookie = c.Name + "=" + c.Value
			if c.Value == "" || c.MaxAge < 0 {
				b.cookie = ""
			}
		}
	}
	root, err := html.ParseWithOptions(strings.NewReader(string(text)), html.ParseOptionEnableScripting(false))
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return document{b.t, path, res.StatusCode, res.Header, string(text), root}
}

// open loads a page and follows redirects.
func (b *plainBrowser) open(path string) document {
	b.t.Helper()
	return b.follow(b.send("GET", path, nil))
}

func (b *plainBrowser) follow(d document) document {
	b.t.Helper()
	for range 5 {
		if d.status != http.StatusSeeOther {
			return d
		}
		d = b.send("GET", d.header.Get("Location"), nil)
	}
	b.t.Fatalf("more than 5 redirects, the last to %s", d.path)
	return d
}

// post sends a form, as it was written, and follows redirects.
func (b *plainBrowser) post(path, form string) document {
	b.t.Helper()
	return b.follow(b.send("POST", path, strings.NewReader(form), "Content-Type", "application/x-www-form-urlencoded"))
}

// submit sends the form of a document that holds the element with this id, with
// names and values in turn typed into it.
func (b *plainBrowser) submit(d document, id string, typed ...string) document {
	b.t.Helper()
	e := d.byID(id)
	if e == nil {
		b.t.Fatalf("%s has no element #%s:\n%s", d.path, id, d.text())
	}
	for e != nil && e.Data != "form" {
		e = e.Parent
	}
	if e == nil || attribute(e, "method") != "post" {
		b.t.Fatalf("%s: #%s is in no form that is posted", d.path, id)
	}
	values := url.Values{}
	for _, in := range elements(e, "input") {
		values.Set(attribute(in, "name"), attribute(in, "value"))
	}
	for i := 0; i < len(typed); i += 2 {
		if !values.Has(typed[i]) {
			b.t.Fatalf("%s: the form of #%s has no field %q", d.path, id, typed[i])
		}
		values.Set(typed[i], typed[i+1])
	}
	return b.post(attribute(e, "action"), values.Encode())
}

// elements returns the elements of this name in n, or all if it is empty.
func elements(n *html.Node, name string) []*html.Node {
	var all []*html.Node
	for e := range n.Descendants() {
		if e.Type == html.ElementNode && (name == "" || e.Data == name) {
			all = append(all, e)
		}
	}
	return all
}

func attribute(e *html.Node, name string) string {
	for _, a := range e.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasAttribute(e *html.Node, name string) bool {
	return slices.ContainsFunc(e.Attr, func(a html.Attribute) bool { return a.Key == name })
}

func (d document) byID(id string) *html.Node {
	for _, e := range elements(d.root, "") {
		if attribute(e, "id") == id {
			return e
		}
	}
	return nil
}

// textOf returns the text of the element with this id, or "" where there is none.
func (d document) textOf(id string) string {
	if e := d.byID(id); e != nil {
		return textIn(e)
	}
	return ""
}

// text returns the text of the page, without its head.
func (d document) text() string {
	for _, e := range elements(d.root, "body") {
		return textIn(e)
	}
	return ""
}

func textIn(n *html.Node) string {
	var b strings.Builder
	for e := range n.Descendants() {
		if e.Type == html.TextNode {
			b.WriteString(e.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// wantProblem checks that the page shows this message at this field, that
// assistive technology finds it there, and that the field has the focus.
func (d document) wantProblem(field, message string) {
	d.t.Helper()
	in := d.byID(field)
	if in == nil {
		d.t.Errorf("%s (%d) has no field %s: %s", d.path, d.status, field, head(d.text()))
		return
	}
	described := strings.Fields(attribute(in, "aria-describedby"))
	if got := d.textOf(field + "-problem"); !strings.Contains(got, message) || attribute(in, "aria-invalid") != "true" || !slices.Contains(described, field+"-problem") {
		d.t.Errorf("%s: at the field %s is %q, aria-invalid=%q, aria-describedby=%q; want %q there, true, and its id", d.path, field, got, attribute(in, "aria-invalid"), described, message)
	}
	d.wantFocus(field)
	if d.status != http.StatusOK {
		d.t.Errorf("%s = %d; want 200", d.path, d.status)
	}
}

// wantFocus checks that this field has the focus, and no other.
func (d document) wantFocus(field string) {
	d.t.Helper()
	var got []string
	for _, e := range elements(d.root, "") {
		if hasAttribute(e, "autofocus") {
			got = append(got, attribute(e, "id"))
		}
	}
	if !slices.Equal(got, []string{field}) {
		d.t.Errorf("%s: the focus is on %q; want it on %s", d.path, got, field)
	}
}

// wantValue checks what is in a field.
func (d document) wantValue(field, value string) {
	d.t.Helper()
	in := d.byID(field)
	if in == nil || attribute(in, "value") != value {
		d.t.Errorf("%s: the field %s does not hold %q: %s", d.path, field, head(value), head(d.text()))
	}
}

// signUp makes an account and is signed in to it.
func (b *plainBrowser) signUp(name, password string) document {
	b.t.Helper()
	d := b.submit(b.open("/register"), "sign-up", "username", name, "password", password)
	if d.path != "/dashboard" || d.textOf("user") != name {
		b.t.Fatalf("sign up as %q leads to %s: %s", name, d.path, head(d.text()))
	}
	return d
}

func (b *plainBrowser) signIn(name, password string) document {
	b.t.Helper()
	return b.submit(b.open("/login"), "sign-in", "username", name, "password", password)
}
