package redisstore_test

import (
	"bufio"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// A monitor reads what clients send to the masters of a server.
type monitor struct {
	t       *testing.T
	nodes   []*bufio.Reader
	markers []rueidis.Client
	n       int
}

func newMonitor(t *testing.T, server *servers.Server) *monitor {
	t.Helper()
	m := &monitor{t: t}
	addrs := server.Addrs
	if server.Kind == servers.RedisCluster {
		addrs = addrs[:3] // the masters; replicas repeat what these tell them
	}
	for _, addr := range addrs {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprint(conn, "MONITOR\r\n")
		r := bufio.NewReader(conn)
		if line, err := r.ReadString('\n'); err != nil || line != "+OK\r\n" {
			t.Fatalf("MONITOR = %q, %v", line, err)
		}
		m.nodes = append(m.nodes, r)
		m.markers = append(m.markers, connect(t, rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true}))
	}
	return m
}

// housekeeping is what clients and nodes send by themselves.
var housekeeping = []string{"PING", "HELLO", "CLIENT", "COMMAND", "CLUSTER", "INFO", "ROLE", "REPLCONF", "PSYNC", "SELECT", "MONITOR", "ECHO"}

// sent returns the names of the commands that clients have sent since the last
// call. What a script calls in turn is left out: it takes no round trip.
func (m *monitor) sent() []string {
	m.t.Helper()
	m.n++
	marker := fmt.Sprint("marker", m.n)
	var names []string
	for i, r := range m.nodes {
		if err := m.markers[i].Do(m.t.Context(), m.markers[i].B().Echo().Message(marker).Build()).Error(); err != nil {
			m.t.Fatal(err)
		}
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				m.t.Fatal(err)
			}
			if strings.Contains(line, marker) {
				break
			}
			// +1339518083.107412 [0 127.0.0.1:60866] "keys" "*"
			source, command, _ := strings.Cut(line, "] ")
			name, _, _ := strings.Cut(strings.TrimPrefix(command, `"`), `"`)
			name = strings.ToUpper(name)
			if strings.HasSuffix(source, " lua") || slices.Contains(housekeeping, name) {
				continue
			}
			names = append(names, name)
		}
	}
	return names
}

// What each method and each request costs, as the server sees it.
func TestCommands(t *testing.T) {
	for _, kind := range []servers.Kind{servers.Redis7, servers.Redis8, servers.Valkey, servers.RedisCluster} {
		for _, with := range []string{"rueidis", "go-redis", "watched"} {
			t.Run(string(kind)+"/"+with, func(t *testing.T) {
				server := servers.Start(t, kind) // nobody else's commands
				var s *redisstore.Store
				opts := redisstore.Options{Watch: with == "watched", PruneEvery: -1}
				if with == "go-redis" {
					client, _ := commander(t, server)
					s = redisstore.NewFrom(client, opts)
				} else {
					s = open(t, server, opts)
				}
				testCommands(t, s, server)
			})
		}
	}
}

func testCommands(t *testing.T, s *redisstore.Store, server *servers.Server) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	v := newSite(t, s)
	// Each node learns each script at its first use, and the store whether
	// there is SET … IFEQ.
	for i := range 40 {
		id := fmt.Sprint("first", i)
		must(s.Create(ctx, id, record("1")))
		must(second(s.Load(ctx, id, session.Slide{})))
		must(s.Update(ctx, id, []byte("1"), []byte("2"), in(time.Hour)))
		must(s.Touch(ctx, id, in(2*time.Hour)))
		must(s.Delete(ctx, id, []byte("2")))
		must(s.Delete(ctx, id, nil))
	}
	must(s.Create(ctx, "id", record("1")))
	m := newMonitor(t, server)
	for _, step := range []struct {
		name string
		do   func()
		want int
	}{
		{"Load", func() { must(second(s.Load(ctx, "id", session.Slide{}))) }, 1},
		{"Load with a slide that moves", func() { must(second(s.Load(ctx, "id", session.Slide{To: in(2 * time.Hour)}))) }, 1},
		{"Load with a slide that does not", func() {
			must(second(s.Load(ctx, "id", session.Slide{To: in(3 * time.Hour), Before: in(time.Hour)})))
		}, 1},
		{"Create", func() { must(s.Create(ctx, "other", record("1"))) }, 1},
		{"Update", func() { must(s.Update(ctx, "id", []byte("1"), []byte("2"), in(time.Hour))) }, 1},
		{"Touch", func() { must(s.Touch(ctx, "id", in(4*time.Hour))) }, 1},
		{"Delete", func() { must(s.Delete(ctx, "other", nil)) }, 1},
		{"Delete of what was read", func() { must(s.Delete(ctx, "id", []byte("2"))) }, 1},
		{"a request that does not use its session", func() { v.visit("OPTIONS") }, 0},
		{"a first visit that changes", func() { v.visit("POST") }, 1},
		{"a request that reads", func() { v.visit("GET") }, 1},
		{"a request that changes", func() { v.visit("POST") }, 2},
	} {
		m.sent()
		step.do()
		if got := m.sent(); len(got) != step.want {
			t.Errorf("%s: %d commands reach the server, %v; want %d", step.name, len(got), got, step.want)
		}
	}
	if code := v.visit("PUT"); code != 200 {
		t.Fatalf("sign-in = %d", code)
	}
	t.Logf("a sign-in: %v", m.sent())
}

// What scripts call is no round trip, but it is work, and the server counts it:
// here is how much, so that nobody has to wonder about INFO commandstats.
func TestCommandstats(t *testing.T) {
	server := servers.Start(t, servers.Redis7)
	client := connect(t, direct(server))
	s := openOn(t, client, redisstore.Options{PruneEvery: -1})
	ctx := t.Context()
	if err := s.Create(ctx, "id", record("1")); err != nil {
		t.Fatal(err)
	}
	to := in(2 * time.Hour)
	for _, step := range []struct {
		name string
		do   func() error
		want string
	}{
		{"Load", func() error { return second(s.Load(ctx, "id", session.Slide{})) }, "evalsha get pexpiretime"},
		{"Load with a slide", func() error {
			to = to.Add(time.Second) // moves each time
			return second(s.Load(ctx, "id", session.Slide{To: to}))
		}, "evalsha get pexpireat pexpiretime"},
		{"Update", func() error { return s.Update(ctx, "id", []byte("1"), []byte("1"), in(time.Hour)) }, "evalsha get set"},
		{"Delete", func() error { return s.Delete(ctx, "id", nil) }, "unlink"},
	} {
		for range 2 { // the first time teaches the server the script
			if err := client.Do(ctx, client.B().ConfigResetstat().Build()).Error(); err != nil {
				t.Fatal(err)
			}
			if err := step.do(); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
		}
		info, err := client.Do(ctx, client.B().Info().Section("commandstats").Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for line := range strings.Lines(info) {
			name, ok := strings.CutPrefix(line, "cmdstat_")
			name, stats, _ := strings.Cut(name, ":")
			if !ok || strings.Contains(name, "|") || name == "info" || name == "ping" || name == "hello" {
				continue
			}
			if !strings.HasPrefix(stats, "calls=1,") {
				t.Errorf("%s: %s %s; want one call", step.name, name, stats)
			}
			names = append(names, name)
		}
		if got := strings.Join(slices.Sorted(slices.Values(names)), " "); got != step.want {
			t.Errorf("%s: the server counts %s; want %s", step.name, got, step.want)
		}
	}
}
