package medicine_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

func escape(text string) string { return url.QueryEscape(text) }

// Every bad input is told of at its field; what was typed is there again, but
// for passwords.
func TestBadInputIsToldAtItsField(t *testing.T) {
	address := servePlain(t, nil)
	browsePlain(t, address).signUp("Ilmer", goodPassword)
	long := strings.Repeat("ö", 101)
	for _, test := range []struct {
		name, path, form string
		field, message   string
		kept             string // in the field for the name
	}{
		{"no medicine", "/pharmacy", "name=", "name", "Write the name of a medicine.", ""},
		{"blank medicine", "/pharmacy", "name=+%09+", "name", "Write the name of a medicine.", " \t "},
		{"medicine missing", "/pharmacy", "nme=x", "name", "Write the name of a medicine.", ""},
		{"empty form", "/pharmacy", "", "name", "Write the name of a medicine.", ""},
		{"medicine too long", "/pharmacy", "name=" + escape(long), "name", "The name has 101 characters; 100 are the most.", long},
		{"medicine twice", "/pharmacy", "name=One&name=Two", "name", "The name came 2 times in one form.", "One"},
		{"medicine in Latin 1", "/pharmacy", "name=Zo%EB", "name", "The name is not text in UTF-8.", "Zo\ufffd"},
		{"medicine with NUL", "/pharmacy", "name=a%00b", "name", "The name holds a character that nobody can type (NUL).", "a\ufffdb"},
		{"hostile medicine", "/pharmacy", "name=" + escape(`"><script>alert(1)</script>`+long), "name", "100 are the most.", `"><script>alert(1)</script>` + long},

		{"no user name", "/login", "username=&password=x", "username", "Enter your user name.", ""},
		{"no password", "/login", "username=Ilmer&password=", "password", "Enter your password.", "Ilmer"},
		{"password missing", "/login", "username=Ilmer", "password", "Enter your password.", "Ilmer"},
		{"user name twice", "/login", "username=Ilmer&username=Homer&password=x", "username", "The user name came 2 times", "Ilmer"},
		{"password twice", "/login", "username=Ilmer&password=x&password=y", "password", "The password came 2 times", "Ilmer"},
		{"password in Latin 1", "/login", "username=Ilmer&password=%FF", "password", "The password is not text in UTF-8.", "Ilmer"},
		{"password with NUL", "/login", "username=Ilmer&password=%00", "password", "(NUL)", "Ilmer"},
		{"hostile user name", "/login", "username=" + escape(`"><img src=x onerror=alert(1)>`) + "&password=", "password", "Enter your password.", `"><img src=x onerror=alert(1)>`},

		{"no name for the account", "/register", "username=&password=" + escape(goodPassword), "username", "Enter a user name.", ""},
		{"name with a space", "/register", "username=a+b&password=" + escape(goodPassword), "username", "no spaces", "a b"},
		{"name too long", "/register", "username=" + strings.Repeat("a", 65) + "&password=" + escape(goodPassword), "username", "at most 64 characters", strings.Repeat("a", 65)},
		{"name in UTF-16", "/register", "username=%FE%FF%00a&password=" + escape(goodPassword), "username", "not text in UTF-8", "\ufffd\ufffda"},
		{"name taken", "/register", "username=ILMER&password=" + escape(goodPassword), "username", "Somebody has this user name already.", "ILMER"},
		{"password too short", "/register", "username=Homer&password=short", "password", "at least 8 characters", "Homer"},
		{"password too long", "/register", "username=Homer&password=" + strings.Repeat("p", 8<<10), "password", "", "Homer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := browsePlain(t, address)
			d := b.post(test.path, test.form)
			if d.path != test.path {
				t.Errorf("the form leads to %s; want %s", d.path, test.path)
			}
			d.wantProblem(test.field, test.message)
			field := "username"
			if test.path == "/pharmacy" {
				field = "name"
			} else if in := d.byID("password"); in == nil || attribute(in, "value") != "" {
				t.Error("the field for the password is not empty")
			}
			d.wantValue(field, test.kept)
			if n := len(elements(d.root, "img")) + len(elements(d.root, "script")); n != 3 {
				t.Errorf("the page has %d images and scripts; want the logo and its own two scripts", n)
			}
			title := textIn(elements(d.root, "title")[0])
			if !strings.HasPrefix(title, "Error: ") {
				t.Errorf("the title is %q; want it to begin with Error", title)
			}
			if d.header.Get("Cache-Control") != "no-store" || d.header.Get("ETag") != "" {
				t.Errorf("Cache-Control = %q, ETag = %q; want no-store and none", d.header.Get("Cache-Control"), d.header.Get("ETag"))
			}
		})
	}
}

