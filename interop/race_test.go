package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// A journal is the store as Pillbox sees it; Express writes past it. It notes
// what each commit of Pillbox replaced, and what its conflicts were about.
type journal struct {
	session.Store
	latency time.Duration // at most, of Load: time for others to write

	mu          sync.Mutex
	commits     [][2][]byte // before and after
	conflicts   int
	overExpress int // conflicts with a write of Express
}

func (j *journal) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	rec, err := j.Store.Load(ctx, id, slide)
	if j.latency > 0 {
		time.Sleep(rand.N(j.latency))
	}
	return rec, err
}

func (j *journal) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	err := j.Store.Update(ctx, id, old, data, deadline)
	switch {
	case err == nil:
		j.mu.Lock()
		defer j.mu.Unlock()
		j.commits = append(j.commits, [2][]byte{bytes.Clone(old), bytes.Clone(data)})
	case errors.Is(err, session.ErrConflict):
		rec, loadErr := j.Store.Load(ctx, id, session.Slide{})
		j.mu.Lock()
		defer j.mu.Unlock()
		j.conflicts++
		if loadErr == nil && lastByExpress(rec.Data) != lastByExpress(old) {
			j.overExpress++
		}
	}
	return err
}

// lastByExpress returns the name of the last of the keys that Express set: new
// ones go to the end of the object.
func lastByExpress(text []byte) string {
	i := bytes.LastIndex(text, []byte(`"express`))
	name, _, _ := bytes.Cut(text[i+1:], []byte(":"))
	return string(name)
}

func members(t *testing.T, text []byte) map[string]json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(text, &m); err != nil {
		t.Errorf("stored %s: %v", text, err)
	}
	return m
}

// Of 200 parallel requests to one session, half go to Express and half to
// Pillbox, each to set a key of its own. Express overwrites blindly, so it loses
// what others stored since it read. Pillbox loses nothing: whatever is there at
// the moment of its commit, of either side, is there afterwards, and the keys of
// the requests that share it beside that.
func TestParallelRequestsToBothSides(t *testing.T) {
	t.Parallel()
	inner := newStore()
	watched := &journal{Store: inner, latency: 20 * time.Millisecond}
	express := startExpress(t, []session.Store{inner}, recommended) + "/0"
	pillbox := startPillbox(t, configure(watched))
	v := &visitor{t: t}
	v.must(pillbox, `[["set","user","bob"]]`)
	const workers, rounds, n = 20, 5, 100
	crowd(t, v.cookie, workers, rounds, map[string]string{"express": express, "pillbox": pillbox})
	if commits := len(watched.commits); commits == 0 || commits > n {
		t.Errorf("Pillbox committed %d times; want at most once for each of %d requests", commits, n)
	}
	committed := make(map[string]bool)
	var byExpress int
	for _, commit := range watched.commits {
		before, after := members(t, commit[0]), members(t, commit[1])
		for name, value := range before {
			if !bytes.Equal(after[name], value) {
				t.Errorf("a commit of Pillbox made of %s: %s the value %q; want it untouched", name, value, after[name])
			}
		}
		for name := range after {
			if before[name] == nil {
				if !strings.HasPrefix(name, "pillbox") || committed[name] {
					t.Errorf("a commit of Pillbox added %s; want keys of its own, each once", name)
				}
				committed[name] = true
			}
			if strings.HasPrefix(name, "express") {
				byExpress++
			}
		}
	}
	if len(committed) != n {
		t.Errorf("commits of Pillbox added %d different keys; want %d", len(committed), n)
	}
	if byExpress == 0 || watched.overExpress == 0 {
		t.Errorf("Pillbox saw %d keys of Express and had %d conflicts with it; want some, or the two never met", byExpress, watched.overExpress)
	}
	left := members(t, []byte(stored(t, inner, v.id())))
	t.Logf("%d conflicts detected, %d of them with Express; of %d keys %d are left, since Express's writes are blind", watched.conflicts, watched.overExpress, 2*n, len(left)-3)
}

// crowd has workers send requests with one cookie, each to all sides at once, and
// that in so many rounds. Each request sets a key that is named after its side
// and a number.
func crowd(t *testing.T, cookie string, workers, rounds int, sides map[string]string) {
	t.Helper()
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for round := range rounds {
				i := worker*rounds + round
				var all sync.WaitGroup
				for side, url := range sides {
					all.Go(func() {
						one := &visitor{t: t, cookie: cookie}
						if a := one.ask(url, fmt.Sprintf(`[["set","%s%d",%d]]`, side, i, i)); a.status != http.StatusOK {
							t.Errorf("%s, request %d: status %d; want 200", side, i, a.status)
						}
					})
				}
				all.Wait()
			}
		})
	}
	wg.Wait()
}

