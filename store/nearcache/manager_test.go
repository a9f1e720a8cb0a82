package nearcache_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/nearcache"
)

const (
	views = session.Key[int]("views")
	list  = session.Key[[]int]("list")
)

// A site is a web application, as one process has it.
type site struct {
	t       testing.TB
	manager *session.Manager
	handler http.Handler
}

func newSite(t testing.TB, store session.Store, changes ...func(*session.Config)) *site {
	t.Helper()
	cfg := session.Config{
		Store:   store,
		Secrets: []string{"a secret that is long enough for a test"},
		Logger:  slog.New(slog.DiscardHandler),
	}
	for _, change := range changes {
		change(&cfg)
	}
	p := &site{t: t}
	var err error
	p.manager, err = session.New(cfg)
	must(t, err)
	p.handler = p.manager.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		var err error
		switch r.Method {
		case "GET":
			var user string
			if user, err = s.User(); err == nil && user == "" {
				err = session.ErrNotFound
			}
		case "POST":
			_, err = views.Update(s, func(n int) int { return n + 1 })
		case "SIGNIN":
			if err = views.Set(s, 1); err == nil {
				err = s.SignIn(r.URL.Query().Get("user"))
			}
		case "SIGNOUT":
			err = s.SignOut()
		case "DESTROY":
			err = s.Destroy()
		case "RENEW":
			err = s.Renew()
		case "REGENERATE":
			if err = s.Regenerate(); err == nil {
				err = views.Set(s, 1)
			}
		}
		if err != nil {
			http.Error(w, err.Error(), session.Status(err))
		}
	}))
	return p
}

// A visitor has a cookie, and comes to whichever process.
type visitor struct {
	at     *site
	cookie string
}

func (p *site) visitor() *visitor { return &visitor{at: p} }

func (v *visitor) visit(method string) int { return v.visitAt(v.at, method, "/") }

func (v *visitor) visitAt(p *site, method, target string) int {
	return v.visitWithin(p.t.Context(), p, method, target)
}

func (v *visitor) visitWithin(ctx context.Context, p *site, method, target string) int {
	r := httptest.NewRequestWithContext(ctx, method, "https://example.com"+target, nil)
	if v.cookie != "" {
		r.Header.Set("Cookie", v.cookie)
	}
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		v.cookie = c.Name + "=" + c.Value
	}
	return w.Code
}

// ends are the ways in which an application ends a session. Each is given a copy of
// a visitor who is signed in as user, and returns whether it says that it is done.
var ends = []struct {
	name string
	end  func(ctx context.Context, p *site, v *visitor, user string) bool
}{
	{"SignOut", func(ctx context.Context, p *site, v *visitor, _ string) bool {
		return v.visitWithin(ctx, p, "SIGNOUT", "/") == 200
	}},
	{"Destroy", func(ctx context.Context, p *site, v *visitor, _ string) bool {
		return v.visitWithin(ctx, p, "DESTROY", "/") == 200
	}},
	{"Renew", func(ctx context.Context, p *site, v *visitor, _ string) bool {
		return v.visitWithin(ctx, p, "RENEW", "/") == 200
	}},
	{"Regenerate", func(ctx context.Context, p *site, v *visitor, _ string) bool {
		return v.visitWithin(ctx, p, "REGENERATE", "/") == 200
	}},
	{"SignIn again", func(ctx context.Context, p *site, v *visitor, user string) bool {
		return v.visitWithin(ctx, p, "SIGNIN", "/?user="+user) == 200
	}},
	{"SignIn of somebody else", func(ctx context.Context, p *site, v *visitor, user string) bool {
		return v.visitWithin(ctx, p, "SIGNIN", "/?user=not-"+user) == 200
	}},
	{"SignIn elsewhere, beyond MaxPerUser", func(ctx context.Context, p *site, _ *visitor, user string) bool {
		return p.visitor().visitWithin(ctx, p, "SIGNIN", "/?user="+user) == 200
	}},
	{"Revoke", func(ctx context.Context, p *site, _ *visitor, user string) bool {
		infos, err := p.manager.Sessions(p.t.Context(), user)
		if err != nil || len(infos) != 1 {
			p.t.Errorf("Sessions = %v, %v; want one", infos, err)
			return false
		}
		return p.manager.Revoke(ctx, infos[0].PublicID) == nil
	}},
	{"RevokeUser", func(ctx context.Context, p *site, _ *visitor, user string) bool {
		return second(p.manager.RevokeUser(ctx, user)) == nil
	}},
}