// A name and a password that do not match are no fault of one field.
func TestWrongPasswordKeepsTheName(t *testing.T) {
	address := servePlain(t, nil)
	browsePlain(t, address).signUp("Ilmer", goodPassword)
	b := browsePlain(t, address)
	var pages [2]string
	for i, name := range []string{"Ilmer", "Nobody"} {
		d := b.signIn(name, "another password")
		if got := d.textOf("notice"); got != "User name and password do not match. Check both and try again." {
			t.Errorf("signing in as %s says %q", name, got)
		}
		d.wantValue("username", name)
		d.wantFocus("password")
		pages[i] = strings.ReplaceAll(d.body, name, "NAME")
	}
	if pages[0] != pages[1] {
		t.Error("the page tells whether there is such an account")
	}
}

// What cannot be read is refused at once, and leaves what was typed to the browser.
func TestFormsThatCannotBeRead(t *testing.T) {
	address := servePlain(t, nil)
	const form = "application/x-www-form-urlencoded"
	for _, test := range []struct {
		name        string
		contentType string
		body        string
		headers     []string
		status      int
		message     string
	}{
		{name: "files", contentType: "multipart/form-data; boundary=x", body: "--x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\na\r\n--x--\r\n", status: 415, message: "with no files"},
		{name: "in Latin 1", contentType: form + "; charset=iso-8859-1", body: "name=a", status: 415, message: "in UTF-8 only"},
		{name: "with a broken type", contentType: form + "; charset", body: "name=a", status: 415, message: "in UTF-8 only"},
		{name: "compressed", contentType: form, body: "name=a", headers: []string{"Content-Encoding", "gzip"}, status: 415, message: "without Content-Encoding"},
		{name: "half an escape", contentType: form, body: "name=%4", status: 400, message: "no form that can be read"},
		{name: "16 KiB and a byte", contentType: form, body: "name=" + strings.Repeat("x", 16<<10-4), status: 413, message: "takes 16384 bytes in all"},
		{name: "10 MB", contentType: form, body: "name=" + strings.Repeat("x", 10_000_000), status: 413, message: "takes 16384 bytes in all"},
	} {
		for _, path := range []string{"/pharmacy", "/login", "/register", "/devices"} {
			if len(test.body) > 1<<20 && path != "/pharmacy" {
				continue // each megabyte takes its time
			}
			t.Run(test.name+path, func(t *testing.T) {
				b := browsePlain(t, address)
				d := b.send("POST", path, strings.NewReader(test.body), append([]string{"Content-Type", test.contentType}, test.headers...)...)
				if d.status != test.status || !strings.Contains(d.textOf("notice"), test.message) {
					t.Errorf("POST %s = %d %q; want %d %q", path, d.status, d.textOf("notice"), test.status, test.message)
				}
				if !strings.Contains(d.text(), "may still hold what you typed") {
					t.Errorf("the page does not say where what was typed is: %s", d.text())
				}
				if d.header.Get("Content-Type") != "text/html; charset=utf-8" || d.header.Get("Cache-Control") != "no-store" || !strings.HasPrefix(d.header.Get("Content-Security-Policy"), "default-src 'self';") {
					t.Errorf("the headers are %v; want those of a page that is not kept", d.header)
				}
				if b.cookie != "" {
					t.Error("a form that was not read began a session")
				}
			})
		}
	}
}

func TestFormOf16KiBIsRead(t *testing.T) {
	b := browsePlain(t, servePlain(t, nil))
	b.post("/pharmacy", "name="+strings.Repeat("x", 16<<10-5)).wantProblem("name", "The name has 16379 characters")
	if d := b.send("POST", "/pharmacy", strings.NewReader("name=a"), "Content-Type", "Application/X-WWW-Form-Urlencoded; Charset=UTF-8"); d.status != http.StatusSeeOther {
		t.Errorf("a form with a type in capitals = %d; want 303", d.status)
	}
}

