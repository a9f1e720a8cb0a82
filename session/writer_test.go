package session_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// A site is a real server in front of a lab, and a browser that visits it.
type site struct {
	*lab
	*httptest.Server
	browser *http.Client
}

// serveSite starts a server at http://127.0.0.1, where browsers take Secure
// cookies too; the jar of net/http does not, so the cookie goes without here.
func serveSite(t *testing.T, handler http.HandlerFunc, edit ...func(*httptest.Server)) *site {
	t.Helper()
	s := &site{lab: newLab(t, func(c *session.Config) { c.Cookie.Secure = session.InsecurePlainHTTP })}
	s.Server = httptest.NewUnstartedServer(s.m.Handler(handler))
	for _, e := range edit {
		e(s.Server)
	}
	if s.EnableHTTP2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	s.browser = s.Client()
	s.browser.Jar, _ = cookiejar.New(nil)
	return s
}

// get visits a path and returns the response with its body.
func (s *site) get(path string) (*http.Response, string) {
	s.t.Helper()
	resp, err := s.browser.Get(s.URL + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Error(err)
	}
	return resp, string(body)
}

// Whatever the first byte comes from, the session is in the store before it, and
// its cookie is with it.
func TestWriterSavedBeforeSeen(t *testing.T) {
	file := filepath.Join(t.TempDir(), "leaflet.txt")
	if err := os.WriteFile(file, []byte("leaflet"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]func(w http.ResponseWriter, r *http.Request){
		"nothing":         func(http.ResponseWriter, *http.Request) {},
		"Write":           func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) },
		"empty Write":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) },
		"WriteString":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") },
		"ReadFrom":        func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, bytes.NewReader([]byte("x"))) },
		"WriteHeader 200": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) },
		"204":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) },
		"304":             func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) },
		"500":             func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "x", 500) },
		"redirect":        func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusSeeOther) },
		"Flush":           func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"FlushError":      func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() },
		"ServeContent": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader("x"))
		},
		"ServeFile": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) },
		"two WriteHeaders": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(201)
		},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			s := serveSite(t, nil)
			s.Config.Handler = s.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if err := note.Set(session.From(r.Context()), "mine"); err != nil {
					t.Error(err)
				}
				answer(w, r)
				want(t, "rows once the answer has begun by "+name, s.under.count() == 1 || name == "nothing", true)
			}))
			s.browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			req, _ := http.NewRequest(method, s.URL, nil)
			resp, err := s.browser.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			want(t, fmt.Sprintf("rows after %s, %s", method, name), s.under.count(), 1)
			want(t, fmt.Sprintf("cookies set by %s, %s", method, name), len(resp.Header["Set-Cookie"]), 1)
		}
	}
}

// A 103 Early Hints passes through, commits nothing, and later changes are kept.
func TestWriterInformationalResponses(t *testing.T) {
	s := serveSite(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		if err := note.Set(session.From(r.Context()), "mine"); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusCreated)
	})
	var codes []int
	req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			codes = append(codes, code)
			want(t, "cookies in a 1xx", len(header["Set-Cookie"]), 0)
			return nil
		},
	}), "GET", s.URL, nil)
	resp, err := s.browser.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	want(t, "informational codes", fmt.Sprint(codes), "[103 102]")
	want(t, "code", resp.StatusCode, http.StatusCreated)
	want(t, "cookies set", len(resp.Header["Set-Cookie"]), 1)
	want(t, "rows", s.under.count(), 1)
}

// A stream sends each event at once, and does not overwrite what others have
// stored meanwhile when it ends.
func TestWriterServerSentEvents(t *testing.T) {
	goOn := make(chan bool)
	s := serveSite(t, nil)
	mux := http.NewServeMux()
	mux.HandleFunc("/set", func(_ http.ResponseWriter, r *http.Request) {
		_ = note.Set(session.From(r.Context()), r.URL.RawQuery)
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		control := http.NewResponseController(w)
		if err := control.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Errorf("SetWriteDeadline = %v", err)
		}
		text, _ := note.Get(session.From(r.Context()))
		for range 3 {
			fmt.Fprintf(w, "data: %s\n\n", text)
			if err := control.Flush(); err != nil {
				t.Errorf("Flush = %v", err)
			}
			<-goOn
		}
	})
	s.Config.Handler = s.m.Handler(mux)
	s.get("/set?old")
	resp, err := s.browser.Get(s.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for range 3 {
		line, err := lines.ReadString('\n')
		if line != "data: old\n" || err != nil {
			t.Fatalf("event = %q, %v", line, err)
		}
		if _, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		s.get("/set?new")
		goOn <- true
	}
	_, _ = io.Copy(io.Discard, lines)
	v := s.visitor("session=" + jarValue(s))
	want(t, "note after the stream", v.read(), "new")
}

func jarValue(s *site) string {
	req, _ := http.NewRequest("GET", s.URL, nil)
	for _, c := range s.browser.Jar.Cookies(req.URL) {
		return c.Value
	}
	return ""
}

