package mysqlstore_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// What each method sends, with a connection that is open and a table that was
// looked at before.
func TestRoundTrips(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		ctx, server := t.Context(), servers.Shared(t, k)
		for _, test := range []struct {
			name                            string
			open                            func(w *wire, opts mysqlstore.Options) *mysqlstore.Store
			slide, signIn, bounded, revoked int
		}{
			{"Open", func(w *wire, opts mysqlstore.Options) *mysqlstore.Store {
				return migrated(t, w.through(config(t, server, "")), opts)
			}, 1, 2, 2, 3},
			{"New, multiStatements", func(w *wire, opts mysqlstore.Options) *mysqlstore.Store {
				return fromPool(t, server, w, "multiStatements=true", opts)
			}, 1, 2, 2, 3},
			{"New", func(w *wire, opts mysqlstore.Options) *mysqlstore.Store {
				return fromPool(t, server, w, "", opts)
			}, 2, 7, 8, 6},
		} {
			var w wire
			s := test.open(&w, mysqlstore.Options{Table: tableName()})
			one, two, later := []byte(`{"n":1}`), []byte(`{"n":2}`), in(time.Hour)
			rec := session.Record{Data: one, Deadline: later}
			owned := rec
			owned.Owner = session.Owner{User: "alice", AsOf: time.Now().Add(time.Hour)}
			bounded := owned
			bounded.Owner.Max = 1
			load := func(slide session.Slide) error { return second(s.Load(ctx, "id", slide)) }
			w.take()
			for _, step := range []struct {
				name string
				do   func() error
				want int
			}{
				{"Create", func() error { return s.Create(ctx, "id", rec) }, 1},
				{"Load", func() error { return load(session.Slide{}) }, 1},
				{"Load with a slide that is not due", func() error {
					return load(session.Slide{To: later.Add(time.Hour), Before: later.Add(-time.Hour)})
				}, 1},
				{"Load with a slide", func() error { return load(session.Slide{To: later.Add(time.Hour)}) }, test.slide},
				{"Load of an unknown id", func() error { return notFound(second(s.Load(ctx, "x", session.Slide{To: later}))) }, 1},
				{"Update", func() error { return s.Update(ctx, "id", one, two, later) }, 1},
				{"Update that changes nothing", func() error { return s.Update(ctx, "id", two, two, later) }, 1},
				{"Update that meets a conflict", func() error { return answer(s.Update(ctx, "id", one, two, later), session.ErrConflict) }, 1},
				{"Update of an unknown id", func() error { return notFound(s.Update(ctx, "x", one, two, later)) }, 1},
				{"Touch", func() error { return s.Touch(ctx, "id", later.Add(2*time.Hour)) }, 1},
				{"Touch that changes nothing", func() error { return s.Touch(ctx, "id", later) }, 1},
				{"Touch of an unknown id", func() error { return notFound(s.Touch(ctx, "x", later)) }, 2},
				{"Delete that meets a conflict", func() error { return answer(s.Delete(ctx, "id", one), session.ErrConflict) }, 2},
				{"Delete with old", func() error { return s.Delete(ctx, "id", two) }, 1},
				{"Delete", func() error { return s.Delete(ctx, "id", nil) }, 1},
				{"Create with an owner", func() error { return s.Create(ctx, "a", owned) }, test.signIn},
				{"Create that ends another", func() error { return s.Create(ctx, "b", bounded) }, test.bounded},
				{"UserIDs", func() error { return second(s.UserIDs(ctx, "alice")) }, 1},
				{"RevokeUser", func() error { return second(s.RevokeUser(ctx, "alice", time.Now())) }, test.revoked},
			} {
				if err := step.do(); err != nil {
					t.Errorf("%s: %s: %v", test.name, step.name, err)
				}
				if sent := w.take(); len(sent) != step.want || strings.Count(strings.Join(sent, " "), "QUERY") != step.want {
					t.Errorf("%s: %s sent %d commands, %v; want %d queries", test.name, step.name, len(sent), sent, step.want)
				}
			}
		}
	})
}

