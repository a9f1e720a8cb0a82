package dynamostore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/dynamostore"
)

// patience is how long a call may take in a fault test. What comes back much
// later did not listen to its context.
const patience = 700 * time.Millisecond

// connections is how many of them a client of these tests may have.
const connections = 16

// A faulty is a store behind a link that can fail.
type faulty struct {
	*dynamostore.Store
	t    *testing.T
	link *servers.Link
	open atomic.Int64 // connections
}

// throughLink returns a store on the lab's table behind a link to addr, with
// retries as everybody has them. When the test is over, it checks that nothing is
// left of its client.
func (l *lab) throughLink(t *testing.T, addr string) *faulty {
	t.Helper()
	f := &faulty{t: t, link: servers.Proxy(t, addr)}
	before := runtime.NumGoroutine()
	transport := &http.Transport{
		MaxIdleConnsPerHost: connections,
		MaxConnsPerHost:     connections,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, f.link.Addr)
			if err != nil {
				return nil, err
			}
			f.open.Add(1)
			return &counted{Conn: conn, open: &f.open}, nil
		},
	}
	cfg, err := settings(l.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg.HTTPClient = &http.Client{Transport: transport}
	f.Store = l.open(t, dynamodb.NewFromConfig(cfg), dynamostore.Options{})
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		eventually(t, "no connection to be left", func() bool { return f.open.Load() == 0 })
		eventually(t, "no goroutine to be left", func() bool {
			if l.gateway != nil {
				l.gateway.client.CloseIdleConnections()
			}
			return runtime.NumGoroutine() <= before
		})
	})
	return f
}

type counted struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

func (c *counted) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// calls are methods that succeed on a record "id" that holds bob.
func (f *faulty) calls() map[string]func(context.Context) error {
	data := []byte(bob)
	return map[string]func(context.Context) error{
		"Load": func(ctx context.Context) error { return second(f.Load(ctx, "id", noSlide)) },
		"Load with a slide": func(ctx context.Context) error {
			return second(f.Load(ctx, "id", session.Slide{To: in(2 * time.Hour)}))
		},
		"Update":     func(ctx context.Context) error { return f.Update(ctx, "id", data, data, in(3*time.Hour)) },
		"Touch":      func(ctx context.Context) error { return f.Touch(ctx, "id", in(4*time.Hour)) },
		"Delete":     func(ctx context.Context) error { return f.Delete(ctx, "absent", nil) },
		"RevokeUser": func(ctx context.Context) error { return second(f.RevokeUser(ctx, "nobody", time.Now())) },
		"Count":      func(ctx context.Context) error { return second(f.Count(ctx)) },
		"Ping":       f.Ping,
	}
}

// fails checks that every call fails while the fault lasts: in time, for what it
// is, and with an error that an operator can use.
func (f *faulty) fails() {
	f.t.Helper()
	var wg sync.WaitGroup
	for name, call := range f.calls() {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(f.t.Context(), patience)
			defer cancel()
			begun := time.Now()
			err := call(ctx)
			took := time.Since(begun)
			switch {
			case err == nil:
				f.t.Errorf("%s = nil; want an error", name)
				return
			case isAnswer(err):
				f.t.Errorf("%s = %v; want none of the contract's answers", name, err)
			case took > patience+2*time.Second:
				f.t.Errorf("%s returned after %v; its context had %v", name, took, patience)
			}
			for _, part := range []string{"pillbox: dynamodb ", "table pillbox-", "DynamoDB does not answer: check"} {
				if !strings.Contains(err.Error(), part) {
					f.t.Errorf("%s = %v; want %q in it", name, err, part)
				}
			}
		})
	}
	wg.Wait()
}

// recovers checks that every call succeeds again, on the same store.
func (f *faulty) recovers() {
	f.t.Helper()
	for name, call := range f.calls() {
		eventually(f.t, name+" to succeed", func() bool {
			ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
			defer cancel()
			err := call(ctx)
			if isAnswer(err) {
				f.t.Errorf("%s after the fault = %v; want nil", name, err)
			}
			return err == nil
		})
	}
	if n := f.open.Load(); n > connections {
		f.t.Errorf("%d connections are open after the fault; want at most %d", n, connections)
	}
}

func TestFaults(t *testing.T) {
	for _, fault := range []struct {
		name  string
		begin func(*servers.Link)
	}{
		{"black hole", (*servers.Link).BlackHole},
		{"lost answers", (*servers.Link).LoseAnswers},
		{"reset", (*servers.Link).Reset},
		{"down", (*servers.Link).Down},
	} {
		t.Run(fault.name, func(t *testing.T) {
			l := newLab(t, sharedDynalite(t))
			f := l.throughLink(t, l.address(t))
			if err := f.Create(t.Context(), "id", record(bob)); err != nil {
				t.Fatal(err)
			}
			fault.begin(f.link)
			f.fails()
			f.fails()
			f.link.Up()
			f.recovers()
		})
	}
}

