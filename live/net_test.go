package live_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/live"
	"github.com/pillboxgo/pillbox/session"
)

// A client reads a stream over a network.
type client struct {
	t      *testing.T
	res    *http.Response
	events chan string // "name data", ids shortened; closed at the end
}

// connects opens a stream at url.
func (v *visitor) connects(c *http.Client, url string) *client {
	v.lab.t.Helper()
	req, err := http.NewRequestWithContext(v.lab.t.Context(), "GET", url, nil)
	if err != nil {
		v.lab.t.Fatal(err)
	}
	req.Header.Set("Cookie", v.cookie)
	res, err := c.Do(req)
	if err != nil {
		v.lab.t.Fatal(err)
	}
	v.lab.t.Cleanup(func() { res.Body.Close() })
	p := &client{v.lab.t, res, make(chan string, 100)}
	go func() {
		defer close(p.events)
		name := ""
		for lines := bufio.NewReader(res.Body); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if n, ok := strings.CutPrefix(line, "event: "); ok {
				name = strings.TrimSuffix(n, "\n")
			}
			if data, ok := strings.CutPrefix(line, "data: "); ok {
				p.events <- name + " " + strings.TrimSuffix(ids.ReplaceAllString(data, `"session":0`), "\n")
			}
		}
	}()
	return p
}

// next checks how the next event begins, which is "" at the end of the stream.
func (p *client) next(what, want string) {
	p.t.Helper()
	select {
	case got := <-p.events:
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			p.t.Errorf("%s: the next event is %.200q; want %s", what, got, want)
		}
	case <-time.After(20 * time.Second):
		p.t.Fatalf("%s: waited 20 s for %q", what, want)
	}
}

// until waits for something that another goroutine is about to do.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

// The server's own deadlines are for answers that end.
func TestServerDeadlinesDoNotCutStreams(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, memory(t), session.Config{}, live.Config{Heartbeat: 250 * time.Millisecond})
			server := httptest.NewUnstartedServer(l.m.Handler(l.hub))
			server.Config.ReadTimeout, server.Config.WriteTimeout = 400*time.Millisecond, 400*time.Millisecond
			server.EnableHTTP2 = proto == "HTTP/2.0"
			server.StartTLS()
			defer server.Close()
			l.hub.SetPatience(300*time.Millisecond, 0, 0)
			v := l.visitor()
			v.takes("a")
			p := v.connects(server.Client(), server.URL)
			p.next("first", "session ")
			if p.res.Proto != proto {
				t.Fatalf("the stream came over %s", p.res.Proto)
			}
			for i := range 3 {
				time.Sleep(350 * time.Millisecond)
				v.takes(fmt.Sprint(i))
				p.next("after a while", "change ")
			}
			v.does((*session.Session).Destroy)
			p.next("the end", `ended {"reason":"signed-out"}`)
			p.next("the end", "")
		})
	}
}

// A client that does not read costs nobody a goroutine for long, nor a page that
// has left.
func TestClientsThatAreGone(t *testing.T) {
	l := newLab(t, memory(t), session.Config{}, live.Config{Heartbeat: 50 * time.Millisecond})
	l.hub.SetPatience(300*time.Millisecond, 0, 0)
	server := httptest.NewServer(l.hub)
	defer server.Close()
	v := l.visitor()
	v.takes("a")
	p := v.connects(server.Client(), server.URL)
	p.next("who reads", "session ")

	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n", v.cookie)
	open := func(n int) func() bool {
		return func() bool { _, streams := l.hub.Open(); return streams == n }
	}
	until(t, "the second stream", open(2))
	large := strings.Repeat("x", 200<<10)
	for i := 0; !open(1)(); i++ {
		if i == 1000 {
			t.Fatal("a client that reads nothing is kept after 1000 changes")
		}
		v.takes(fmt.Sprint(i), large)
		p.next("who reads", "change ")
	}
	p.res.Body.Close()
	until(t, "the end of the other stream", open(0))
}