// fromPool returns a store that New makes of a pool with one connection.
func fromPool(t *testing.T, server *servers.Server, w *wire, params string, opts mysqlstore.Options) *mysqlstore.Store {
	db := pool(t, w.through(config(t, server, params)))
	db.SetMaxOpenConns(1)
	opts.PruneEvery = -1
	s := mysqlstore.New(db, opts)
	t.Cleanup(func() { s.Close() })
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func answer(err, want error) error {
	if err == nil || !strings.Contains(err.Error(), want.Error()) {
		return fmt.Errorf("got %v; want %w", err, want)
	}
	return nil
}

func notFound(err error) error { return answer(err, session.ErrNotFound) }

// A request that reads its session is one round trip, whether or not that moves
// the deadline; one that changes it is two. The server's own count of statements
// says what they consist of.
func TestRequests(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		var w wire
		cfg, table := config(t, servers.Shared(t, k), ""), tableName()
		s := migrated(t, w.through(cfg), mysqlstore.Options{Table: table, MaxConns: 1})
		admin := pool(t, cfg)

		web := newWeb(t, s, session.Config{})
		web.get("/set?1")
		age := func() { // so that the next request moves the deadline
			do(t, admin, "UPDATE "+table+" SET expires = expires - 600")
		}
		for _, test := range []struct {
			name, path string
			prepare    func()
			trips      int
			ran        map[string]int
		}{
			{"reads", "/get", func() {}, 1, map[string]int{"com_begin": 1, "com_update": 1, "com_select": 1, "com_commit": 1}},
			{"reads, and slides", "/get", age, 1, map[string]int{"com_begin": 1, "com_update": 1, "com_select": 1, "com_commit": 1}},
			{"changes", "/set?2", func() {}, 2, map[string]int{"com_begin": 1, "com_update": 2, "com_select": 1, "com_commit": 1}},
			{"changes, and slides", "/set?3", age, 2, map[string]int{"com_begin": 1, "com_update": 2, "com_select": 1, "com_commit": 1}},
			{"does not use it", "/none", func() {}, 0, map[string]int{}},
		} {
			test.prepare()
			before := statements(t, admin, "Com\\_%")
			w.take()
			web.get(test.path)
			if sent := w.take(); len(sent) != test.trips {
				t.Errorf("a request that %s sent %v; want %d commands", test.name, sent, test.trips)
			}
			ran := map[string]int{}
			for name, n := range statements(t, admin, "Com\\_%") {
				if d := n - before[name]; d > 0 && name != "com_show_status" {
					ran[name] = d
				}
			}
			if !maps.Equal(ran, test.ran) {
				t.Errorf("for a request that %s the server ran %v; want %v", test.name, ran, test.ran)
			}
		}
	})
}

// A web is a site with sessions in a store, and a browser with one cookie.
type web struct {
	t      testing.TB
	server *httptest.Server
	cookie *http.Cookie
}

const note session.Key[string] = "note"

func newWeb(t testing.TB, store session.Store, cfg session.Config) *web {
	cfg.Store = store
	cfg.Secrets = []string{"d2hhdCBpcyBub3QgYSBwbGFjZWhvbGRlcg"}
	sessions, err := session.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/none", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/get", func(w http.ResponseWriter, r *http.Request) {
		text, err := note.Get(session.From(r.Context()))
		if err != nil {
			http.Error(w, err.Error(), session.Status(err))
			return
		}
		io.WriteString(w, text)
	})
	mux.HandleFunc("/set", func(w http.ResponseWriter, r *http.Request) {
		if err := note.Set(session.From(r.Context()), r.URL.RawQuery); err != nil {
			http.Error(w, err.Error(), session.Status(err))
		}
	})
	mux.HandleFunc("/signin", func(w http.ResponseWriter, r *http.Request) {
		if err := session.From(r.Context()).SignIn(r.URL.RawQuery); err != nil {
			http.Error(w, err.Error(), session.Status(err))
		}
	})
	server := httptest.NewTLSServer(sessions.Handler(mux))
	t.Cleanup(server.Close)
	return &web{t: t, server: server}
}

// get makes a request, keeps the cookie that it brings, and returns the status
// and the body.
func (w *web) get(path string) (int, string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.server.URL+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.cookie != nil {
		r.AddCookie(w.cookie)
	}
	response, err := w.server.Client().Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range response.Cookies() {
		w.cookie = c
		if c.Value == "" || c.MaxAge < 0 {
			w.cookie = nil
		}
	}
	return response.StatusCode, string(body)
}