// Each write of Express between Pillbox's reading and its commit is noticed,
// whatever Express changed, and what both did is kept.
func TestEveryWriteOfExpressIsDetected(t *testing.T) {
	t.Parallel()
	inner := newStore()
	watched := &journal{Store: inner}
	express := startExpress(t, []session.Store{inner}, recommended) + "/0"
	m, err := session.New(configure(watched))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, ops, want string }{
		{"another key", `[["set","theirs",2]]`, `"a":1,"b":1,"theirs":2,"ours":1`},
		{"another value of the same length", `[["set","a",2]]`, `"a":2,"b":1,"ours":1`},
		{"the key that we change", `[["set","ours",2]]`, `"a":1,"b":1,"ours":1`},
		{"a key less", `[["delete","a"]]`, `"b":1,"ours":1`},
		{"the order alone", `[["delete","a"],["set","a",1]]`, `"b":1,"a":1,"ours":1`},
		{"the lifetime", `[["maxAge",3600000],["save"]]`, `"a":1,"b":1,"ours":1`},
	} {
		v := &visitor{t: t}
		v.must(express, `[["set","a",1],["set","b",1]]`)
		before := watched.conflicts
		v.change(m, func(s *session.Session) {
			if _, err := session.Key[int]("a").Get(s); err != nil {
				t.Errorf("%s: Get = %v", test.name, err)
			}
			(&visitor{t: t, cookie: v.cookie}).must(express, test.ops)
			if err := session.Key[int]("ours").Set(s, 1); err != nil {
				t.Errorf("%s: Set = %v", test.name, err)
			}
		})
		got := pillboxMember.ReplaceAllString(stored(t, inner, v.id()), "")
		if watched.conflicts != before+1 || !strings.HasSuffix(got, "},"+test.want+"}") {
			t.Errorf("%s: %d conflicts, stored %s; want 1, and %s", test.name, watched.conflicts-before, got, test.want)
		}
	}
	// And one that ends the session, ends it.
	v := &visitor{t: t}
	v.must(express, `[["set","a",1]]`)
	status := v.change(m, func(s *session.Session) {
		_, _ = session.Key[int]("a").Get(s)
		(&visitor{t: t, cookie: v.cookie}).must(express, `[["destroy"]]`)
		if err := session.Key[int]("ours").Set(s, 1); err != nil {
			t.Errorf("Set = %v", err)
		}
	})
	if got := stored(t, inner, v.id()); status != http.StatusConflict || got != "" {
		t.Errorf("destroyed by Express under way: status %d, stored %q; want 409 and nothing", status, got)
	}
}

// change answers one request of the visitor by f.
func (v *visitor) change(m *session.Manager, f func(s *session.Session)) (status int) {
	v.t.Helper()
	return v.post(newServer(v.t, m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		f(session.From(r.Context()))
	}))))
}

// A held store takes its time over a new session.
type held struct {
	session.Store
	hold func(context.Context)
}

func (h *held) Create(ctx context.Context, id string, rec session.Record) error {
	h.hold(ctx)
	return h.Store.Create(ctx, id, rec)
}

// A visitor who signs in and is redirected arrives before Express has stored
// the session: here the store waits for the arrival, and the redirect leaves all
// the same. That of Pillbox never does, however slow the store is.
func TestRedirectAfterSignIn(t *testing.T) {
	t.Parallel()
	arrivals := make(chan struct{})
	store := &held{Store: newStore(), hold: func(ctx context.Context) {
		select {
		case <-arrivals:
		case <-ctx.Done():
		}
	}}
	express := startExpress(t, []session.Store{store}, recommended) + "/0"
	for range 5 {
		if signIn(t, express, express) {
			t.Error("a visitor of Express arrives signed in before the session is stored")
		}
		arrivals <- struct{}{}
	}

	slow := &held{Store: newStore(), hold: func(context.Context) { time.Sleep(50 * time.Millisecond) }}
	pillbox := startPillbox(t, configure(slow))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if !signIn(t, pillbox, pillbox) {
				t.Error("a visitor of Pillbox arrives signed out")
			}
		})
	}
	wg.Wait()
}

// signIn signs in at one address and follows the redirect to another as a browser
// does, without waiting for the end of its body. It reports whether the visitor
// arrives signed in.
func signIn(t *testing.T, from, to string) bool {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Error(err)
		return false
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	post := func(url, ops string) *http.Response {
		resp, err := client.Post(url, "application/json", strings.NewReader(ops))
		if err != nil {
			t.Error(err)
			return &http.Response{Body: http.NoBody}
		}
		return resp
	}
	redirect := post(from, `[["regenerate"],["set","user","bob"],["redirect","/dashboard"]]`)
	defer redirect.Body.Close()
	if redirect.StatusCode != http.StatusSeeOther {
		t.Errorf("sign-in answered %d; want 303", redirect.StatusCode)
	}
	arrived := post(to, `[]`)
	defer arrived.Body.Close()
	var body struct{ Session string }
	if err := json.NewDecoder(arrived.Body).Decode(&body); err != nil {
		t.Error(err)
	}
	return strings.Contains(body.Session, `"user":"bob"`)
}