// Streams do not hold up a shutdown.
func TestShutdown(t *testing.T) {
	base := runtime.NumGoroutine()
	func() {
		l := newLab(t, memory(t), session.Config{}, live.Config{})
		server := httptest.NewServer(l.m.Handler(l.hub))
		server.Config.RegisterOnShutdown(l.hub.Close)
		var pages []*client
		for range 20 {
			v := l.visitor()
			v.takes("a")
			for range 5 {
				p := v.connects(server.Client(), server.URL)
				p.next("first", "session ")
				pages = append(pages, p)
			}
		}
		start := time.Now()
		if err := server.Config.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the shutdown took %v; want less than a second", took)
		}
		for _, p := range pages {
			p.next("at shutdown", "")
		}
		server.Close()
	}()
	// The store's own goroutine stays until the test ends.
	until(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= base+2 })
}

// Neither do clients that read nothing, while a write waits for them.
func TestShutdownWithClientsThatReadNothing(t *testing.T) {
	l := newLab(t, memory(t), session.Config{}, live.Config{})
	server := httptest.NewServer(l.hub)
	defer server.Close()
	server.Config.RegisterOnShutdown(l.hub.Close)
	v := l.visitor()
	v.takes("a")
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n", v.cookie)
	until(t, "the stream", func() bool { _, streams := l.hub.Open(); return streams == 1 })
	large := strings.Repeat("x", 200<<10)
	for i := range 60 { // 12 MB, far more than buffers hold
		v.takes(fmt.Sprint(i), large)
		time.Sleep(15 * time.Millisecond) // so that it is not folded into one
	}
	start := time.Now()
	if err := server.Config.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the shutdown took %v; want less than a second", took)
	}
}

// However many connect at once with one cookie, the session gets no more streams
// than are allowed, and all others an answer.
func TestFloodOfOneSession(t *testing.T) {
	store := newSpy(t)
	l := newLab(t, store, session.Config{}, live.Config{})
	server := httptest.NewServer(l.m.Handler(l.hub))
	defer server.Close()
	defer l.hub.Close()
	v := l.visitor()
	v.takes("a")
	before := store.calls.Load()
	var open, refused, other atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const n = 300
	for range n {
		wg.Go(func() {
			req, err := http.NewRequestWithContext(ctx, "GET", server.URL, nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Cookie", v.cookie)
			res, err := server.Client().Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			switch res.StatusCode {
			case http.StatusOK:
				open.Add(1)
			case http.StatusTooManyRequests:
				refused.Add(1)
				res.Body.Close()
			default:
				other.Add(1)
			}
		})
	}
	wg.Wait()
	if open.Load() != 32 || refused.Load() != n-32 || other.Load() != 0 {
		t.Errorf("of %d, %d are open, %d refused with 429, %d otherwise; want 32, %d, 0", n, open.Load(), refused.Load(), other.Load(), n-32)
	}
	time.Sleep(100 * time.Millisecond)
	if calls := store.calls.Load() - before; calls > n+10 {
		t.Errorf("%d streams cost %d calls of the store; want one each", n, calls)
	}
}

// Whatever the sessions' configuration makes of other answers, a stream's end
// writes nothing.
func TestEndOfStreamWritesNothing(t *testing.T) {
	store := newSpy(t)
	l := newLab(t, store, session.Config{Rolling: true, Resave: true}, live.Config{})
	server := httptest.NewServer(l.m.Handler(l.hub))
	defer server.Close()
	v := l.visitor()
	v.takes("a")
	p := v.connects(server.Client(), server.URL)
	p.next("first", "session ")
	time.Sleep(100 * time.Millisecond) // until the store is being watched
	v.takes("b")
	p.next("a change", "change ")
	time.Sleep(100 * time.Millisecond)
	before := store.calls.Load()
	p.res.Body.Close()
	until(t, "the end of the stream", func() bool { n, _ := l.hub.Open(); return n == 0 })
	l.hub.Close()
	server.Close() // waits for the handler
	if n := store.calls.Load() - before; n != 0 {
		t.Errorf("the end of a stream cost %d calls of the store; want none", n)
	}
}
