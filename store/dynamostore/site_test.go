package dynamostore_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

const visits session.Key[int] = "visits"

// A site is an application with one visitor.
type site struct {
	t       testing.TB
	handler http.Handler
	cookie  string // what the visitor's browser has

	mu     sync.Mutex
	events []session.Event
}

// newSite serves GET, which reads the session, POST, which changes it, and
// OPTIONS, which does not use it, in the default configuration.
func newSite(t testing.TB, store session.Store) *site {
	t.Helper()
	s := &site{t: t}
	sessions, err := session.New(session.Config{
		Store:   store,
		Secrets: []string{"a secret that is long enough for a test"},
		Logger:  slog.New(slog.DiscardHandler),
		Observe: func(e session.Event) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.handler = sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		switch r.Method {
		case "GET":
			_, err = visits.Get(session.From(r.Context()))
		case "POST":
			_, err = visits.Update(session.From(r.Context()), func(n int) int { return n + 1 })
		}
		if err != nil {
			http.Error(w, http.StatusText(session.Status(err)), session.Status(err))
		}
	}))
	return s
}

// visit sends a request and returns its status.
func (s *site) visit(method string) int {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, "https://example.com/", nil)
	if s.cookie != "" {
		r.Header.Set("Cookie", s.cookie)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	for _, line := range w.Result().Header["Set-Cookie"] {
		s.cookie, _, _ = strings.Cut(line, ";")
	}
	return w.Code
}

// happened returns the events of one kind since the last call.
func (s *site) happened(kind session.EventKind) (found []session.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	s.events = nil
	return found
}
