package inprocess

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
)

// discard is a ResponseWriter that costs nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// A request is what the ops of an implementation on net/http use.
type request struct {
	w http.ResponseWriter
	r *http.Request
}

// webSite is a site on net/http.
type webSite struct {
	j        *job
	handler  http.Handler
	template http.Request
	header   http.Header
	r        http.Request
	w        discard
	closing  func() error
}

// newWebSite returns a site with this handler, which does the job j.
func newWebSite(j *job, handler http.Handler, closing func() error) *webSite {
	s := &webSite{j: j, handler: handler, closing: closing, header: http.Header{}}
	s.template = *httptest.NewRequest(http.MethodGet, "https://shop.example/", nil)
	s.template.TLS = &tls.ConnectionState{}
	s.template.Header = s.header
	s.w.header = http.Header{}
	return s
}

// serve is the handler itself.
func serve(j *job, o ops[request]) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := o.do(j, request{w, r}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusOK)
	}
}

func (s *webSite) call(cookies []string) error {
	// A server makes a new request each time; some implementations keep the
	// session in it.
	s.r = s.template
	if len(cookies) > 0 {
		s.header["Cookie"] = cookies
	} else {
		delete(s.header, "Cookie")
	}
	clear(s.w.header)
	s.w.status = 0
	s.handler.ServeHTTP(&s.w, &s.r)
	if s.w.status != http.StatusOK {
		return fmt.Errorf("the answer has status %d", s.w.status)
	}
	return nil
}

func (s *webSite) cookie() string {
	cookie, _, _ := strings.Cut(s.w.header.Get("Set-Cookie"), ";")
	return cookie
}

func (s *webSite) job() *job { return s.j }

func (s *webSite) close() error {
	if s.closing == nil {
		return nil
	}
	return s.closing()
}