// A form on its way when the client leaves is no form.
func TestFormThatBreaksOff(t *testing.T) {
	s := serve(t)
	r, w := io.Pipe()
	go func() {
		io.WriteString(w, "name=half")
		w.CloseWithError(errors.New("gone"))
	}()
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/pharmacy", r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if res, err := noRedirects.Do(req); err == nil {
		res.Body.Close()
		t.Errorf("a form that broke off = %d; want no answer, since nobody is there", res.StatusCode)
	}
	if n := s.sessions(t); n != 0 {
		t.Errorf("%d sessions are stored; want none", n)
	}
}

func TestTooManyAttemptsSayWhen(t *testing.T) {
	b := browsePlain(t, servePlain(t, nil))
	for range 100 {
		d := b.send("POST", "/login", strings.NewReader("username=Ilmer&password=wrong"), "Content-Type", "application/x-www-form-urlencoded")
		if d.status == http.StatusSeeOther {
			continue
		}
		if d.status != http.StatusTooManyRequests || d.header.Get("Retry-After") == "" || !strings.Contains(d.textOf("notice"), "too many attempts") {
			t.Errorf("after many attempts: %d, Retry-After %q, %s", d.status, d.header.Get("Retry-After"), d.text())
		}
		return
	}
	t.Error("100 wrong passwords were all checked")
}

// A store that fails is told of on the page, in HTML, with the status that says so.
func TestFormsWhileTheStoreIsDown(t *testing.T) {
	s := serve(t)
	b := browsePlain(t, s.URL)
	b.post("/pharmacy", "name=kept")
	s.store.failWith(func(string) error { return errors.New("dial tcp 192.0.2.7:6379: password hunter2") })
	for _, form := range []string{"name=lost", "name=", "remove=kept", "clear=1"} {
		d := b.send("POST", "/pharmacy", strings.NewReader(form), "Content-Type", "application/x-www-form-urlencoded")
		if d.status != http.StatusServiceUnavailable || !strings.Contains(d.textOf("notice"), "not available at the moment") || strings.Contains(d.body, "hunter2") {
			t.Errorf("POST %s with the store down = %d %s; want 503 and a sentence", form, d.status, d.text())
		}
	}
	for _, path := range []string{"/pharmacy", "/login", "/dashboard", "/devices"} {
		d := b.send("GET", path, nil)
		if d.status != 200 || !strings.Contains(d.textOf("trouble"), "not available at the moment") {
			t.Errorf("GET %s with the store down = %d %s; want 200, for the script, and a sentence", path, d.status, d.text())
		}
	}
	s.store.failWith(func(string) error { return nil })
	if d := b.open("/pharmacy"); d.textOf("total") != "1" || d.textOf("trouble") != "" {
		t.Errorf("once the store is back: %s", d.text())
	}
}

// The same page for everybody may be kept; that of one visitor never is. A
// visitor who brings no cookie costs no call of the store.
func TestPlainPagesOfNewVisitors(t *testing.T) {
	s := serve(t)
	b := browsePlain(t, s.URL)
	for path, title := range map[string]string{
		"/": "Home", "/about": "About", "/lab": "Lab", "/storage": "Storage",
		"/pharmacy": "Pharmacy", "/login": "Sign in", "/register": "Sign up", "/login?next=/lab": "Sign in",
	} {
		d := b.send("GET", path, nil)
		if got := textIn(elements(d.root, "title")[0]); d.status != 200 || got != title+" · Medicine" {
			t.Errorf("GET %s = %d %q; want 200 %q", path, d.status, got, title+" · Medicine")
		}
		if n := len(elements(d.root, "h1")); n != 1 {
			t.Errorf("GET %s has %d first headings; want 1", path, n)
		}
		if !strings.Contains(d.text(), "JavaScript is off") {
			t.Errorf("GET %s does not say why the page is plain", path)
		}
		etag, caching := d.header.Get("ETag"), d.header.Get("Cache-Control")
		switch shared := title == "Home" || title == "About" || title == "Lab" || title == "Storage"; {
		case shared && (etag == "" || caching != "no-cache"):
			t.Errorf("GET %s: ETag %q, Cache-Control %q; want one, and no-cache", path, etag, caching)
		case shared:
			if d := b.send("GET", path, nil, "If-None-Match", etag); d.status != 304 {
				t.Errorf("GET %s again = %d; want 304", path, d.status)
			}
		case etag != "" || caching != "no-store":
			t.Errorf("GET %s: ETag %q, Cache-Control %q; want none, and no-store", path, etag, caching)
		}
		for _, e := range elements(d.root, "") {
			for _, a := range e.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
					t.Errorf("GET %s: <%s %s> is refused by the page's own policy", path, e.Data, a.Key)
				}
			}
		}
		ids := map[string]bool{}
		for _, e := range elements(d.root, "") {
			if id := attribute(e, "id"); id != "" {
				if ids[id] {
					t.Errorf("GET %s: two elements have the id %s", path, id)
				}
				ids[id] = true
			}
		}
	}
	for path, want := range map[string]string{"/dashboard": "/login?next=/dashboard", "/devices": "/login?next=/devices"} {
		for _, method := range []string{"GET", "HEAD"} {
			if d := b.send(method, path, nil); d.status != 303 || d.header.Get("Location") != want || d.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s = %d to %q; want 303 to %s", method, path, d.status, d.header.Get("Location"), want)
			}
		}
		if d := b.send("GET", path, nil, "Accept", "application/json"); d.status != 404 {
			t.Errorf("GET %s by a script = %d; want 404", path, d.status)
		}
	}
	b.cookie = cookieName + "=s%3Aforged.signature"
	b.send("GET", "/pharmacy", nil)
	if n := s.store.calls.Load(); n != 0 || s.sessions(t) != 0 {
		t.Errorf("looking around cost %d calls of the store and left %d sessions; want none", n, s.sessions(t))
	}
}

