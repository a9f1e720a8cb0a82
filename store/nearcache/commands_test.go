package nearcache_test

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
	"github.com/pillboxgo/pillbox/store/nearcache"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// A monitor reads what clients send to a Redis server.
type monitor struct {
	t      *testing.T
	lines  *bufio.Reader
	client rueidis.Client
	n      int
}

func newMonitor(t *testing.T, addr string) *monitor {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, "MONITOR\r\n")
	m := &monitor{t: t, lines: bufio.NewReader(conn), client: connect(t, addr)}
	if line, err := m.lines.ReadString('\n'); err != nil || line != "+OK\r\n" {
		t.Fatalf("MONITOR = %q, %v", line, err)
	}
	return m
}

// sent returns the names of the commands that stores have sent since the last call.
// What a script calls in turn is left out: it takes no round trip.
func (m *monitor) sent() []string {
	m.t.Helper()
	m.n++
	marker := fmt.Sprint("marker", m.n)
	must(m.t, m.client.Do(m.t.Context(), m.client.B().Echo().Message(marker).Build()).Error())
	var names []string
	for {
		line, err := m.lines.ReadString('\n')
		must(m.t, err)
		if strings.Contains(line, marker) {
			return names
		}
		source, command, _ := strings.Cut(line, "] ")
		name, _, _ := strings.Cut(strings.TrimPrefix(command, `"`), `"`)
		name = strings.ToUpper(name)
		if !strings.HasSuffix(source, " lua") && !slices.Contains([]string{"PING", "HELLO", "CLIENT"}, name) {
			names = append(names, name)
		}
	}
}

// What requests cost, as the server sees it: nothing to read, one command to change.
func TestCommands(t *testing.T) {
	for _, watch := range []bool{false, true} {
		t.Run(fmt.Sprint("watched: ", watch), func(t *testing.T) {
			server := servers.Start(t, servers.Redis7) // nobody else's commands
			addr := server.Addrs[0]
			below := redis(t, addr, redisstore.Options{Watch: watch})
			const lease = time.Second
			v := newSite(t, open(t, below, nearcache.Options{Lease: lease})).visitor()
			m := newMonitor(t, addr)
			for range 3 { // teaches the server the scripts
				v.visit("POST")
				v.visit("GET")
			}
			for _, step := range []struct {
				name   string
				method string
				want   int
			}{
				{"a request that does not use its session", "OPTIONS", 0},
				{"a request that reads", "GET", 0},
				{"a request that changes", "POST", 1},
				{"a request that changes, after another", "POST", 1},
				{"a request that reads, after a change", "GET", 0},
				{"a request that reads, after another", "GET", 0},
				{"a request that changes, after reads", "POST", 1},
			} {
				for attempt := 1; ; attempt++ {
					v.visit("GET")
					m.sent()
					began := time.Now()
					v.visit(step.method)
					got := m.sent()
					if len(got) == step.want {
						break
					}
					// On a busy machine a lease may be over, and the store may
					// tell of an older change late.
					if attempt == 5 || time.Since(began) < lease/4 && !watch {
						t.Errorf("%s: %d commands reach the server, %v; want %d", step.name, len(got), got, step.want)
						break
					}
				}
			}
		})
	}
}
