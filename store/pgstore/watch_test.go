package pgstore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// listen watches a store, and returns what it hears and how it ends.
func listen(t *testing.T, ctx context.Context, s *pgstore.Store) (heard chan string, ended chan error) {
	t.Helper()
	heard, ended = make(chan string, 1000), make(chan error, 1)
	go func() { ended <- s.Watch(ctx, func(digest string) { heard <- digest }) }()
	return heard, ended
}

// await returns when want is heard.
func await(t *testing.T, what string, heard chan string, want string) {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case got := <-heard:
			if got == want {
				return
			}
		case <-timeout:
			t.Fatalf("waited 30 s to hear of %s", what)
		}
	}
}

// listening returns when a store's connection listens: only then is everything
// heard by its own name.
func listening(t *testing.T, to string) {
	t.Helper()
	pool := connect(t, to)
	until(t, "a connection that listens", func() bool {
		return scan[int](t, pool, "SELECT count(*)::int FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND state = 'idle'") > 0
	})
}

func TestWatchHearsOfRecordsThatOthersEnd(t *testing.T) {
	to := database(t, "UTC")
	pool := connect(t, to)
	s := open(t, pool, pgstore.Options{Watch: true})
	for kind, listener := range both(t, to, pgstore.Options{Watch: true, PruneEvery: -1}) {
		ctx, cancel := context.WithCancel(t.Context())
		heard, ended := listen(t, ctx, listener)
		listening(t, to)
		for _, test := range []struct{ id, what string }{
			{"first", "a sign-in"},
			{"second", "the session that gives way to another"},
		} {
			if err := s.Create(t.Context(), test.id, signIn(1)); err != nil {
				t.Fatal(err)
			}
			await(t, kind+": "+test.what, heard, session.Digest("first"))
		}
		if err := s.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		await(t, kind+": Clear", heard, "")
		execute(t, to, "SELECT pg_notify('pillbox:public.session', 'not a digest')")
		if err := s.Touch(t.Context(), "second", time.Now().Add(time.Hour)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Touch = %v", err)
		}
		create(t, s, "last", bob, time.Now().Add(time.Hour))
		if got := <-heard; got != session.Digest("last") {
			t.Errorf("%s: heard %q; want the creation alone", kind, got)
		}
		if err := s.Delete(t.Context(), "last", nil); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: Watch = %v; want %v", kind, err, context.Canceled)
		}
		until(t, "the connection to be closed", func() bool {
			return scan[int](t, pool, "SELECT count(*)::int FROM pg_stat_activity WHERE query LIKE 'LISTEN%'") == 0
		})
	}
}

// A connection that ends is replaced, and the listener is told that it may have
// missed something; so it is when the server is away for some time.
func TestWatchConnectsAgain(t *testing.T) {
	server := servers.Start(t, servers.Postgres)
	pool := connect(t, server.URL)
	s := open(t, pool, pgstore.Options{Watch: true})
	ctx, cancel := context.WithCancel(t.Context())
	heard, ended := listen(t, ctx, s)
	listening(t, server.URL)
	for what, fail := range map[string]func(){
		"a connection that was ended": func() {
			execute(t, server.URL, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND pid <> pg_backend_pid()")
		},
		"a server that was restarted": func() { server.Restart(t, 0) },
	} {
		create(t, s, "before "+what, bob, time.Now().Add(time.Hour))
		await(t, "a Create", heard, session.Digest("before "+what))
		fail()
		await(t, what, heard, "")
		listening(t, server.URL)
		until(t, "a Create", func() bool {
			return s.Create(t.Context(), "after "+what, session.Record{Data: []byte(bob), Deadline: time.Now().Add(time.Hour)}) == nil
		})
		await(t, "a Create after "+what, heard, session.Digest("after "+what))
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch = %v; want %v", err, context.Canceled)
	}
}

// What is not told by others cannot be heard: Watch says so rather than wait.
func TestWatchNeedsItsOption(t *testing.T) {
	s := migrated(t, connect(t, shared(t)))
	if err := s.Watch(t.Context(), func(string) {}); err == nil || !strings.Contains(err.Error(), "Options.Watch") {
		t.Errorf("Watch = %v; want an error that names Options.Watch", err)
	}
}

// Somebody slow holds up neither the server nor others.
func TestSlowListener(t *testing.T) {
	to := database(t, "UTC")
	s := open(t, connect(t, to), pgstore.Options{Watch: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stuck := make(chan struct{})
	slow := make(chan error, 1)
	go func() { slow <- s.Watch(ctx, func(string) { <-stuck }) }()
	heard, _ := listen(t, ctx, s)
	listening(t, to)
	await(t, "the beginning", heard, "")
	for range 1500 {
		create(t, s, "id", `{"cookie":{}}`, time.Now().Add(time.Hour))
		if err := s.Delete(t.Context(), "id", nil); err != nil {
			t.Fatal(err)
		}
		await(t, "a change", heard, session.Digest("id"))
	}
	close(stuck)
	cancel()
	if err := <-slow; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch = %v; want %v", err, context.Canceled)
	}
}
