package servers

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/pillboxgo/pillbox/internal/need"
)

// A Server is a running server, or a group of servers that act as one. Its
// methods may be called from several goroutines.
type Server struct {
	// Kind is what was asked for.
	Kind Kind

	// Addrs are the addresses of its nodes as host:port. The index is the node
	// number that the methods take. Empty for Amazon's own DynamoDB.
	Addrs []string

	// URL is where clients find it:
	//
	//	redis://127.0.0.1:P/0
	//	redis+cluster://127.0.0.1:P,127.0.0.1:P,…
	//	redis+sentinel://127.0.0.1:P,127.0.0.1:P,…/MASTER  (the sentinels)
	//	postgres://postgres@127.0.0.1:P/postgres?sslmode=disable
	//	mysql://root@127.0.0.1:P/test
	//	mongodb://127.0.0.1:P/test
	//	http://127.0.0.1:P  (DynamoDB's endpoint; aws for Amazon's own)
	URL string

	// MasterName is the name under which the sentinels know their master.
	// Empty but for [RedisSentinel].
	MasterName string

	durable bool    // data outlives Kill
	dir     string  // everything of it on disk
	nodes   []*node // at Addrs; none if it is not ours
	behind  []*node // processes that clients do not talk to
}

// Main runs a package's tests and then stops the servers that they shared.
// TestMain calls it: os.Exit(servers.Main(m)). It returns the exit status.
//
// The package's Examples are left out where a server of the kinds in examples is
// missing. See [ForExample].
func Main(m *testing.M, examples ...Kind) int {
	shared.Lock()
	shared.main = true
	shared.Unlock()
	defer func() {
		shared.Lock()
		defer shared.Unlock()
		for _, s := range shared.servers {
			s.stop()
		}
		shared.servers = nil
		removeHome()
	}()
	leaveOutExamples(examples)
	return m.Run()
}

// shared holds the servers that [Shared] has started.
var shared struct {
	sync.Mutex
	main    bool // Main runs, and will stop them
	servers map[Kind]*Server
}

// Shared returns the server of a kind that all tests of the process share,
// which the first call starts, or the one whose address is in the environment.
// A test uses its own prefix, table or database there and leaves the server
// running. Its data lasts no longer than the process.
//
// A test that lacks the server skips, as package need has it.
func Shared(t testing.TB, k Kind) *Server {
	t.Helper()
	if s := given(t, k); s != nil {
		return s
	}
	shared.Lock()
	defer shared.Unlock()
	if !shared.main {
		t.Fatal("servers: this package needs func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }, which stops what its tests share")
	}
	if s := shared.servers[k]; s != nil {
		return s
	}
	s := open(t, k, false)
	if shared.servers == nil {
		shared.servers = make(map[Kind]*Server)
	}
	shared.servers[k] = s
	return s
}

// Start returns a new server that the test has for itself and that stops when
// it ends. What it has acknowledged is still there after [Server.Kill] and
// [Server.Restart]: every write is with the kernel before it is answered, and
// no server waits for the disk, which only a power cut would need. The
// emulator DynamoDBMoto keeps its data in memory and is the exception.
//
// It is always a server of its own, whatever the environment says. A test that
// lacks the server skips, as package need has it.
func Start(t testing.TB, k Kind) *Server {
	t.Helper()
	s := open(t, k, true)
	t.Cleanup(s.stop)
	return s
}

// open starts a server of a kind, or ends the test.
func open(t testing.TB, k Kind, durable bool) *Server {
	t.Helper()
	start, ok := starters[k]
	if !ok {
		t.Fatalf("servers: unknown kind %q", k)
	}
	if runtime.GOOS != "linux" {
		need.Missing(t, titles[k]+", which starts on Linux only; "+k.variable()+" can name one for the tests that share it")
	}
	for try := 1; ; try++ {
		s, err := attempt(t, k, durable, start)
		if err == nil {
			return s
		}
		// Between our choice of a port and the server's use of it, anybody may
		// have taken it.
		if !errors.Is(err, errPortTaken) || try == 5 {
			t.Fatalf("servers: start %s: %v", titles[k], err)
		}
	}
}