// A slow server is waited for while the context lasts, and no longer.
func TestLatency(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	f := l.throughLink(t, l.address(t))
	if err := f.Create(t.Context(), "id", record(bob)); err != nil {
		t.Fatal(err)
	}
	f.link.Latency(100 * time.Millisecond)
	for name, call := range f.calls() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := call(ctx); err != nil {
			t.Errorf("%s = %v; want nil", name, err)
		}
		cancel()
	}
	f.link.Latency(patience + time.Second)
	f.fails()
	f.link.Up()
	f.recovers()
}

// The application starts before its server can be reached.
func TestDownAtTheStart(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	f := l.throughLink(t, l.address(t))
	f.link.Down()
	f.fails()
	f.link.Up()
	if err := f.Create(t.Context(), "id", record(bob)); err != nil {
		t.Fatal(err)
	}
	f.recovers()
}

// The server is killed and starts again, and whatever it had acknowledged is
// there.
func TestRestart(t *testing.T) {
	server := servers.Start(t, servers.DynamoDB)
	l := newLab(t, server)
	f := l.throughLink(t, server.Addrs[0])
	if err := errors.Join(f.Create(t.Context(), "id", record(bob)), f.Create(t.Context(), "other", record(bob))); err != nil {
		t.Fatal(err)
	}
	if err := f.Delete(t.Context(), "other", nil); err != nil {
		t.Fatal(err)
	}
	server.Kill(t, 0)
	f.fails()
	server.Restart(t, 0)
	f.recovers()
	if rec, err := f.Load(t.Context(), "id", noSlide); err != nil || string(rec.Data) != bob {
		t.Errorf("Load after a crash = %s, %v; want what was stored", rec.Data, err)
	}
	if _, err := f.Load(t.Context(), "other", noSlide); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load of what was deleted before the crash = %v; want %v", err, session.ErrNotFound)
	}
}

// The answer to a write is lost, and the client repeats it: it finds its own work
// done and knows it.
func TestLostAnswers(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		if l.gateway == nil {
			return // there is nothing between us and Amazon's own
		}
		ctx := t.Context()
		owned := record(bob)
		owned.Owner = session.Owner{User: "alice", AsOf: time.Now()}
		for _, step := range []struct {
			name, command string
			do            func() error
		}{
			{"Create", "PutItem", func() error { return l.store.Create(ctx, "id", record(`{"n":0}`)) }},
			{"Update", "UpdateItem", func() error { return l.store.Update(ctx, "id", []byte(`{"n":0}`), []byte(`{"n":1}`), in(time.Hour)) }},
			{"Update with the same data", "UpdateItem", func() error {
				return l.store.Update(ctx, "id", []byte(`{"n":1}`), []byte(`{"n":1}`), in(time.Hour))
			}},
			{"Touch", "UpdateItem", func() error { return l.store.Touch(ctx, "id", in(2*time.Hour)) }},
			{"Load with a slide", "UpdateItem", func() error { return second(l.store.Load(ctx, "id", session.Slide{To: in(3 * time.Hour)})) }},
			{"Delete", "DeleteItem", func() error { return l.store.Delete(ctx, "id", nil) }},
			{"Create with an owner", "PutItem", func() error { return l.store.Create(ctx, "owned", owned) }},
			{"RevokeUser", "PutItem", func() error {
				n, err := l.store.RevokeUser(ctx, "alice", time.Now())
				if err == nil && n != 1 {
					err = fmt.Errorf("%d ended; want 1", n)
				}
				return err
			}},
		} {
			lost := false
			l.gateway.losing(func(command string) bool {
				first := command == step.command && !lost
				lost = lost || first
				return first
			})
			if err := step.do(); err != nil || !lost {
				t.Errorf("%s whose answer is lost once (%t) = %v; want nil", step.name, lost, err)
			}
			l.gateway.losing(nil)
		}
	})
}

