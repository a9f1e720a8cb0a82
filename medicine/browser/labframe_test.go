package browser_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A witness stands between the browser and the program, and writes down what
// the browser sends.
type witness struct {
	url string

	mu   sync.Mutex
	seen []string
}

func (s *server) witness() *witness {
	s.t.Helper()
	to, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	w := new(witness)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		cookie := "no cookie"
		if r.Header.Get("Cookie") != "" {
			cookie = "a cookie"
		}
		line := strings.Join([]string{r.Method, r.URL.Path, "from", r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site"), "with", cookie}, " ")
		w.mu.Lock()
		w.seen = append(w.seen, line)
		w.mu.Unlock()
		proxy.ServeHTTP(rw, r)
	}))
	s.t.Cleanup(front.Close)
	_, port, _ := strings.Cut(front.Listener.Addr().String(), ":")
	w.url = "http://localhost:" + port
	return w
}

// saw reports whether the browser has sent this.
func (w *witness) saw(line string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, seen := range w.seen {
		if seen == line {
			return true
		}
	}
	return false
}

// frame opens the lab's frame in the page and returns, as text, what it says of
// its two attacks.
const frame = `new Promise((resolve, reject) => {
	const said = [];
	addEventListener("message", (event) => {
		if (event.source !== iframe.contentWindow) return;
		const { attack, read, error } = event.data;
		said.push(event.origin + " " + attack + " " + (read === null ? "read nothing" : "read " + read) + (error ? " and says why" : ""));
		if (said.length === 2) resolve(said.sort().join("; "));
	});
	const iframe = document.createElement("iframe");
	iframe.setAttribute("sandbox", "allow-scripts");
	iframe.src = "/lab/frame";
	setTimeout(reject, 15_000, new Error("said only: " + said));
	document.body.append(iframe);
})`

// The frame of the lab attacks as a page of another site would: the browser
// itself sends its requests so, and gives it nothing to read.
func TestLabFrameIsAForeignPage(t *testing.T) {
	s := serve(t)
	w := s.witness()
	b := visit(t, w.url+"/pharmacy")
	b.click(fill, 2)
	wait(b, "shown()", 2)
	cookie := b.cookie(w.url)

	want := "null foreign read nothing and says why; null forgery read nothing and says why"
	if got := get[string](b, frame); got != want {
		t.Errorf("the frame says %q; want %q", got, want)
	}
	for _, line := range []string{
		"POST /pills from null cross-site with no cookie",
		"GET /pills from null cross-site with no cookie",
	} {
		if !w.saw(line) {
			t.Errorf("the browser has not sent %q; sent were %q", line, w.seen)
		}
	}
	s.wantStored(repeat("Ibuprofen", 2)...)
	if got := b.cookie(w.url); got != cookie || cookie == "" {
		t.Error("the frame has replaced the visitor's cookie")
	}
	b.open(w.url + "/pharmacy")
	wait(b, "shown()", 2)
}

// Opened by itself the page has no origin either, by its own policy; nor does an
// iframe without the attribute give it one.
func TestLabFrameOpenedDirectly(t *testing.T) {
	s := serve(t)
	w := s.witness()
	b := visit(t, w.url+"/pharmacy")
	b.click(fill, 1)
	wait(b, "shown()", 1)
	b.open(w.url + "/lab/frame")
	wait(b, `all("#report li").length`, 2)
	if got := get[string](b, `self.origin + " " + all("#report li").filter((li) => li.textContent.includes("read:")).length`); got != "null 0" {
		t.Errorf("the page's origin and how often it read something = %s; want null 0", got)
	}
	if !w.saw("POST /pills from null cross-site with no cookie") {
		t.Errorf("the browser has not sent the forged POST: %q", w.seen)
	}
	s.wantStored("Ibuprofen")
	b.open(w.url + "/")
	without := strings.Replace(frame, `iframe.setAttribute("sandbox", "allow-scripts");`, "", 1)
	if got := get[string](b, without); !strings.HasPrefix(got, "null foreign read nothing") || strings.Contains(got, "pills") {
		t.Errorf("in an iframe without the attribute the page says %q; want the origin null and nothing read", got)
	}
	s.wantStored("Ibuprofen")
}

// The check above has to be able to fail: what the frame does works from a page
// of the application's own.
func TestOwnPageReadsAndWrites(t *testing.T) {
	s := serve(t)
	w := s.witness()
	b := visit(t, w.url+"/pharmacy")
	b.click(fill, 1)
	wait(b, "shown()", 1)
	if got := get[string](b, `fetch("/pills", { credentials: "include" }).then((r) => r.text())`); !strings.Contains(got, "Ibuprofen") {
		t.Errorf("the application's own page reads %s; want the pills", got)
	}
	origin := strings.TrimSuffix(w.url, "/")
	get[any](b, `fetch("/pills", { method: "POST", credentials: "include", headers: { "Content-Type": "text/plain" }, body: "{}" })`)
	if line := "POST /pills from " + origin + " same-origin with a cookie"; !w.saw(line) {
		t.Errorf("the browser has not sent %q: %q", line, w.seen)
	}
}
