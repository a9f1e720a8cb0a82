package pgstore_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

// An application is a small one with sessions, and one visitor of it.
type application struct {
	t       testing.TB
	handler http.Handler
	cookie  string // what the visitor's browser sends

	mu     sync.Mutex
	events []session.Event
}

const visits session.Key[int] = "visits"

// newApplication serves GET, which reads the session, and POST, which changes it.
func newApplication(t testing.TB, store session.Store) *application {
	t.Helper()
	a := &application{t: t}
	sessions, err := session.New(session.Config{
		Store:   store,
		Secrets: []string{"a secret that is long enough for a test"},
		Logger:  slog.New(slog.DiscardHandler),
		Observe: func(e session.Event) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.events = append(a.events, e)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.handler = sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		var err error
		switch r.Method {
		case "GET":
			_, err = visits.Get(s)
		case "POST":
			_, err = visits.Update(s, func(n int) int { return n + 1 })
		case "PUT":
			err = s.SignIn("alice")
		}
		if err != nil {
			http.Error(w, http.StatusText(session.Status(err)), session.Status(err))
		}
	}))
	return a
}

// visit sends a request and returns its status.
func (a *application) visit(method string) int {
	a.t.Helper()
	r := httptest.NewRequestWithContext(a.t.Context(), method, "https://example.com/", nil)
	if a.cookie != "" {
		r.Header.Set("Cookie", a.cookie)
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	for _, line := range w.Result().Header["Set-Cookie"] {
		a.cookie, _, _ = strings.Cut(line, ";")
	}
	return w.Code
}

// happened returns the events of one kind since the last call.
func (a *application) happened(kind session.EventKind) (found []session.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	a.events = nil
	return found
}
