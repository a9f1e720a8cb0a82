package redisstore_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// kinds are the servers that everything runs on.
var kinds = []servers.Kind{servers.Redis7, servers.Redis8, servers.Valkey, servers.RedisCluster, servers.RedisSentinel}

// A network is the way from a client to the nodes of a server. Each node has a
// link of its own, made when it is first dialed.
type network struct {
	t      *testing.T
	server *servers.Server

	mu    sync.Mutex
	links map[string]*servers.Link
	state func(*servers.Link) // of links to come; nil for one in order
}

func newNetwork(t *testing.T, server *servers.Server) *network {
	return &network{t: t, server: server, links: make(map[string]*servers.Link)}
}

// link returns the link to the node at addr.
func (n *network) link(addr string) *servers.Link {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := n.links[addr]
	if l == nil {
		l = servers.Proxy(n.t, addr)
		if n.state != nil {
			n.state(l)
		}
		n.links[addr] = l
	}
	return l
}

// all does something to every link, those to come included.
func (n *network) all(do func(*servers.Link)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = do
	for _, l := range n.links {
		do(l)
	}
}

// options are those of a client that goes through the network.
func (n *network) options() rueidis.ClientOption {
	opt := direct(n.server)
	opt.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", n.link(addr).Addr)
	}
	return opt
}

// direct are the options of a client of a server.
func direct(s *servers.Server) rueidis.ClientOption {
	opt := rueidis.ClientOption{
		InitAddress:  s.Addrs,
		DisableCache: true,
		// Small ones: the tests have many clients.
		ReadBufferEachConn:  16 << 10,
		WriteBufferEachConn: 16 << 10,
	}
	switch s.Kind {
	case servers.RedisSentinel:
		opt.InitAddress = s.Addrs[:3]
		opt.Sentinel.MasterSet = s.MasterName
		opt.Sentinel.TopologyRefreshInterval = time.Second
	case servers.RedisCluster:
		// Without it a client learns of a failover only by its own errors.
		opt.ClusterOption.ShardsRefreshInterval = time.Second
	}
	return opt
}

// connect returns a client that is closed when the test ends.
func connect(t testing.TB, opt rueidis.ClientOption) rueidis.Client {
	t.Helper()
	client, err := rueidis.NewClient(opt)
	if err != nil {
		t.Fatalf("rueidis: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

var prefixes atomic.Int64

// newPrefix returns a prefix that no other test uses.
func newPrefix() string { return fmt.Sprintf("t%d:", prefixes.Add(1)) }

// open returns a store that is closed when the test ends, on a client that is
// too.
func open(t testing.TB, s *servers.Server, opts redisstore.Options) *redisstore.Store {
	t.Helper()
	return openOn(t, connect(t, direct(s)), opts)
}

func openOn(t testing.TB, client rueidis.Client, opts redisstore.Options) *redisstore.Store {
	t.Helper()
	store := redisstore.New(client, opts)
	t.Cleanup(func() { store.Close() })
	return store
}

// in returns the moment d from now in whole milliseconds.
func in(d time.Duration) time.Time { return time.UnixMilli(time.Now().Add(d).UnixMilli()) }

// until waits for a condition.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 30 s not yet: %s", what)
		}
	}
}

func record(data string) session.Record {
	return session.Record{Data: []byte(data), Deadline: in(time.Hour)}
}

func owned(data, user string) session.Record {
	rec := record(data)
	rec.Owner = session.Owner{User: user, AsOf: time.Now()}
	return rec
}

func second[T any](_ T, err error) error { return err }
