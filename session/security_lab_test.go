package session_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

const labSecret = "the secret that signs in the lab"

var discardLogger = slog.New(slog.DiscardHandler)

// A spy stands between a manager and its store: it counts the calls, and a test
// can make each fail, wait, or be overtaken by something else.
type spy struct {
	session.Store

	mu     sync.Mutex
	calls  []string
	ids    []string
	before func(ctx context.Context, verb, id string) error // an error takes the place of the call
	after  func(ctx context.Context, verb, id string) error // an error takes the place of success
}

func (s *spy) call(ctx context.Context, verb, id string, do func() error) error {
	s.mu.Lock()
	s.calls, s.ids = append(s.calls, verb), append(s.ids, id)
	before, after := s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx, verb, id); err != nil {
			return err
		}
	}
	err := do()
	if err == nil && after != nil {
		err = after(ctx, verb, id)
	}
	return err
}

func (s *spy) Load(ctx context.Context, id string, slide session.Slide) (rec session.Record, err error) {
	err = s.call(ctx, "Load", id, func() error {
		rec, err = s.Store.Load(ctx, id, slide)
		return err
	})
	return rec, err
}

func (s *spy) Create(ctx context.Context, id string, rec session.Record) error {
	return s.call(ctx, "Create", id, func() error { return s.Store.Create(ctx, id, rec) })
}

func (s *spy) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	return s.call(ctx, "Update", id, func() error { return s.Store.Update(ctx, id, old, data, deadline) })
}

func (s *spy) Touch(ctx context.Context, id string, deadline time.Time) error {
	return s.call(ctx, "Touch", id, func() error { return s.Store.Touch(ctx, id, deadline) })
}

func (s *spy) Delete(ctx context.Context, id string, old []byte) error {
	return s.call(ctx, "Delete", id, func() error { return s.Store.Delete(ctx, id, old) })
}

func (s *spy) UserIDs(ctx context.Context, user string) (ids []string, err error) {
	err = s.call(ctx, "UserIDs", "", func() error {
		ids, err = s.Store.(session.UserIndex).UserIDs(ctx, user)
		return err
	})
	return ids, err
}

func (s *spy) RevokeUser(ctx context.Context, user string, at time.Time, except ...string) (n int, err error) {
	err = s.call(ctx, "RevokeUser", "", func() error {
		n, err = s.Store.(session.UserIndex).RevokeUser(ctx, user, at, except...)
		return err
	})
	return n, err
}

// rig sets what happens before and after each call from now on.
func (s *spy) rig(before, after func(ctx context.Context, verb, id string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

// take returns the calls since it was last called.
func (s *spy) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := strings.Join(s.calls, " ")
	s.calls, s.ids = nil, nil
	return calls
}

// fails returns a hook that fails the given verbs.
func fails(err error, verbs ...string) func(context.Context, string, string) error {
	return func(_ context.Context, verb, _ string) error {
		if slices.Contains(verbs, verb) {
			return err
		}
		return nil
	}
}

// A lab is a manager on a store that is watched, with all its events and logs.
type lab struct {
	t     testing.TB
	m     *session.Manager
	store *spy
	under *ledger // the store below the spy

	mu     sync.Mutex
	events []session.Event
	log    bytes.Buffer
}

func newLab(t testing.TB, edit ...func(*session.Config)) *lab {
	t.Helper()
	l := &lab{t: t, under: newLedger()}
	l.store = &spy{Store: l.under}
	c := l.config()
	for _, f := range edit {
		f(&c)
	}
	if s, ok := c.Store.(*spy); ok {
		l.store = s
	}
	var err error
	if l.m, err = session.New(c); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lab) config() session.Config {
	return session.Config{
		Store:   l.store,
		Secrets: []string{labSecret},
		Logger:  slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Observe: func(e session.Event) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.events = append(l.events, e)
		},
	}
}

// Write takes in the log.
func (l *lab) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}

// takeEvents returns the kinds of the events since it was last called.
func (l *lab) takeEvents() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kinds []string
	for _, e := range l.events {
		kinds = append(kinds, e.Kind.String())
	}
	l.events = nil
	return strings.Join(kinds, " ")
}

// A visitor is a browser of its own, as far as cookies go.
type visitor struct {
	*lab
	cookies []string // name=value
	fresh   []string // the Set-Cookie lines of the last answer
}

func (l *lab) visitor(cookies ...string) *visitor {
	return &visitor{lab: l, cookies: slices.Clone(cookies)}
}

// An answer is what came back for a request.
type answer struct {
	code int
	body string
	http.Header
}

type act func(w http.ResponseWriter, r *http.Request, s *session.Session)

// do sends a request over TLS and gives its session to f.
func (v *visitor) do(method string, f act, edit ...func(*http.Request)) answer {
	r := httptest.NewRequest(method, "https://shop.example/", nil)
	for _, c := range v.cookies {
		r.Header.Add("Cookie", c)
	}
	for _, e := range edit {
		e(r)
	}
	w := httptest.NewRecorder()
	v.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f(w, r, session.From(r.Context()))
	})).ServeHTTP(w, r)
	resp := w.Result()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Error(err)
	}
	v.fresh = resp.Header["Set-Cookie"]
	for _, c := range resp.Cookies() {
		v.cookies = slices.DeleteFunc(v.cookies, func(have string) bool { return strings.HasPrefix(have, c.Name+"=") })
		if c.Expires.IsZero() || c.Expires.After(time.Now()) {
			v.cookies = append(v.cookies, c.Name+"="+c.Value)
		}
	}
	return answer{resp.StatusCode, string(body), resp.Header}
}

// post sends a POST whose handler only uses the session.
func (v *visitor) post(f func(s *session.Session) error) answer {
	return v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		if err := f(s); err != nil {
			v.t.Errorf("using the session: %v", err)
		}
	})
}

const note session.Key[string] = "note"

// write stores a note; it begins a session where there is none.
func (v *visitor) write(text string) answer {
	return v.post(func(s *session.Session) error { return note.Set(s, text) })
}

// read returns the note, or why there is none.
func (v *visitor) read() string {
	text := "handler was not called"
	v.do("GET", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		ok, err := note.Has(s)
		switch {
		case err != nil:
			text = err.Error()
		case !ok:
			text = "none"
		default:
			text, _ = note.Get(s)
		}
	})
	return text
}

func (v *visitor) signIn(user string) answer {
	return v.post(func(s *session.Session) error { return s.SignIn(user) })
}

// id returns the id in the visitor's cookie.
func (v *visitor) id() string {
	v.t.Helper()
	if len(v.cookies) != 1 {
		v.t.Fatalf("visitor has %d cookies; want 1", len(v.cookies))
	}
	_, value, _ := strings.Cut(v.cookies[0], "=s%3A")
	return value[:strings.LastIndexByte(value, '.')]
}

// publicID returns the public id of the visitor's session.
func (v *visitor) publicID() (id string) {
	v.do("GET", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) { id, _ = s.PublicID() })
	return id
}

// want reports a difference.
func want[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v; want %v", what, show(got), show(want))
	}
}

func show(v any) string { return fmt.Sprintf("%#v", v) }
