package session_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/session/storetest"
)

// The files express_*_test.go hold Pillbox to what express-session 1.19.0 does,
// and to doing better where it loses, leaks or lies. What they expect was seen
// by running express-session; package interop runs it again.

// A shelf is a store in memory into which a test can look.
type shelf struct {
	mu    sync.Mutex
	rows  map[string]session.Record
	calls []string                       // the verb of each call and its id
	hook  func(verb, id string) error    // called without the lock; its error is the call's
	pause func(ctx context.Context)      // before each call
	saw   func(verb string, data []byte) // what was written, under the lock
}

func newShelf() *shelf { return &shelf{rows: make(map[string]session.Record)} }

// call begins a call of the store. On nil the lock is held.
func (s *shelf) call(ctx context.Context, verb, id string) error {
	if s.pause != nil {
		s.pause(ctx)
	}
	s.mu.Lock()
	s.calls = append(s.calls, verb+" "+id)
	hook := s.hook
	s.mu.Unlock()
	if hook != nil {
		if err := hook(verb, id); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	return nil
}

func (s *shelf) live(id string) (session.Record, bool) {
	row, ok := s.rows[id]
	return row, ok && time.Now().Before(row.Deadline)
}

func (s *shelf) put(verb, id string, data []byte, deadline time.Time, owner session.Owner) error {
	if !deadline.After(time.Now()) {
		return fmt.Errorf("shelf: deadline is over")
	}
	if s.saw != nil {
		s.saw(verb, data)
	}
	s.rows[id] = session.Record{Data: bytes.Clone(data), Deadline: deadline, Owner: owner}
	return nil
}

func (s *shelf) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	if err := s.call(ctx, "load", id); err != nil {
		return session.Record{}, err
	}
	defer s.mu.Unlock()
	row, ok := s.live(id)
	if !ok {
		return session.Record{}, session.ErrNotFound
	}
	if slide.Moves(row.Deadline) {
		row.Deadline = slide.To
		s.rows[id] = row
	}
	row.Data = bytes.Clone(row.Data)
	return row, nil
}

func (s *shelf) Create(ctx context.Context, id string, rec session.Record) error {
	if err := s.call(ctx, "create", id); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if _, ok := s.live(id); ok {
		return session.ErrExists
	}
	return s.put("create", id, rec.Data, rec.Deadline, rec.Owner)
}

func (s *shelf) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	if err := s.call(ctx, "update", id); err != nil {
		return err
	}
	defer s.mu.Unlock()
	row, ok := s.live(id)
	switch {
	case !ok:
		return session.ErrNotFound
	case !bytes.Equal(row.Data, old):
		return session.ErrConflict
	}
	return s.put("update", id, data, deadline, row.Owner)
}

func (s *shelf) Touch(ctx context.Context, id string, deadline time.Time) error {
	if err := s.call(ctx, "touch", id); err != nil {
		return err
	}
	defer s.mu.Unlock()
	row, ok := s.live(id)
	if !ok {
		return session.ErrNotFound
	}
	if deadline.After(row.Deadline) {
		row.Deadline = deadline
		s.rows[id] = row
	}
	return nil
}

func (s *shelf) Delete(ctx context.Context, id string, old []byte) error {
	if err := s.call(ctx, "delete", id); err != nil {
		return err
	}
	defer s.mu.Unlock()
	row, ok := s.live(id)
	switch {
	case old == nil:
	case !ok:
		return session.ErrNotFound
	case !bytes.Equal(row.Data, old):
		return session.ErrConflict
	}
	delete(s.rows, id)
	return nil
}

// TestShelf holds the tests' own store to the contract, so that what they show
// does not depend on its mistakes.
func TestShelf(t *testing.T) {
	storetest.Run(t, func(*testing.T) session.Store { return newShelf() })
}

// text returns what is stored under id, dead or alive, or "".
func (s *shelf) text(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.rows[id].Data)
}

func (s *shelf) deadline(id string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[id].Deadline
}

func (s *shelf) ids() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.rows))
}

// keep stores text under id as a foreign program would: whatever was there.
func (s *shelf) keep(id, text string, ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows[id] = session.Record{Data: []byte(text), Deadline: time.Now().Add(ttl)}
}

// takeCalls returns the verbs of the calls since it was last asked.
func (s *shelf) takeCalls() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var verbs []string
	for _, call := range s.calls {
		verb, _, _ := strings.Cut(call, " ")
		verbs = append(verbs, verb)
	}
	s.calls = nil
	return strings.Join(verbs, " ")
}

