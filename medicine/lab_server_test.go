package medicine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pillboxgo/pillbox/medicine"
	"github.com/pillboxgo/pillbox/medicine/lab"
	"github.com/pillboxgo/pillbox/medicine/password"
	"github.com/pillboxgo/pillbox/medicine/users"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

// A labServer is a server that watches everything go through its front door.
type labServer struct {
	*server
	users *countedUsers
	log   *lockedBuffer

	mu      sync.Mutex
	set     map[string]bool // each cookie value that the server has set
	secrets []string        // what was in a request or an answer that stands for a session or an account
	events  map[string]int  // how often each kind of event was emitted
	forged  []int64         // store calls of each GET with a cookie that the server never set
	mark    string          // what the lab's requests have in lab.Header
	lose    string          // the path of the answer that is lost, if one is
}

// labStores open a store for a labServer.
var labStores = map[string]func(t *testing.T) (*faultyStore, session.UserIndex){
	// As any store without an index by user.
	"memory": func(t *testing.T) (*faultyStore, session.UserIndex) {
		s := memstore.New(memstore.Options{})
		t.Cleanup(func() { s.Close() })
		return &faultyStore{Store: s, count: s.Count}, nil
	},
	"sqlite": func(t *testing.T) (*faultyStore, session.UserIndex) {
		s, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "medicine.db"), sqlitestore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return &faultyStore{Store: s, count: s.Count}, s
	},
}

// labHasher is shared, since it bounds the memory of the whole process.
var labHasher = sync.OnceValue(password.New)

func serveLab(t *testing.T, name string) *labServer {
	t.Helper()
	store, index := labStores[name](t)
	s := &labServer{
		users: &countedUsers{Table: new(users.Memory), live: make(map[string]bool)}, log: new(lockedBuffer),
		set: make(map[string]bool), events: make(map[string]int),
	}
	var sessions session.Store = store
	if index != nil {
		sessions = struct {
			session.Store
			session.UserIndex
		}{store, index}
	}
	app, err := medicine.New(medicine.Config{
		Session: session.Config{
			Store:   sessions,
			Secrets: []string{secret},
			Logger:  slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Observe: func(e session.Event) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.events[e.Kind.String()]++
			},
		},
		Origins:   []string{trustedOrigin},
		Users:     s.users,
		Passwords: labHasher(),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := app.Handler()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read a request: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		calls := store.calls.Load()
		h.ServeHTTP(w, r)
		s.note(r, body, w.Header(), store.calls.Load()-calls)
		if r.URL.Path == s.lose {
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(front.Close)
	s.server = &server{front, store}
	return s
}

// note keeps what is to be in no answer to a visitor of the lab, and in no log.
func (s *labServer) note(r *http.Request, body []byte, header http.Header, calls int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if mark := r.Header.Get(lab.Header); mark != "" {
		s.mark = mark
		s.secrets = append(s.secrets, mark)
	}
	var values []string
	for _, c := range r.Cookies() {
		values = append(values, c.Value)
		if !s.set[c.Value] && r.Method == http.MethodGet {
			s.forged = append(s.forged, calls)
		}
	}
	for _, c := range (&http.Response{Header: header}).Cookies() {
		values = append(values, c.Value)
		s.set[c.Value] = true
	}
	for _, value := range values {
		text, err := url.PathUnescape(value)
		if err != nil {
			text = value
		}
		id, signature, _ := strings.Cut(strings.TrimPrefix(text, "s:"), ".")
		s.secrets = append(s.secrets, value, text, id, signature, url.QueryEscape(signature))
	}
	var credentials struct{ Password string }
	_ = json.Unmarshal(body, &credentials) // most bodies have none
	s.secrets = append(s.secrets, credentials.Password)
}

// wantNoSecret checks that a text holds nothing that stands for a session.
func (s *labServer) wantNoSecret(t *testing.T, what, text string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	checked := 0
	for _, secret := range s.secrets {
		if secret == "" {
			continue
		}
		checked++
		if strings.Contains(text, secret) {
			t.Errorf("%s holds a secret:\n%s", what, text)
			return
		}
	}
	if checked < 10 {
		t.Errorf("%s was searched for %d secrets; want at least 10", what, checked)
	}
}

// wantLeft checks how many sessions and accounts there are.
func (s *labServer) wantLeft(t *testing.T, sessions, accounts int) {
	t.Helper()
	if n, m := s.sessions(t), s.users.count(); n != sessions || m != accounts {
		t.Errorf("there are %d sessions and %d accounts; want %d and %d\n%s", n, m, sessions, accounts, s.log)
	}
}

// countedUsers knows how many accounts there are, and fails on demand.
type countedUsers struct {
	users.Table
	mu   sync.Mutex
	live map[string]bool
	fail error // of Create, after it was done
}

func (c *countedUsers) Create(ctx context.Context, name, hash string) (users.User, error) {
	u, err := c.Table.Create(ctx, name, hash)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.live[u.ID] = true
	}
	return u, errors.Join(err, c.fail)
}

func (c *countedUsers) Delete(ctx context.Context, id string) error {
	err := c.Table.Delete(ctx, id)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		delete(c.live, id)
	}
	return err
}

func (c *countedUsers) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.live)
}

// A lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