func TestPlainStyleIsRevalidated(t *testing.T) {
	b := browsePlain(t, servePlain(t, nil))
	d := b.send("GET", "/plain.css", nil)
	if d.status != 200 || d.header.Get("Content-Type") != "text/css; charset=utf-8" || d.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("GET /plain.css = %d %v", d.status, d.header)
	}
	if again := b.send("GET", "/plain.css", nil, "If-None-Match", d.header.Get("ETag")); again.status != 304 {
		t.Errorf("GET /plain.css again = %d; want 304", again.status)
	}
}

// A session whose cookie could not arrive is not stored, and the page says so.
func TestFormWhoseCookieCannotArrive(t *testing.T) {
	s := serve(t)
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/pharmacy", strings.NewReader("name="))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "pharmacy.example"
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := noRedirects.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusInternalServerError || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") || len(res.Cookies()) > 0 {
		t.Errorf("POST over plain HTTP = %d %v; want 500, a page, and no cookie", res.StatusCode, res.Header)
	}
	if n := s.sessions(t); n != 0 {
		t.Errorf("%d sessions are stored; want 0", n)
	}
}

// What other applications leave on a shared session is shown as text, or not at all.
func TestForeignFlashesAreNotShown(t *testing.T) {
	s := serve(t)
	b := browsePlain(t, s.URL)
	b.post("/pharmacy", "name=a")
	s.store.rewrite(t, func(data string) string {
		return strings.Replace(data, `"pills":[`, `"flash":{"/pharmacy":["<b>not JSON</b>"],"/login":[7]},"pills":[7,null,{"name":"<script>alert(1)</script>"},`, 1)
	})
	d := b.open("/pharmacy")
	if strings.Contains(d.body, "<script>alert") || d.byID("notice") != nil || !strings.Contains(d.textOf("pills"), "<script>alert(1)</script>") {
		t.Errorf("the page shows %s", d.text())
	}
	if d := b.open("/login"); d.status != 200 {
		t.Errorf("GET /login = %d", d.status)
	}
}

// rewrite changes the data of the only session behind the application's back.
func (s *faultyStore) rewrite(t *testing.T, change func(data string) string) {
	t.Helper()
	lister, ok := s.Store.(session.Lister)
	if !ok {
		t.Fatal("the store cannot list")
	}
	ids, _, err := lister.List(t.Context(), "", 10)
	if err != nil || len(ids) != 1 {
		t.Fatalf("%d sessions are stored (%v); want 1", len(ids), err)
	}
	rec, err := s.Store.Load(t.Context(), ids[0], session.Slide{})
	if err != nil {
		t.Fatal(err)
	}
	changed := change(string(rec.Data))
	if changed == string(rec.Data) {
		t.Fatal("nothing to change")
	}
	if err := s.Store.Update(t.Context(), ids[0], rec.Data, []byte(changed), rec.Deadline); err != nil {
		t.Fatal(err)
	}
}