// expressSecret is the one of express-session's own documentation.
const expressSecret = "keyboard cat"

// An expressApp is a manager as an Express application would have it
// configured, on a shelf.
type expressApp struct {
	*testing.T
	store *shelf
	m     *session.Manager
}

// newExpressApp makes one with the settings that express-session's
// documentation recommends: resave and saveUninitialized off.
func newExpressApp(t *testing.T, edit ...func(*session.Config)) *expressApp {
	t.Helper()
	store := newShelf()
	config := session.ExpressV1()
	config.Store = store
	config.Secrets = []string{expressSecret}
	config.InsecureSecrets = true
	config.Logger = slog.New(slog.DiscardHandler)
	config.Resave = false
	config.SaveUninitialized = false
	for _, f := range edit {
		f(&config)
	}
	m, err := session.New(config)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return &expressApp{T: t, store: store, m: m}
}

// A reply is the response to one request, and what it cost.
type reply struct {
	*http.Response
	calls string // of the store
}

// cookies returns the Set-Cookie lines.
func (r reply) cookies() []string { return r.Header["Set-Cookie"] }

// line returns the only Set-Cookie line, or "" where there is not exactly one.
func (r reply) line() string {
	if len(r.cookies()) != 1 {
		return ""
	}
	return r.cookies()[0]
}

// cookie returns the cookie to send back, "name=value".
func (r reply) cookie() string {
	pair, _, _ := strings.Cut(r.line(), ";")
	return pair
}

// attributes returns the Set-Cookie line without name and value.
func (r reply) attributes() string {
	_, rest, _ := strings.Cut(r.line(), "; ")
	return rest
}

// do answers one request by f. Before its response begins f has returned.
func (a *expressApp) do(r *http.Request, f func(s *session.Session)) reply {
	a.Helper()
	return a.serve(r, func(_ http.ResponseWriter, r *http.Request) { f(session.From(r.Context())) })
}

func (a *expressApp) serve(r *http.Request, f http.HandlerFunc) reply {
	a.Helper()
	a.store.takeCalls()
	w := httptest.NewRecorder()
	a.m.Handler(f).ServeHTTP(w, r)
	return reply{Response: w.Result(), calls: a.store.takeCalls()}
}

// get answers a plain request that carries a cookie, if that is not empty.
func (a *expressApp) get(cookie string, f func(s *session.Session)) reply {
	a.Helper()
	return a.do(request(cookie), f)
}

func request(cookie string) *http.Request {
	return requestTo("http://example.com/", cookie)
}

// requestTo makes a request; with https it came over TLS.
func requestTo(url, cookie string) *http.Request {
	r := httptest.NewRequest("GET", url, nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	return r
}

// begin gives a visitor a session with {"user":"bob"} and returns the cookie
// and the id.
func (a *expressApp) begin() (cookie, id string) {
	a.Helper()
	r := a.get("", func(s *session.Session) { a.set(s, "user", "bob") })
	cookie = r.cookie()
	if r.StatusCode != 200 || cookie == "" {
		a.Fatalf("first request: status %d, Set-Cookie %q; want 200 and one cookie", r.StatusCode, r.cookies())
	}
	_, value, _ := strings.Cut(cookie, "=s%3A")
	id, _, _ = strings.Cut(value, ".")
	return cookie, id
}

func (a *expressApp) set(s *session.Session, key string, value any) {
	a.Helper()
	if err := session.Key[any](key).Set(s, value); err != nil {
		a.Errorf("Set(%q) = %v; want nil", key, err)
	}
}

func (a *expressApp) read(s *session.Session, key string) any {
	a.Helper()
	v, err := session.Key[any](key).Get(s)
	if err != nil {
		a.Errorf("Get(%q) = %v; want nil", key, err)
	}
	return v
}

func (a *expressApp) ok(what string, err error) {
	a.Helper()
	if err != nil {
		a.Errorf("%s = %v; want nil", what, err)
	}
}

// nothing is a handler that does not use its session.
func nothing(*session.Session) {}

// look is a handler that reads one key.
func (a *expressApp) look(s *session.Session) { a.read(s, "user") }

// signed is the test's own way of making a cookie value.
func signed(id, secret string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(id))
	return uriComponent("s:" + id + "." + base64.RawStdEncoding.EncodeToString(h.Sum(nil)))
}

// uriComponent is JavaScript's encodeURIComponent, by ECMA-262 §19.2.6.4.
func uriComponent(text string) string {
	const unescaped = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()"
	var b strings.Builder
	for _, c := range []byte(text) {
		if strings.IndexByte(unescaped, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