// The answer to an Update is lost, and before the client repeats it somebody else
// has changed the record: nobody can say whether the Update was done. It is not
// called a conflict, since then it would be done again.
func TestLostAnswerAndAnotherWriter(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		if l.gateway == nil {
			return // there is nothing between us and Amazon's own
		}
		ctx := t.Context()
		direct := &lab{server: l.server, table: l.table}
		direct.client = direct.dial(t, l.server.Addrs[0])
		once := func(change func()) {
			lost := false
			l.gateway.losing(func(command string) bool {
				if lost || command == "GetItem" {
					return false
				}
				lost = true
				change()
				return true
			})
		}
		if err := l.store.Create(ctx, "id", record(bob)); err != nil {
			t.Fatal(err)
		}
		once(func() {
			direct.put(t, row{"id": str("sess:id"), "expires": num(expressSeconds(time.Hour)), "type": str("connect-session"), "sess": str(`{"cookie":{}}`)})
		})
		err := l.store.Update(ctx, "id", []byte(bob), []byte(`{}`), in(time.Hour))
		if err == nil || isAnswer(err) {
			t.Errorf("Update of which nobody knows whether it was done = %v; want an error of its own", err)
		}
		// A compare-and-delete that finds nothing may have deleted it.
		once(func() {})
		err = l.store.Delete(ctx, "id", []byte(`{"cookie":{}}`))
		if err == nil || isAnswer(err) {
			t.Errorf("Delete of which nobody knows whether it was done = %v; want an error of its own", err)
		}
		l.gateway.losing(nil)
		if _, err := l.store.Load(ctx, "id", noSlide); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load afterwards = %v; want %v", err, session.ErrNotFound)
		}
	})
}

// Connections break all the time, and the client repeats what may have been
// done: nothing is done twice, and what was acknowledged is there. A writer that
// is alone always learns how its append ended. One among four may not: where its
// answer was lost and another wrote before it could repeat, nobody knows, and it
// is told so. That is once for a lost answer at most.
func TestBrokenConnectionsDoubleNothing(t *testing.T) {
	for _, writers := range []int{1, 4} {
		t.Run(fmt.Sprintf("%d writers", writers), func(t *testing.T) {
			l := newLab(t, sharedDynalite(t))
			if l.gateway == nil {
				return // there is nothing between us and Amazon's own
			}
			breakConnections(t, l, writers)
		})
	}
}

// breakConnections loses every third answer to reads and to writes, while each of the writers appends
// ten items to one session.
func breakConnections(t *testing.T, l *lab, writers int) {
	ctx := t.Context()
	if err := l.store.Create(ctx, "id", record(`{"list":[]}`)); err != nil {
		t.Fatal(err)
	}
	var reads, writes atomic.Int64
	l.gateway.losing(func(command string) bool {
		if command == "GetItem" {
			return reads.Add(1)%3 == 0
		}
		return writes.Add(1)%3 == 0
	})
	s := l.open(t, l.dial(t, l.address(t), func(o *dynamodb.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxBackoff, o.MaxAttempts, o.RateLimiter = time.Millisecond, 10, unlimited{}
		})
	}), dynamostore.Options{})
	const each = 10
	acknowledged := make(chan string, writers*each)
	done := make(chan error, writers)
	for w := range writers {
		go func() {
			for i := range each {
				item := fmt.Sprintf(`"%d-%d"`, w, i)
				err := appendTo(ctx, s, item)
				if err != nil && isAnswer(err) {
					done <- err
					return
				}
				if err == nil {
					acknowledged <- item
				}
			}
			done <- nil
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	close(acknowledged)
	l.gateway.losing(nil)
	rec, err := l.store.Load(ctx, "id", noSlide)
	if err != nil {
		t.Fatal(err)
	}
	sure := 0
	for item := range acknowledged {
		sure++
		if got := strings.Count(string(rec.Data), item); got != 1 {
			t.Errorf("an append that was acknowledged is there %d times; want once", got)
		}
	}
	for w := range writers {
		for i := range each {
			if strings.Count(string(rec.Data), fmt.Sprintf(`"%d-%d"`, w, i)) > 1 {
				t.Errorf("append %d of writer %d was done twice", i, w)
			}
		}
	}
	unknown, lost := int64(writers*each-sure), writes.Load()/3
	t.Logf("%d of %d appends were acknowledged; %d answers to writes were lost", sure, writers*each, lost)
	if lost == 0 {
		t.Error("no answer to a write was lost: nothing was tried")
	}
	if unknown > lost || writers == 1 && unknown > 0 {
		t.Errorf("%d of %d appends were not acknowledged, with %d answers to writes lost", unknown, writers*each, lost)
	}
}

// unlimited lets a client retry as often as its attempts allow.
type unlimited struct{}

func (unlimited) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (unlimited) AddTokens(uint) error { return nil }

var _ retry.RateLimiter = unlimited{}

// appendTo adds to the list of "id" as the Manager does: until it meets no
// conflict.
func appendTo(ctx context.Context, s session.Store, item string) error {
	for {
		rec, err := s.Load(ctx, "id", noSlide)
		if err != nil {
			return err
		}
		list := strings.TrimSuffix(string(rec.Data), "]}")
		if !strings.HasSuffix(list, "[") {
			list += ","
		}
		err = s.Update(ctx, "id", rec.Data, []byte(list+item+"]}"), in(time.Hour))
		if !errors.Is(err, session.ErrConflict) {
			return err
		}
	}
}
