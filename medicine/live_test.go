package medicine_test

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/medicine"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// A stream is a GET /live whose answer goes on.
type stream struct {
	t      *testing.T
	res    *http.Response
	events chan string // "name data"; closed at the end
}

// live opens the stream of the visitor's session.
func (v *visitor) live() *stream {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), "GET", v.server.URL+"/live", nil)
	if err != nil {
		v.t.Fatal(err)
	}
	if v.cookie != "" {
		req.Header.Set("Cookie", v.cookie)
	}
	res, err := v.server.Client().Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	s := &stream{v.t, res, make(chan string, 100)}
	go func() {
		defer close(s.events)
		defer res.Body.Close()
		name := ""
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if n, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				name = n
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				s.events <- name + " " + data
			}
		}
	}()
	return s
}

// What differs from run to run.
var varying = regexp.MustCompile(`"(session|idle|absolute)":("[^"]+"|\d+)`)

// next checks the next event, in which ids and times are left out. An empty one
// stands for the stream's end.
func (s *stream) next(want string) {
	s.t.Helper()
	select {
	case got := <-s.events:
		if got = varying.ReplaceAllString(got, `"$1":0`); got != want {
			s.t.Errorf("the next event is %s; want %s", got, want)
		}
	case <-time.After(20 * time.Second):
		s.t.Fatalf("waited 20 s for %s", want)
	}
}

const noPills = `session {"live":true,"session":0,"signedIn":false,"keys":["pills"],"values":{"pills":[]},"idle":0,"absolute":0}`

func TestLive(t *testing.T) {
	s := serve(t)
	v := s.visitor(t)
	none := v.live()
	none.next(`session {"live":false,"cookie":false}`)
	none.next("")
	v.add(`{"name":"Ibuprofen"}`)
	v.do("DELETE", "/pills", "")
	v.add(`{"name":"Ibuprofen"}`)
	page := v.live()
	page.next(strings.Replace(noPills, "[]", `[{"name":"Ibuprofen"}]`, 1))
	for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Cookie"} {
		if got := strings.Join(page.res.Header.Values(name), ", "); !strings.Contains(got, want) {
			t.Errorf("%s: %q; want %s", name, got, want)
		}
	}
	v.add(`{"name":"<Aspirin>"}`)
	page.next(`change {"keys":["pills"],"removed":[],"values":{"pills":[{"name":"Ibuprofen"},{"name":"<Aspirin>"}]},"idle":0,"absolute":0}`)
	v.do("DELETE", "/pills", "")
	page.next(`change {"keys":["pills"],"removed":["pills"],"values":{},"idle":0,"absolute":0}`)
	for _, method := range []string{"HEAD", "POST", "DELETE"} {
		if r := v.do(method, "/live", ""); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != "GET" {
			t.Errorf("%s /live = %d, Allow %q; want 405, GET", method, r.status, r.header.Get("Allow"))
		}
	}
}

// A page learns that its visitor signed in, and no more of it than that.
func TestLiveAcrossSignIn(t *testing.T) {
	s := serve(t)
	v := s.visitor(t)
	v.add(`{"name":"Ibuprofen"}`)
	page := v.live()
	page.next(strings.Replace(noPills, "[]", `[{"name":"Ibuprofen"}]`, 1))
	const json = "application/json"
	if r := v.do("POST", "/register", `{"username":"ilmer","password":"correct horse battery"}`, "Content-Type", json); r.status != http.StatusCreated {
		t.Fatalf("POST /register = %d %s", r.status, head(r.body))
	}
	page.next(`renewed {"signedIn":true}`)
	page.next("")
	page = v.live()
	first := <-page.events
	if !strings.Contains(first, `"signedIn":true`) || strings.Contains(strings.ToLower(first), "ilmer") {
		t.Errorf("after the sign-in a page gets %s; want signedIn and nothing of the account", first)
	}
	v.do("POST", "/logout", "", "Content-Type", json)
	page.next(`ended {"reason":"signed-out"}`)
	page.next("")
}

// Streams would hold up the server's shutdown for ever.
func TestCloseEndsStreams(t *testing.T) {
	store := memstore.New(memstore.Options{})
	defer store.Close()
	app, err := medicine.New(medicine.Config{Session: session.Config{Store: store, Secrets: []string{secret}}})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Server: httptest.NewServer(app.Handler())}
	defer s.Server.Close()
	v := s.visitor(t)
	v.add(`{"name":"Ibuprofen"}`)
	page := v.live()
	<-page.events
	s.Config.RegisterOnShutdown(app.Close)
	start := time.Now()
	if err := s.Config.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	page.next("")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the server shut down within %v; want at once", took)
	}
}
