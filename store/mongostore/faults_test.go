package mongostore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mongostore"
)

// patience is how long a call may take in a fault test. What comes back much
// later did not listen to its context.
const patience = 700 * time.Millisecond

// A faulty is a store behind a link that can fail.
type faulty struct {
	*mongostore.Store
	t    *testing.T
	link *servers.Link
	name string       // of the database
	open atomic.Int64 // connections
}

// throughLink returns a store behind link, with the records "id" and "other".
// When the test is over, it checks that nothing is left of its client.
func throughLink(t *testing.T, link *servers.Link, present bool) *faulty {
	t.Helper()
	before := runtime.NumGoroutine()
	f := &faulty{t: t, link: link, name: "pillbox_" + rand.Text()}
	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://"+link.Addr).SetMaxPoolSize(8),
		options.Client().SetPoolMonitor(&event.PoolMonitor{Event: func(e *event.PoolEvent) {
			switch e.Type {
			case event.ConnectionCreated:
				f.open.Add(1)
			case event.ConnectionClosed:
				f.open.Add(-1)
			}
		}}))
	if err != nil {
		t.Fatal(err)
	}
	db := client.Database(f.name)
	f.Store = mongostore.New(db, mongostore.Options{PruneEvery: -1})
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := errors.Join(db.Drop(ctx), f.Close(), client.Disconnect(ctx)); err != nil {
			t.Errorf("after the fault: %v", err)
		}
		if n := f.open.Load(); n != 0 {
			t.Errorf("%d connections are open after Disconnect; want none", n)
		}
		eventually(t, "as many goroutines as before", func() error {
			if n := runtime.NumGoroutine(); n > before+2 { // those of the proxy
				return fmt.Errorf("%d goroutines are left; there were %d", n, before)
			}
			return nil
		})
	})
	if present {
		create(t, f.Store, "id", `{"n":0}`)
		create(t, f.Store, "other", `{"n":0}`)
	}
	return f
}

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Errorf("waiting for %s: %v", what, err)
			return
		}
	}
}

// calls are methods that succeed on what throughLink stores.
func (f *faulty) calls() map[string]func(context.Context) error {
	data := []byte(`{"n":0}`)
	return map[string]func(context.Context) error{
		"Load":              func(ctx context.Context) error { return second(f.Load(ctx, "id", session.Slide{})) },
		"Load with a slide": func(ctx context.Context) error { return second(f.Load(ctx, "id", session.Slide{To: in(2 * hour)})) },
		"Update":            func(ctx context.Context) error { return f.Update(ctx, "id", data, data, in(3*hour)) },
		"Touch":             func(ctx context.Context) error { return f.Touch(ctx, "id", in(4*hour)) },
		"Delete":            func(ctx context.Context) error { return f.Delete(ctx, "absent", nil) },
		"RevokeUser":        func(ctx context.Context) error { return second(f.RevokeUser(ctx, "nobody", time.Now())) },
		"Count":             func(ctx context.Context) error { return second(f.Count(ctx)) },
		"Ping":              f.Ping,
	}
}

// fails checks that every call fails while the fault lasts: in time, for what
// it is, and with an error that an operator can use.
func (f *faulty) fails() {
	f.t.Helper()
	var all sync.WaitGroup
	for name, call := range f.calls() {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(f.t.Context(), patience)
			defer cancel()
			begun := time.Now()
			f.check(name, call(ctx), time.Since(begun))
		})
	}
	all.Wait()
}

func (f *faulty) check(name string, err error, took time.Duration) {
	switch {
	case err == nil:
		f.t.Errorf("%s = nil; want an error", name)
		return
	case contract(err):
		f.t.Errorf("%s = %v; want none of the contract's answers", name, err)
	case took > patience+2*time.Second:
		f.t.Errorf("%s returned after %v; its context had %v", name, took, patience)
	}
	wants := []string{"pillbox: mongodb ", "check that the server runs", f.link.Addr}
	if strings.Contains(err.Error(), "from connection pool") {
		wants = wants[:2] // of a pool that waits for a connection, the driver does not say where to
	}
	for _, part := range wants {
		if !strings.Contains(err.Error(), part) {
			f.t.Errorf("%s = %v; want %q in it", name, err, part)
		}
	}
}

// contract reports whether err is an answer, rather than a failure.
func contract(err error) bool {
	return errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrConflict) ||
		errors.Is(err, session.ErrDamaged) || errors.Is(err, session.ErrExists)
}

