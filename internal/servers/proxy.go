package servers

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// A Link is a way to a server that can be made to fail. It begins in order.
// Each of its methods takes back what an earlier one did, and applies to
// connections that are open as well as to new ones, of which a client may need
// answers before it sends a command. They may be called from several
// goroutines.
type Link struct {
	// Addr is the host:port that clients use instead of the server's.
	Addr string

	t     testing.TB
	mu    sync.Mutex
	proxy *toxiproxy.Proxy
}

// Proxy returns a link to the server at upstream, a host:port, that lasts as
// long as the test. The proxy runs in this process.
func Proxy(t testing.TB, upstream string) *Link {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	for try := 1; ; try++ {
		port, err := reserve() // so that it is still there after Down
		if err != nil {
			t.Fatalf("servers: proxy: %v", err)
		}
		proxy := toxiproxy.NewProxy(server, "link", fmt.Sprintf("127.0.0.1:%d", port.number), upstream)
		if err = proxy.Start(); err == nil {
			l := &Link{Addr: proxy.Listen, t: t, proxy: proxy}
			t.Cleanup(func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				proxy.Stop()
				port.release()
			})
			return l
		}
		port.release()
		if try == 5 {
			t.Fatalf("servers: proxy: %v", err)
		}
	}
}

// Latency makes each answer come later by d, which is rounded to milliseconds.
func (l *Link) Latency(d time.Duration) {
	l.t.Helper()
	l.set(fmt.Sprintf(`{"type":"latency","stream":"downstream","attributes":{"latency":%d}}`, d.Milliseconds()))
}

// BlackHole accepts connections and bytes, of which none arrive.
func (l *Link) BlackHole() {
	l.t.Helper()
	l.set(`{"type":"timeout","stream":"upstream","attributes":{"timeout":0}}`,
		`{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`)
}

// LoseAnswers delivers what clients send, and nothing of what the server
// answers: they cannot know whether a command was carried out.
func (l *Link) LoseAnswers() {
	l.t.Helper()
	l.set(`{"type":"timeout","stream":"downstream","attributes":{"timeout":0}}`)
}

// Reset closes the connections that are open, and answers the first bytes on
// each new one with a TCP reset.
func (l *Link) Reset() {
	l.t.Helper()
	l.Down() // the toxic makes a reset of connections that it has seen begin only
	l.set(`{"type":"reset_peer","stream":"upstream","attributes":{"timeout":0}}`,
		`{"type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`)
}

// Down closes every connection and refuses new ones.
func (l *Link) Down() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy.Stop()
}

// Up puts the link in order again. A connection that was in a [Link.BlackHole]
// is closed, as bytes of it are lost; so is one whose answers were.
func (l *Link) Up() {
	l.t.Helper()
	l.set()
}

// set replaces the toxics, as toxiproxy calls them, by these.
func (l *Link) set(toxics ...string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy.Toxics.ResetToxics(l.t.Context())
	for _, toxic := range toxics {
		if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			l.t.Fatalf("servers: proxy: %v", err)
		}
	}
	if err := l.proxy.Start(); err != nil && err != toxiproxy.ErrProxyAlreadyStarted {
		l.t.Fatalf("servers: proxy: start again on %s: %v", l.Addr, err)
	}
}