// Whoever has ended a session in one process, and was told that it is done, is
// refused in the others from then on, while they served it until just before.
func TestEndingASessionReachesOtherProcesses(t *testing.T) {
	for _, below := range shared {
		for _, end := range ends {
			t.Run(below.name+"/"+end.name, func(t *testing.T) {
				if !refusedAfter(t, below.open(t), 20*time.Millisecond, 0, end.end) {
					t.Error("it was not done, though it had time")
				}
			})
		}
	}
}

// A request that has no time to wait for the lease says so. What it must not say is
// that the session has ended, while another process still serves it.
func TestEndingASessionWithoutTime(t *testing.T) {
	for _, end := range ends {
		t.Run(end.name, func(t *testing.T) {
			refusedAfter(t, shared[0].open(t), 40*time.Millisecond, 15*time.Millisecond, end.end)
		})
	}
}

// refusedAfter has a session ended in one process within a time, if that is not
// zero, while requests with it come to another one. It returns whether that was
// said to be done.
func refusedAfter(t *testing.T, below func() session.Store, lease, within time.Duration, end func(context.Context, *site, *visitor, string) bool) bool {
	t.Helper()
	bound := func(c *session.Config) { c.MaxPerUser = 1 }
	opts := nearcache.Options{Lease: lease}
	here, there := newSite(t, open(t, below(), opts), bound), newSite(t, open(t, below(), opts), bound)
	v := here.visitor()
	user := newPrefix()
	if code := v.visitAt(here, "SIGNIN", "/?user="+user); code != 200 {
		t.Fatalf("sign-in = %d", code)
	}
	if code := v.visitAt(there, "GET", "/"); code != 200 {
		t.Fatalf("the other process answers %d before the end", code)
	}
	var ended, over atomic.Bool
	var late atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		other := *v // the cookie of before
		wg.Go(func() {
			for !over.Load() {
				before := ended.Load()
				if other.visitAt(there, "GET", "/") == 200 && before {
					late.Add(1)
				}
			}
		})
	}
	time.Sleep(2 * time.Millisecond) // some of them are answered meanwhile
	ctx, cancel := t.Context(), context.CancelFunc(func() {})
	if within > 0 {
		ctx, cancel = context.WithTimeout(ctx, within)
	}
	gone := *v
	done := end(ctx, here, &gone, user)
	cancel()
	ended.Store(done)
	time.Sleep(lease + lease/2)
	over.Store(true)
	wg.Wait()
	if n := late.Load(); n > 0 {
		t.Errorf("the other process served %d requests after the session had ended", n)
	}
	return done
}

// Of 200 changes to one session, which come to two processes at once, none is lost.
func TestParallelChangesInTwoProcesses(t *testing.T) {
	for _, below := range shared {
		t.Run(below.name, func(t *testing.T) {
			open2 := below.open(t)
			sites := make([]*site, 2)
			for i := range sites {
				sites[i] = newSite(t, open(t, open2(), nearcache.Options{}))
				sites[i].handler = sites[i].manager.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					s := session.From(r.Context())
					if _, err := list.Get(s); err != nil {
						t.Error(err)
					}
					time.Sleep(5 * time.Millisecond) // others read the same meanwhile
					_, err := list.Update(s, func(all []int) []int { return append(all, len(all)) })
					if err != nil {
						t.Error(err)
						http.Error(w, err.Error(), session.Status(err))
					}
				}))
			}
			v := sites[0].visitor()
			v.visit("POST")
			var wg sync.WaitGroup
			for i := range 199 {
				other := *v
				wg.Go(func() { other.visitAt(sites[i%2], "POST", "/") })
			}
			wg.Wait()
			for i, p := range sites {
				// One of them may not have heard of the last change yet.
				var n int
				for range 100 {
					n = p.count(v)
					if n == 200 {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
				if n != 200 {
					t.Errorf("process %d has %d of 200 changes", i, n)
				}
			}
		})
	}
}

// count returns how many changes a process finds in the visitor's session.
func (p *site) count(v *visitor) (n int) {
	p.t.Helper()
	r := httptest.NewRequestWithContext(p.t.Context(), "GET", "https://example.com/", nil)
	r.Header.Set("Cookie", v.cookie)
	s, err := p.manager.PeekRequest(p.t.Context(), r)
	if errors.Is(err, session.ErrNotFound) {
		return 0
	}
	must(p.t, err)
	all, err := list.Get(s)
	must(p.t, err)
	for i, value := range all {
		if i != value {
			p.t.Fatal(fmt.Errorf("change %d is where %d belongs", value, i))
		}
	}
	return len(all)
}
