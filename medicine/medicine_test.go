package medicine_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/medicine"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

const (
	secret        = "a secret of the tests, 32 bytes.."
	trustedOrigin = "http://localhost:5173"
	foreignOrigin = "http://localhost:9999"
	cookieName    = "__Host-session"
)

// A server is the application behind HTTP, with a store that counts its calls
// and fails on demand.
type server struct {
	*httptest.Server
	store *faultyStore
}

func serve(t *testing.T) *server {
	t.Helper()
	inner := memstore.New(memstore.Options{})
	t.Cleanup(func() { inner.Close() })
	store := &faultyStore{Store: inner, count: inner.Count}
	app, err := medicine.New(medicine.Config{
		Session: session.Config{
			Store:   store,
			Secrets: []string{secret},
			Logger:  slog.New(slog.NewTextHandler(t.Output(), nil)),
		},
		Origins:   []string{trustedOrigin},
		StoreName: "memory",
	})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(app.Handler())
	t.Cleanup(s.Close)
	return &server{s, store}
}

// sessions returns how many sessions are stored.
func (s *server) sessions(t *testing.T) int {
	t.Helper()
	n, err := s.store.count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A visitor is a client with the session cookie that it was last given. It is
// no http.CookieJar, because those keep a Secure cookie from http://127.0.0.1.
type visitor struct {
	t      *testing.T
	server *server
	cookie string // name=value
}

func (s *server) visitor(t *testing.T) *visitor { return &visitor{t: t, server: s} }

// A reply is a response that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request. The headers are names and values in turn.
func (v *visitor) do(method, path, body string, headers ...string) reply {
	v.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(v.t.Context(), method, v.server.URL+path, r)
	if err != nil {
		v.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return v.send(req)
}

func (v *visitor) send(req *http.Request) reply {
	v.t.Helper()
	if v.cookie != "" {
		req.Header.Set("Cookie", v.cookie)
	}
	res, err := v.server.Client().Do(req)
	if err != nil {
		v.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatalf("%s %s: read the answer: %v", req.Method, req.URL.Path, err)
	}
	for _, c := range res.Cookies() {
		if c.Name == cookieName {
			v.cookie = c.Name + "=" + c.Value
		}
	}
	return reply{res.StatusCode, res.Header, string(text)}
}

// add posts a pill.
func (v *visitor) add(pill string) reply {
	v.t.Helper()
	return v.do("POST", "/pills", pill, "Content-Type", "application/json")
}

// want checks a reply's status and its whole body.
func (r reply) want(t *testing.T, what string, status int, body string) {
	t.Helper()
	if r.status != status || r.body != body {
		t.Errorf("%s = %d %s; want %d %s", what, r.status, head(r.body), status, head(body))
	}
}

// wantError checks that a reply is an error in the form of all of them.
func (r reply) wantError(t *testing.T, what string, status int, code string) {
	t.Helper()
	var got struct {
		Error struct{ Code, Message, Field string }
	}
	if err := strictJSON(r.body, &got); err != nil {
		t.Errorf("%s = %d %s: not the JSON of an error: %v", what, r.status, head(r.body), err)
		return
	}
	if r.status != status || got.Error.Code != code || got.Error.Message == "" {
		t.Errorf("%s = %d %s; want %d with the code %q and a message", what, r.status, head(r.body), status, code)
	}
	if ct := r.header.Get("Content-Type"); !strings.HasPrefix(ct, "application/json") {
		t.Errorf("%s: Content-Type = %q; want application/json", what, ct)
	}
	if cc := r.header.Get("Cache-Control"); cc != "no-store" {
		t.Errorf("%s: Cache-Control = %q; want no-store", what, cc)
	}
}

func head(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// A faultyStore counts what is asked of a store, and fails those calls for which
// fail returns an error.
type faultyStore struct {
	session.Store
	count func(context.Context) (int, error)
	calls atomic.Int64
	fail  atomic.Pointer[func(method string) error]
}

func (s *faultyStore) called(method string) error {
	s.calls.Add(1)
	if fail := s.fail.Load(); fail != nil {
		return (*fail)(method)
	}
	return nil
}

func (s *faultyStore) failWith(f func(method string) error) { s.fail.Store(&f) }

func (s *faultyStore) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	if err := s.called("Load"); err != nil {
		return session.Record{}, err
	}
	return s.Store.Load(ctx, id, slide)
}

func (s *faultyStore) Create(ctx context.Context, id string, rec session.Record) error {
	if err := s.called("Create"); err != nil {
		return err
	}
	return s.Store.Create(ctx, id, rec)
}

func (s *faultyStore) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	if err := s.called("Update"); err != nil {
		return err
	}
	return s.Store.Update(ctx, id, old, data, deadline)
}

func (s *faultyStore) Touch(ctx context.Context, id string, deadline time.Time) error {
	if err := s.called("Touch"); err != nil {
		return err
	}
	return s.Store.Touch(ctx, id, deadline)
}

func (s *faultyStore) Delete(ctx context.Context, id string, old []byte) error {
	if err := s.called("Delete"); err != nil {
		return err
	}
	return s.Store.Delete(ctx, id, old)
}

// strictJSON decodes a text that is one JSON value without unknown members.
func strictJSON(text string, v any) error {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("more than one value")
	}
	return nil
}

func TestNewNamesEveryBadField(t *testing.T) {
	_, err := medicine.New(medicine.Config{
		Session: session.Config{Secrets: []string{"short"}},
		Origins: []string{"*"},
	})
	for _, field := range []string{"Store", "Secrets", "Origins"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("New with no store, a short secret and the origin * = %v; want an error that names %s", err, field)
		}
	}
}