// attempt starts a server once, and leaves nothing behind if that fails.
func attempt(t testing.TB, k Kind, durable bool, start func(testing.TB, *Server) error) (*Server, error) {
	t.Helper()
	dir, err := newFolder(string(k))
	if err != nil {
		return nil, err
	}
	s := &Server{Kind: k, durable: durable, dir: dir}
	started := false
	defer func() { // also when start ends the test
		if !started {
			s.stop()
		}
	}()
	if err := start(t, s); err != nil {
		return nil, err
	}
	started = true
	return s, nil
}

// stop ends every process of the server and removes its data.
func (s *Server) stop() {
	for _, n := range s.nodes {
		n.end()
	}
	for _, n := range s.behind {
		n.end()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// add makes a node of the server, with a folder and a port of its own. It is
// not started yet.
func (s *Server) add(name string) (*node, error) {
	n, err := newNode(filepath.Join(s.dir, name))
	if err != nil {
		return nil, err
	}
	s.nodes = append(s.nodes, n)
	s.Addrs = append(s.Addrs, n.addr())
	return n, nil
}

// given returns the server whose address is in the environment, or nil.
func given(t testing.TB, k Kind) *Server {
	t.Helper()
	text := os.Getenv(k.variable())
	if text == "" {
		return nil
	}
	s := &Server{Kind: k, URL: text}
	if k == DynamoDB && text == "aws" {
		return s
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		// The text itself may hold a password.
		t.Fatalf("servers: %s is no URL with a host; want one such as %s", k.variable(), example(k))
	}
	s.Addrs = strings.Split(u.Host, ",")
	if k == RedisSentinel {
		s.MasterName = strings.TrimPrefix(u.Path, "/")
	}
	return s
}

// example returns a URL that the environment variable of a kind may hold.
func example(k Kind) string {
	switch k {
	case RedisCluster:
		return "redis+cluster://127.0.0.1:7000,127.0.0.1:7001"
	case RedisSentinel:
		return "redis+sentinel://127.0.0.1:26379,127.0.0.1:26380/pillbox"
	case Postgres:
		return "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"
	case MariaDB, MySQL:
		return "mysql://root@127.0.0.1:3306/test"
	case MongoDB:
		return "mongodb://127.0.0.1:27017/test"
	case DynamoDB, DynamoDBMoto:
		return "http://127.0.0.1:8000"
	}
	return "redis://127.0.0.1:6379/0"
}

// node returns the node of that number, for the methods that act on one.
func (s *Server) node(t testing.TB, i int) *node {
	t.Helper()
	if len(s.nodes) == 0 {
		t.Fatalf("servers: %s is not ours to stop: use Start", s.Kind)
	}
	if i < 0 || i >= len(s.nodes) {
		t.Fatalf("servers: %s has no node %d; want 0 to %d", s.Kind, i, len(s.nodes)-1)
	}
	return s.nodes[i]
}

// Kill ends a node at once, as a crash would: SIGKILL to it and its children.
// It returns when they are gone and the address refuses connections.
func (s *Server) Kill(t testing.TB, node int) {
	t.Helper()
	if err := s.node(t, node).kill(); err != nil {
		t.Fatalf("servers: kill node %d of %s: %v", node, s.Kind, err)
	}
}

// Restart starts a node that was killed again, on the same port and with the
// data it had, and returns when it answers. A node that still runs is killed
// first. In a group it may take longer for the others to take note: see
// [Server.AwaitWhole].
func (s *Server) Restart(t testing.TB, node int) {
	t.Helper()
	n := s.node(t, node)
	err := n.kill()
	if err == nil {
		err = n.start(t.Context())
	}
	if err != nil {
		t.Fatalf("servers: restart node %d of %s: %v", node, s.Kind, err)
	}
}

// Pause stops a node, so that it keeps its connections and answers nothing,
// until [Server.Resume]. New connections are still accepted, by the kernel.
func (s *Server) Pause(t testing.TB, node int) {
	t.Helper()
	if err := s.node(t, node).pause(); err != nil {
		t.Fatalf("servers: pause node %d of %s: %v", node, s.Kind, err)
	}
}

// Resume lets a paused node go on.
func (s *Server) Resume(t testing.TB, node int) {
	t.Helper()
	if err := s.node(t, node).resume(); err != nil {
		t.Fatalf("servers: resume node %d of %s: %v", node, s.Kind, err)
	}
}

// missing ends a test that lacks a server. It skips, even where nothing may be
// skipped, if set-up has left the server out and has said why.
func missing(t testing.TB, k Kind, what string) {
	t.Helper()
	need.Server(t, string(k), fmt.Sprintf("%s (%s)", titles[k], what))
}
