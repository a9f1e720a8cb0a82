package servers

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/need"
)

// slots is how many hash slots a Redis Cluster has.
const slots = 16384

// failover is how long a node of a group may be silent before the others
// take it for dead, in milliseconds.
const failover = "1000"

func startCluster(t testing.TB, s *Server) error {
	t.Helper()
	const masters = 3
	program, ctx := redisProgram(t, s.Kind), t.Context()
	for i := range 2 * masters {
		bus, err := reserve()
		if err != nil {
			return err
		}
		n, err := redisNode(s, fmt.Sprintf("node%d", i), program,
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus.number),
			"--cluster-node-timeout", failover,
			// Each master keeps the replica that it was given.
			"--cluster-allow-replica-migration", "no")
		if err != nil {
			bus.release()
			return err
		}
		n.others = append(n.others, bus)
	}
	s.URL = "redis+cluster://" + strings.Join(s.Addrs, ",")
	if err := s.startTogether(ctx, s.nodes); err != nil {
		return err
	}
	for i := range masters {
		first, last := i*slots/masters, (i+1)*slots/masters-1
		if err := tell(ctx, s.Addrs[i], "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)); err != nil {
			return err
		}
	}
	for i, n := range s.nodes {
		if err := tell(ctx, s.Addrs[i], "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return err
		}
		// Everybody hears of everybody else from the first.
		if err := tell(ctx, s.Addrs[0], "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(n.port.number), strconv.Itoa(n.others[0].number)); err != nil {
			return err
		}
	}
	for i := range masters {
		master, err := ask(ctx, s.Addrs[i], "CLUSTER", "MYID")
		if err != nil {
			return err
		}
		replica := s.Addrs[masters+i]
		err = until(ctx, func(ctx context.Context) error { // it has to know its master first
			return tell(ctx, replica, "CLUSTER", "REPLICATE", master)
		})
		if err != nil {
			return err
		}
	}
	return until(ctx, s.whole)
}

// sentinelConfig makes a sentinel see a dead master after a second. It is a
// file because sentinels write what they learn into it.
const sentinelConfig = `port %d
bind 127.0.0.1
dir %s
sentinel monitor pillbox 127.0.0.1 %d 2
sentinel down-after-milliseconds pillbox %s
sentinel failover-timeout pillbox 3000
`

func startSentinel(t testing.TB, s *Server) error {
	t.Helper()
	const sentinels = 3
	program, ctx := need.Program(t, "redis-server"), t.Context()
	s.MasterName = "pillbox"
	for i := range sentinels {
		n, err := s.add(fmt.Sprintf("sentinel%d", i))
		if err != nil {
			return err
		}
		n.ready = func(ctx context.Context) error { return tell(ctx, n.addr(), "PING") }
	}
	master, err := redisNode(s, "redis0", program)
	if err != nil {
		return err
	}
	for i := range 2 {
		_, err := redisNode(s, fmt.Sprintf("redis%d", i+1), program, "--replicaof", "127.0.0.1 "+strconv.Itoa(master.port.number))
		if err != nil {
			return err
		}
	}
	s.URL = "redis+sentinel://" + strings.Join(s.Addrs[:sentinels], ",") + "/" + s.MasterName
	if err := s.startTogether(ctx, s.nodes[sentinels:]); err != nil {
		return err
	}
	// A sentinel asks a master for its replicas every ten seconds only: they
	// have to be there when it starts.
	err = until(ctx, func(ctx context.Context) error { return replicated(ctx, s.Addrs[sentinels:], 1) })
	if err != nil {
		return err
	}
	for _, n := range s.nodes[:sentinels] {
		file := filepath.Join(n.dir, "sentinel.conf")
		text := fmt.Sprintf(sentinelConfig, n.port.number, n.dir, master.port.number, failover)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
		n.argv = []string{program, file, "--sentinel"}
	}
	if err := s.startTogether(ctx, s.nodes[:sentinels]); err != nil {
		return err
	}
	return until(ctx, s.whole)
}

