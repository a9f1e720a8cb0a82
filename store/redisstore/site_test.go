package redisstore_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

const views = session.Key[int]("views")

// A site is a web application with the default configuration, and one visitor.
type site struct {
	t       *testing.T
	manager *session.Manager
	handler http.Handler

	cookie string

	mu     sync.Mutex
	events []session.Event
}

func newSite(t *testing.T, store session.Store) *site {
	t.Helper()
	v := &site{t: t}
	var err error
	v.manager, err = session.New(session.Config{
		Store:   store,
		Secrets: []string{"a secret that is long enough for a test"},
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
	v.handler = v.manager.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		var err error
		switch r.Method {
		case "GET":
			_, err = views.Get(s)
		case "POST":
			_, err = views.Update(s, func(n int) int { return n + 1 })
		case "PUT":
			err = s.SignIn("alice")
		}
		if err != nil {
			http.Error(w, err.Error(), session.Status(err))
		}
	}))
	return v
}

// visit makes a request and returns its status. GET reads, POST changes, PUT
// signs in, anything else leaves the session alone.
func (v *site) visit(method string) int {
	v.t.Helper()
	r := httptest.NewRequestWithContext(v.t.Context(), method, "https://example.com/", nil)
	if v.cookie != "" {
		r.Header.Set("Cookie", v.cookie)
	}
	w := httptest.NewRecorder()
	v.handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		v.cookie = c.Name + "=" + c.Value
	}
	return w.Code
}

// cleared reports whether the visitor was told to forget its cookie.
func (v *site) cleared() bool { return strings.HasSuffix(v.cookie, "=") }

// take returns the events of a kind since the last call.
func (v *site) take(kind session.EventKind) []session.Event {
	v.mu.Lock()
	defer v.mu.Unlock()
	taken := slices.DeleteFunc(v.events, func(e session.Event) bool { return e.Kind != kind })
	v.events = nil
	return taken
}