// A recorder is a server's writer that records whether sendfile could be used.
type recorder struct {
	*httptest.ResponseRecorder
	readFrom int
}

func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	r.readFrom++
	return io.Copy(struct{ io.Writer }{r.ResponseRecorder}, src)
}

func TestWriterSendfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "leaflet.txt")
	if err := os.WriteFile(file, []byte("leaflet"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLab(t)
	w := &recorder{ResponseRecorder: httptest.NewRecorder()}
	l.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = note.Set(session.From(r.Context()), "mine")
		http.ServeFile(w, r, file)
	})).ServeHTTP(w, httptest.NewRequest("GET", "https://shop.example/leaflet.txt", nil))
	want(t, "calls of the server's ReadFrom", w.readFrom, 1)
	want(t, "body", w.Body.String(), "leaflet")
	want(t, "cookies set", len(w.Result().Header["Set-Cookie"]), 1)
}

// An upgrade leaves HTTP: a session that must send its cookie is refused with a
// plain answer, and one that need not is committed.
func TestWriterHijack(t *testing.T) {
	for _, tt := range []struct {
		name string
		has  bool
		use  func(s *session.Session) error
		ok   bool
	}{
		{"no session, none used", false, func(*session.Session) error { return nil }, true},
		{"no session, read", false, func(s *session.Session) error { _, err := note.Get(s); return err }, true},
		{"no session, changed", false, func(s *session.Session) error { return note.Set(s, "new") }, false},
		{"no session, updated", false, update, false},
		{"session, read", true, func(s *session.Session) error { _, err := note.Get(s); return err }, true},
		{"session, changed", true, func(s *session.Session) error { return note.Set(s, "new") }, true},
		{"session, renewed", true, func(s *session.Session) error { return s.Renew() }, false},
		{"session, renewed and saved", true, func(s *session.Session) error { return errors.Join(s.Renew(), s.Save()) }, false},
		{"session, signed in", true, func(s *session.Session) error { return s.SignIn("ilmer") }, false},
	} {
		s := serveSite(t, nil)
		s.Config.Handler = s.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/begin" {
				_ = note.Set(session.From(r.Context()), "old")
				return
			}
			if err := tt.use(session.From(r.Context())); err != nil {
				t.Error(err)
			}
			conn, buf, err := http.NewResponseController(w).Hijack()
			if (err == nil) != tt.ok {
				t.Errorf("%s: Hijack = %v", tt.name, err)
			}
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: test\r\n\r\nhello")
			_ = buf.Flush()
		}))
		if tt.has {
			s.get("/begin")
		}
		req, _ := http.NewRequest("GET", s.URL+"/upgrade", nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "test")
		resp, err := s.browser.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if tt.ok {
			want(t, tt.name+": code", resp.StatusCode, http.StatusSwitchingProtocols)
			hello := make([]byte, 5)
			_, _ = io.ReadFull(resp.Body, hello)
			want(t, tt.name+": first bytes", string(hello), "hello")
		} else {
			want(t, tt.name+": code", resp.StatusCode, http.StatusInternalServerError)
		}
		resp.Body.Close()
		if tt.has { // whatever happened, the visitor still has his session
			v := s.visitor("session=" + jarValue(s))
			if got := v.read(); got != "old" && got != "new" {
				t.Errorf("%s: note afterwards = %q; want what it was", tt.name, got)
			}
		} else if !tt.ok && jarValue(s) == "" {
			want(t, tt.name+": rows that nobody can reach", s.under.count(), 0)
		}
	}
}

// HTTP/2 cannot hand over the connection; a handler that tries can go on.
func TestWriterHTTP2(t *testing.T) {
	s := serveSite(t, func(w http.ResponseWriter, r *http.Request) {
		ss := session.From(r.Context())
		n, err := note.Get(ss)
		if err == nil {
			err = note.Set(ss, n+"x")
		}
		if err != nil {
			t.Error(err)
		}
		if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Hijack over HTTP/2 = %v; want %v", err, http.ErrNotSupported)
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("Flush = %v", err)
		}
		fmt.Fprint(w, r.Proto, " ", n)
	}, func(s *httptest.Server) { s.EnableHTTP2 = true })
	s.browser.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	for _, wanted := range []string{"HTTP/2.0 ", "HTTP/2.0 x", "HTTP/2.0 xx"} {
		_, body := s.get("/")
		want(t, "body", body, wanted)
	}
	want(t, "rows", s.under.count(), 1)
}

// What is not supported by the server's own writer is not pretended to be.
func TestWriterPretendsNothing(t *testing.T) {
	l := newLab(t)
	l.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		for name, err := range map[string]error{
			"SetReadDeadline": c.SetReadDeadline(time.Time{}), "EnableFullDuplex": c.EnableFullDuplex(),
		} {
			if !errors.Is(err, http.ErrNotSupported) {
				t.Errorf("%s on a recorder = %v; want %v", name, err, http.ErrNotSupported)
			}
		}
		if _, ok := w.(http.Pusher); ok {
			t.Error("the writer is a Pusher; want none")
		}
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "https://shop.example/", nil))
}
