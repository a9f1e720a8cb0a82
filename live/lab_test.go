package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/live"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

const (
	labSecret = "a secret of the live tests, long enough"

	pills session.Key[[]string] = "pills" // which pages may see
	notes session.Key[string]   = "notes" // which they may not
)

// A lab is an application in one process: sessions, and the pages open on them.
type lab struct {
	t   *testing.T
	m   *session.Manager
	hub *live.Hub
}

func newLab(t *testing.T, store session.Store, sc session.Config, lc live.Config) *lab {
	t.Helper()
	sc.Store, sc.Secrets = store, []string{labSecret}
	sc.Logger = slog.New(slog.DiscardHandler)
	m, err := session.New(sc)
	if err != nil {
		t.Fatal(err)
	}
	lc.Keys = []string{string(pills)}
	if lc.Logger == nil {
		lc.Logger = sc.Logger
	}
	hub, err := live.New(m, lc)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Close)
	return &lab{t, m, hub}
}

// memory returns a store for a test within one process.
func memory(t *testing.T) *memstore.Store {
	t.Helper()
	s := memstore.New(memstore.Options{})
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// A visitor has the cookie that he was last given.
type visitor struct {
	lab    *lab
	cookie string
}

func (l *lab) visitor() *visitor { return &visitor{lab: l} }

// at returns the same visitor at another process.
func (v *visitor) at(l *lab) *visitor { return &visitor{l, v.cookie} }

func (v *visitor) request(method string) *http.Request {
	r := httptest.NewRequestWithContext(v.lab.t.Context(), method, "https://shop.example/live", nil)
	if v.cookie != "" {
		r.Header.Set("Cookie", v.cookie)
	}
	return r
}

// does sends a request that does something with the session.
func (v *visitor) does(f func(s *session.Session) error) {
	v.lab.t.Helper()
	w := httptest.NewRecorder()
	v.lab.m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := f(session.From(r.Context())); err != nil {
			v.lab.t.Errorf("a request: %v", err)
		}
		w.WriteHeader(http.StatusNoContent)
	})).ServeHTTP(w, v.request("POST"))
	if w.Code != http.StatusNoContent {
		v.lab.t.Errorf("a request: status %d %s", w.Code, w.Body)
	}
	for _, c := range w.Result().Cookies() {
		v.cookie = c.Name + "=" + c.Value
	}
}

func (v *visitor) takes(all ...string) {
	v.lab.t.Helper()
	v.does(func(s *session.Session) error { return pills.Set(s, all) })
}

func (v *visitor) reads() {
	v.lab.t.Helper()
	v.does(func(s *session.Session) error { _, err := pills.Get(s); return err })
}

func (v *visitor) signsIn(user string) {
	v.lab.t.Helper()
	v.does(func(s *session.Session) error { return s.SignIn(user) })
}

func (v *visitor) publicID() (id string) {
	v.lab.t.Helper()
	s, err := v.lab.m.PeekRequest(v.lab.t.Context(), v.request("GET"))
	if err == nil {
		id, err = s.PublicID()
	}
	if err != nil {
		v.lab.t.Fatal(err)
	}
	return id
}

// A page is a stream without a network.
type page struct {
	t      *testing.T
	cancel context.CancelFunc
	ended  chan struct{}
	status int
	header http.Header

	mu    sync.Mutex
	text  strings.Builder
	stuck chan struct{} // while not nil, writes wait for it
}

func (p *page) Header() http.Header    { return p.header }
func (p *page) WriteHeader(status int) { p.status = status }
func (p *page) Flush()                 {}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	stuck := p.stuck
	p.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status == 0 {
		p.status = http.StatusOK
	}
	return p.text.Write(b)
}

// hold makes the page read nothing until the function that is returned is called.
func (p *page) hold() (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	stuck := make(chan struct{})
	p.stuck = stuck
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stuck = nil
		close(stuck)
	}
}

// opens opens a page, and returns when its first event has been sent.
func (v *visitor) opens() *page {
	v.lab.t.Helper()
	p := &page{t: v.lab.t, ended: make(chan struct{}), header: make(http.Header)}
	r := v.request("GET")
	ctx, cancel := context.WithCancel(r.Context())
	p.cancel = cancel
	go func() {
		defer close(p.ended)
		v.lab.hub.ServeHTTP(p, r.WithContext(ctx))
	}()
	synctest.Wait()
	return p
}

var event = regexp.MustCompile(`event: (\w+)\ndata: (.*)\n\n`)

// events returns what was sent since the last call, as "name data", with all
// comments left out and public ids shortened.
func (p *page) events() []string {
	p.t.Helper()
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	text := strings.TrimPrefix(strings.ReplaceAll(p.text.String(), ":\n\n", ""), "retry: 2000\n\n")
	p.text.Reset()
	var all []string
	for _, m := range event.FindAllStringSubmatch(text, -1) {
		if !json.Valid([]byte(m[2])) {
			p.t.Errorf("the data of an event is no JSON: %q", m[2])
		}
		all = append(all, m[1]+" "+ids.ReplaceAllString(m[2], `"session":0`))
	}
	if rest := event.ReplaceAllString(text, ""); rest != "" {
		p.t.Errorf("beside events there is %q", rest)
	}
	return all
}

var ids = regexp.MustCompile(`"session":"[^"]+"`)

// gets checks what was sent since the last call.
func (p *page) gets(what string, want ...string) {
	p.t.Helper()
	if got := p.events(); !slices.Equal(got, want) {
		p.t.Errorf("%s: a page gets\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// isOpen checks whether the page's stream goes on.
func (p *page) isOpen(what string, want bool) {
	p.t.Helper()
	synctest.Wait()
	open := true
	select {
	case <-p.ended:
		open = false
	default:
	}
	if open != want {
		p.t.Errorf("%s: the stream is open: %v; want %v", what, open, want)
	}
}

// A spy counts the calls of a store in memory, and fails on demand.
type spy struct {
	*memstore.Store
	calls atomic.Int64
	err   atomic.Pointer[error]
	after atomic.Pointer[func()] // Load has read
}

func newSpy(t *testing.T) *spy { return &spy{Store: memory(t)} }

func (s *spy) fail(err error) { s.err.Store(&err) }

func (s *spy) called() error {
	s.calls.Add(1)
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *spy) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	if err := s.called(); err != nil {
		return session.Record{}, err
	}
	rec, err := s.Store.Load(ctx, id, slide)
	if after := s.after.Swap(nil); after != nil {
		(*after)()
	}
	return rec, err
}

func (s *spy) Create(ctx context.Context, id string, rec session.Record) error {
	return errors.Join(s.called(), s.Store.Create(ctx, id, rec))
}

func (s *spy) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	if err := s.called(); err != nil {
		return err
	}
	return s.Store.Update(ctx, id, old, data, deadline)
}

func (s *spy) Touch(ctx context.Context, id string, deadline time.Time) error {
	if err := s.called(); err != nil {
		return err
	}
	return s.Store.Touch(ctx, id, deadline)
}

func (s *spy) Delete(ctx context.Context, id string, old []byte) error {
	if err := s.called(); err != nil {
		return err
	}
	return s.Store.Delete(ctx, id, old)
}

// silent is a store that tells of no changes.
type silent struct{ session.Store }

// in runs a test with a clock of its own.
func in(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// ms formats the limits of an event.
func ms(idle, absolute time.Duration) string {
	return fmt.Sprintf(`"idle":%d,"absolute":%d}`, idle.Milliseconds(), absolute.Milliseconds())
}