// startTogether starts nodes that do not wait for each other.
func (s *Server) startTogether(ctx context.Context, nodes []*node) error {
	for _, n := range nodes {
		if err := n.launch(); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if err := n.await(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tell is [ask] where only an error is of interest.
func tell(ctx context.Context, addr string, command ...string) error {
	_, err := ask(ctx, addr, command...)
	return err
}

// until calls done until it returns no error.
func until(ctx context.Context, done func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := done(try)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// AwaitWhole returns when a [RedisCluster] or [RedisSentinel] is as it was at
// its start, although roles may have changed: every node runs and is known to
// the others, every replica has its master's data, and nobody takes anybody
// for dead. It is for tests that have killed and restarted a node.
func (s *Server) AwaitWhole(t testing.TB) {
	t.Helper()
	if err := until(t.Context(), s.whole); err != nil {
		t.Fatalf("servers: %s does not become whole: %v", s.Kind, err)
	}
}

// whole returns nil if the group is as [Server.AwaitWhole] says.
func (s *Server) whole(ctx context.Context) error {
	switch s.Kind {
	case RedisCluster:
		return s.wholeCluster(ctx)
	case RedisSentinel:
		return s.wholeSentinel(ctx)
	}
	return nil
}

func (s *Server) wholeCluster(ctx context.Context) error {
	for _, addr := range s.Addrs {
		text, err := ask(ctx, addr, "CLUSTER", "INFO")
		if err != nil {
			return err
		}
		info := fields(text)
		if info["cluster_state"] != "ok" || info["cluster_known_nodes"] != strconv.Itoa(len(s.Addrs)) {
			return fmt.Errorf("node %s: cluster state %s, %s nodes", addr, info["cluster_state"], info["cluster_known_nodes"])
		}
		view, err := ask(ctx, addr, "CLUSTER", "NODES")
		if err != nil {
			return err
		}
		masters := 0
		for line := range strings.Lines(view) {
			f := strings.Fields(line)
			if len(f) < 8 || strings.Contains(f[2], "fail") || strings.Contains(f[2], "handshake") || f[7] != "connected" {
				return fmt.Errorf("node %s sees %s", addr, line)
			}
			if strings.Contains(f[2], "master") {
				masters++
			}
		}
		if masters != len(s.Addrs)/2 {
			return fmt.Errorf("node %s sees %d masters", addr, masters)
		}
	}
	return replicated(ctx, s.Addrs, len(s.Addrs)/2)
}

func (s *Server) wholeSentinel(ctx context.Context) error {
	sentinels, redis := s.split()
	for _, addr := range sentinels {
		text, err := ask(ctx, addr, "SENTINEL", "MASTER", s.MasterName)
		if err != nil {
			return err
		}
		master := pairs(text)
		if master["flags"] != "master" || master["num-slaves"] != strconv.Itoa(len(redis)-1) || master["num-other-sentinels"] != strconv.Itoa(len(sentinels)-1) {
			return fmt.Errorf("sentinel %s: the master is %q, with %s replicas and %s other sentinels",
				addr, master["flags"], master["num-slaves"], master["num-other-sentinels"])
		}
		for _, replica := range redis {
			if replica == net.JoinHostPort(master["ip"], master["port"]) {
				continue
			}
			if err := knows(ctx, addr, s.MasterName, replica); err != nil {
				return err
			}
		}
	}
	return replicated(ctx, redis, 1)
}

// knows returns nil if a sentinel sees nothing wrong with a replica.
func knows(ctx context.Context, sentinel, master, replica string) error {
	all, err := ask(ctx, sentinel, "SENTINEL", "REPLICAS", master)
	if err != nil {
		return err
	}
	// The replicas come one after the other, each begins with its name.
	_, rest, _ := strings.Cut(all, "name\n"+replica+"\n")
	if flags := pairs(rest)["flags"]; flags != "slave" {
		return fmt.Errorf("sentinel %s: the replica %s is %q", sentinel, replica, flags)
	}
	return nil
}

// pairs reads the lines name, value, name, value of a flattened array. The
// first value of a name counts.
func pairs(text string) map[string]string {
	all := make(map[string]string)
	lines := strings.Split(text, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		if _, there := all[lines[i]]; !there {
			all[lines[i]] = lines[i+1]
		}
	}
	return all
}

// split returns the addresses of a [RedisSentinel]'s sentinels and of its
// Redis servers.
func (s *Server) split() (sentinels, redis []string) {
	half := len(s.Addrs) / 2
	return s.Addrs[:half], s.Addrs[half:]
}

// replicated returns nil if all of these Redis servers answer, as many of them
// as expected are masters, and each of the others has all of its master's data.
func replicated(ctx context.Context, addrs []string, expected int) error {
	masters, attached := 0, 0
	for _, addr := range addrs {
		text, err := ask(ctx, addr, "INFO", "replication")
		if err != nil {
			return err
		}
		info := fields(text)
		if info["role"] == "master" {
			masters++
			for name, value := range info {
				if strings.HasPrefix(name, "slave") && strings.Contains(value, "state=online") {
					attached++
				}
			}
		} else if info["master_link_status"] != "up" {
			return fmt.Errorf("replica %s has no link to its master", addr)
		}
	}
	if masters != expected || attached != len(addrs)-expected {
		return fmt.Errorf("%d masters with %d replicas in all; want %d with %d", masters, attached, expected, len(addrs)-expected)
	}
	return nil
}

// Masters returns the numbers of the nodes of a [RedisCluster] or
// [RedisSentinel] that run and take themselves for masters.
func (s *Server) Masters(t testing.TB) []int {
	t.Helper()
	return s.withRole(t, "master")
}

// Replicas returns the numbers of the nodes of a [RedisCluster] or
// [RedisSentinel] that run and take themselves for replicas.
func (s *Server) Replicas(t testing.TB) []int {
	t.Helper()
	return s.withRole(t, "slave")
}

func (s *Server) withRole(t testing.TB, role string) []int {
	t.Helper()
	var found []int
	for i, addr := range s.Addrs {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		text, err := ask(ctx, addr, "INFO", "replication")
		cancel()
		// A node that was killed has no role, and a sentinel no replication.
		if err == nil && fields(text)["role"] == role {
			found = append(found, i)
		}
	}
	return found
}

// Holder returns the number of the node of a [RedisCluster] that is the master
// of a key, as the nodes that run see it.
func (s *Server) Holder(t testing.TB, key string) int {
	t.Helper()
	for _, addr := range s.Addrs {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		holder, err := holder(ctx, addr, key)
		cancel()
		if i := slices.Index(s.Addrs, holder); err == nil && i >= 0 {
			return i
		}
	}
	t.Fatalf("servers: no node of %s knows who holds a key", s.Kind)
	return -1
}

// holder asks a node of a cluster for the address of a key's master.
func holder(ctx context.Context, addr, key string) (string, error) {
	text, err := ask(ctx, addr, "CLUSTER", "KEYSLOT", key)
	if err != nil {
		return "", err
	}
	slot, err := strconv.Atoi(text)
	if err != nil {
		return "", err
	}
	view, err := ask(ctx, addr, "CLUSTER", "NODES")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(view) {
		// id address@bus flags master ping pong epoch link slots…
		f := strings.Fields(line)
		for _, owned := range f[min(8, len(f)):] {
			first, last, found := strings.Cut(owned, "-")
			if !found {
				last = first
			}
			from, err1 := strconv.Atoi(first)
			to, err2 := strconv.Atoi(last)
			if err1 == nil && err2 == nil && from <= slot && slot <= to && !strings.Contains(f[2], "fail") {
				holder, _, _ := strings.Cut(f[1], "@")
				return holder, nil
			}
		}
	}
	return "", fmt.Errorf("slot %d has no master", slot)
}