// recovers checks that every call succeeds again, on the same store.
func (f *faulty) recovers() {
	f.t.Helper()
	eventually(f.t, "recovery", func() error {
		ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
		defer cancel()
		return f.Ping(ctx)
	})
	for name, call := range f.calls() {
		// A connection that was lost while it lay idle is noticed when it is
		// used, and a server without retryable writes has no second try.
		eventually(f.t, name, func() error {
			ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
			defer cancel()
			err := call(ctx)
			if contract(err) {
				f.t.Errorf("%s after the fault = %v; want nil", name, err)
			}
			return err
		})
	}
	if n := f.open.Load(); n > 8+2 { // and the driver's two that watch the server
		f.t.Errorf("%d connections are open after the fault; the pool has 8", n)
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
			link := servers.Proxy(t, servers.Shared(t, servers.MongoDB).Addrs[0])
			f := throughLink(t, link, true)
			fault.begin(link)
			f.fails()
			f.fails()
			link.Up()
			f.recovers()
		})
	}
}

// A slow server is waited for while the context lasts, and no longer.
func TestLatency(t *testing.T) {
	link := servers.Proxy(t, servers.Shared(t, servers.MongoDB).Addrs[0])
	f := throughLink(t, link, true)
	link.Latency(100 * time.Millisecond)
	for name, call := range f.calls() {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if err := call(ctx); err != nil {
			t.Errorf("%s = %v; want nil", name, err)
		}
		cancel()
	}
	link.Latency(patience + time.Second)
	f.fails()
	link.Up()
	f.recovers()
}

// The application starts before its server.
func TestDownAtTheStart(t *testing.T) {
	link := servers.Proxy(t, servers.Shared(t, servers.MongoDB).Addrs[0])
	link.Down()
	f := throughLink(t, link, false)
	f.fails()
	link.Up()
	eventually(t, "the server", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return f.Ping(ctx)
	})
	create(t, f.Store, "id", `{"n":0}`)
	f.recovers()
}

// The server is killed and starts again, and whatever it had acknowledged is
// there.
func TestRestart(t *testing.T) {
	server := servers.Start(t, servers.MongoDB)
	link := servers.Proxy(t, server.Addrs[0])
	f := throughLink(t, link, true)
	if err := f.Delete(t.Context(), "other", nil); err != nil {
		t.Fatal(err)
	}
	server.Kill(t, 0)
	f.fails()
	server.Restart(t, 0)
	f.recovers()
	holds(t, f.Store, "id", `{"n":0}`)
	if _, err := f.Load(t.Context(), "other", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load of what was deleted before the crash = %v; want %v", err, session.ErrNotFound)
	}
}

// Connections break all the time. What was acknowledged is there, and nothing
// is there twice: neither the driver nor the store repeats a change that may
// have been made.
func TestResetsDoubleNothing(t *testing.T) {
	link := servers.Proxy(t, servers.Shared(t, servers.MongoDB).Addrs[0])
	f := throughLink(t, link, true)
	const appends = 40
	acknowledged, failed := map[int]bool{}, 0
	for n := range appends {
		broken := make(chan struct{})
		go func() {
			defer close(broken)
			if n%5 == 4 { // somewhere within the two commands
				time.Sleep(time.Duration(mathrand.IntN(2000)) * time.Microsecond)
				link.Reset()
			}
		}()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		rec, err := f.Load(ctx, "other", session.Slide{})
		if err == nil {
			data := strings.TrimSuffix(string(rec.Data), "}") + fmt.Sprintf(`,"a%d":1}`, n)
			err = f.Update(ctx, "other", rec.Data, []byte(data), in(hour))
		}
		cancel()
		<-broken
		link.Up()
		if contract(err) {
			t.Fatalf("append %d: %v; the session is there, and nobody else changes it", n, err)
		}
		if err != nil {
			failed++
			continue
		}
		acknowledged[n] = true
	}
	t.Logf("%d of %d appends were acknowledged", len(acknowledged), appends)
	if len(acknowledged) == 0 || failed == 0 {
		t.Errorf("%d appends succeeded and %d failed; want some of each", len(acknowledged), failed)
	}
	f.recovers()
	rec, err := f.Load(t.Context(), "other", session.Slide{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range appends {
		times := strings.Count(string(rec.Data), fmt.Sprintf(`"a%d"`, n))
		if acknowledged[n] && times != 1 || times > 1 {
			t.Errorf("append %d, acknowledged: %t, is there %d times", n, acknowledged[n], times)
		}
	}
}
