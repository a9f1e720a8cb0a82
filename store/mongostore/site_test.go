package mongostore_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

const views session.Key[int] = "views"

// A site is an application with a store, and one visitor of it.
type site struct {
	t       testing.TB
	handler http.Handler
	cookie  string // name=value; empty while there is none

	mu     sync.Mutex
	events []session.Event
}

func newSite(t testing.TB, store session.Store) *site {
	t.Helper()
	v := &site{t: t}
	manager, err := session.New(session.Config{
		Store:   store,
		Secrets: []string{"a secret for the tests of a store"},
		Logger:  slog.New(slog.DiscardHandler),
		Observe: func(e session.Event) {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.events = append(v.events, e)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if _, err := views.Get(session.From(r.Context())); err != nil {
			http.Error(w, err.Error(), session.Status(err))
		}
	})
	mux.HandleFunc("POST /", func(w http.ResponseWriter, r *http.Request) {
		_, err := views.Update(session.From(r.Context()), func(n int) int { return n + 1 })
		if err != nil {
			http.Error(w, err.Error(), session.Status(err))
		}
	})
	v.handler = manager.Handler(mux)
	return v
}

// visit sends a request and keeps the cookie that comes with the answer.
func (v *site) visit(method string) *httptest.ResponseRecorder {
	v.t.Helper()
	r := httptest.NewRequestWithContext(v.t.Context(), method, "https://example.com/", nil)
	if v.cookie != "" {
		r.Header.Set("Cookie", v.cookie)
	}
	w := httptest.NewRecorder()
	v.handler.ServeHTTP(w, r)
	if line := w.Header().Get("Set-Cookie"); line != "" {
		v.cookie, _, _ = strings.Cut(line, ";")
	}
	return w
}

// take returns the events of a kind since it was last called, and forgets all.
func (v *site) take(kind session.EventKind) []session.Event {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []session.Event
	for _, e := range v.events {
		if e.Kind == kind {
			all = append(all, e)
		}
	}
	v.events = nil
	return all
}
