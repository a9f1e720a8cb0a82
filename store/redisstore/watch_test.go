package redisstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// A listener notes what Watch tells it.
type listener struct {
	mu    sync.Mutex
	heard map[string]int
}

func (l *listener) changed(digest string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard[digest]++
}

func (l *listener) times(digest string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard[digest]
}

// listen watches a store until the test ends.
func listen(t *testing.T, s *redisstore.Store) *listener {
	t.Helper()
	l := &listener{heard: make(map[string]int)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx, l.changed) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("Watch = %v; want %v", err, context.Canceled)
		}
	})
	until(t, "Watch listens", func() bool { return l.times("") > 0 })
	return l
}

// A listener that was cut off is told that it may have missed something, and
// goes on.
func TestWatchIsTakenUpAgain(t *testing.T) {
	for _, kind := range []servers.Kind{servers.Redis7, servers.RedisCluster} {
		t.Run(string(kind), func(t *testing.T) {
			server := servers.Shared(t, kind)
			network, opts := newNetwork(t, server), redisstore.Options{Prefix: newPrefix(), Watch: true}
			opt := network.options()
			opt.ConnWriteTimeout = 2 * time.Second
			far, near := openOn(t, connect(t, opt), opts), open(t, server, opts)
			l := listen(t, far)
			for i, fault := range []func(*servers.Link){(*servers.Link).Down, (*servers.Link).BlackHole} {
				before := l.times("")
				network.all(fault)
				id := fmt.Sprint("missed", i)
				if err := near.Create(t.Context(), id, record("{}")); err != nil {
					t.Fatal(err)
				}
				if fault := i; fault == 1 {
					// A silent connection has to be found out first.
					time.Sleep(opt.ConnWriteTimeout + 2*time.Second)
				}
				network.all((*servers.Link).Up)
				until(t, "it is told that anything may have changed", func() bool { return l.times("") > before })
				id = fmt.Sprint("heard", i)
				if err := near.Create(t.Context(), id, record("{}")); err != nil {
					t.Fatal(err)
				}
				until(t, "it is told of a change after that", func() bool { return l.times(session.Digest(id)) > 0 })
			}
		})
	}
}

// Clear ends all at once, and is told as such; what is a stranger's on the channel
// tells no more than that something happened.
func TestWatchHearsOfClear(t *testing.T) {
	client := connect(t, direct(servers.Shared(t, servers.Redis7)))
	opts := redisstore.Options{Prefix: newPrefix(), Watch: true}
	s := openOn(t, client, opts)
	l := listen(t, s)
	before := l.times("")
	if err := s.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "it is told of Clear", func() bool { return l.times("") > before })
	before = l.times("")
	do(t, client, "PUBLISH", "pillbox:changes:"+opts.Prefix, "a stranger's words")
	until(t, "it is told that anything may have changed", func() bool { return l.times("") > before })
	if n := l.times("a stranger's words"); n > 0 {
		t.Error("it is told a stranger's words")
	}
}

// A listener that takes its time holds up neither the connection nor others.
func TestSlowListener(t *testing.T) {
	s := open(t, servers.Shared(t, servers.Redis7), redisstore.Options{Prefix: newPrefix(), Watch: true})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stuck := make(chan struct{})
	first := make(chan struct{}, 10000)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Watch(ctx, func(string) {
			first <- struct{}{}
			<-stuck
		})
	}()
	<-first
	l := listen(t, s)
	for i := range 3000 {
		if err := s.Create(t.Context(), fmt.Sprint(i), record("{}")); err != nil {
			t.Fatalf("Create beside a listener that is stuck = %v", err)
		}
	}
	until(t, "the other listener hears the last", func() bool { return l.times(session.Digest("2999")) > 0 || l.times("") > 1 })
	cancel()
	close(stuck)
	if err := <-ended; err != context.Canceled {
		t.Errorf("Watch = %v; want %v", err, context.Canceled)
	}
}

func TestWatchIsOff(t *testing.T) {
	s := open(t, servers.Shared(t, servers.Redis7), redisstore.Options{Prefix: newPrefix()})
	err := s.Watch(t.Context(), func(string) { t.Error("told of something") })
	if err == nil || !strings.Contains(err.Error(), "Options.Watch") {
		t.Errorf("Watch = %v; want an error that names Options.Watch", err)
	}
}
