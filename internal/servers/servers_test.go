package servers_test

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

var kinds = []servers.Kind{
	servers.Redis7, servers.Redis8, servers.Valkey, servers.RedisCluster, servers.RedisSentinel,
	servers.Postgres, servers.MariaDB, servers.MySQL, servers.MongoDB, servers.DynamoDB, servers.DynamoDBMoto,
}

// gone reports whether an address refuses connections.
func gone(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err == nil {
		conn.Close()
	}
	return err != nil
}

func TestEachKindStartsAnswersAndIsGoneAfterwards(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			var s *servers.Server
			began := time.Now()
			t.Run("alive", func(t *testing.T) {
				s = servers.Start(t, kind)
				t.Logf("%s started in %v", kind, time.Since(began).Round(time.Millisecond))
				for _, addr := range s.Addrs {
					if port := addr[strings.LastIndexByte(addr, ':')+1:]; len(port) > 5 || port >= "32768" {
						t.Errorf("address %s; want a port below 32768", addr)
					}
				}
				if err := keep(t.Context(), s); err != nil {
					t.Fatalf("write: %v", err)
				}
				if v, err := kept(t.Context(), s); v != "yes" || err != nil {
					t.Errorf("read %q, %v; want what was written", v, err)
				}
			})
			if s == nil {
				return // it is missing, and was skipped
			}
			if i := slices.IndexFunc(s.Addrs, func(a string) bool { return !gone(a) }); i >= 0 {
				t.Errorf("%s still answers after the test", s.Addrs[i])
			}
		})
	}
}

func TestKilledServerComesBackWithItsData(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := servers.Start(t, kind)
			if err := keep(t.Context(), s); err != nil {
				t.Fatalf("write: %v", err)
			}
			victim := 0
			switch kind {
			case servers.RedisCluster:
				victim = s.Holder(t, "kept")
			case servers.RedisSentinel:
				victim = s.Masters(t)[0]
			}
			s.Kill(t, victim)
			if !gone(s.Addrs[victim]) {
				t.Errorf("%s answers after Kill", s.Addrs[victim])
			}
			s.Restart(t, victim)
			s.AwaitWhole(t)
			v, err := kept(t.Context(), s)
			if kind == servers.DynamoDBMoto {
				if err != nil || v == "yes" {
					t.Errorf("after Restart: %q, %v; want a server that forgets", v, err)
				}
				return
			}
			if v != "yes" || err != nil {
				t.Errorf("after Restart: %q, %v; want what was acknowledged", v, err)
			}
		})
	}
}

func TestPausedServerAnswersNothingUntilResumed(t *testing.T) {
	for _, kind := range []servers.Kind{servers.Redis7, servers.Postgres, servers.MariaDB, servers.MongoDB, servers.DynamoDB} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := servers.Start(t, kind)
			if err := keep(t.Context(), s); err != nil {
				t.Fatalf("write: %v", err)
			}
			s.Pause(t, 0)
			if gone(s.Addrs[0]) {
				t.Error("the paused server refuses connections; want them accepted")
			}
			soon, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if v, err := kept(soon, s); err == nil {
				t.Errorf("the paused server answers %q", v)
			}
			s.Resume(t, 0)
			if v, err := kept(t.Context(), s); v != "yes" || err != nil {
				t.Errorf("after Resume: %q, %v; want what was written", v, err)
			}
		})
	}
}

func TestReplicaTakesOverFromADeadMaster(t *testing.T) {
	for _, kind := range []servers.Kind{servers.RedisCluster, servers.RedisSentinel} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := servers.Start(t, kind)
			if err := keep(t.Context(), s); err != nil {
				t.Fatalf("write: %v", err)
			}
			masters, replicas := s.Masters(t), s.Replicas(t)
			dead := masters[0]
			if kind == servers.RedisCluster {
				dead = s.Holder(t, "kept")
			}
			s.Kill(t, dead)
			began := time.Now()
			for !slices.ContainsFunc(s.Masters(t), func(i int) bool { return slices.Contains(replicas, i) }) {
				if time.Since(began) > 30*time.Second {
					t.Fatalf("masters are %v; want one of the replicas %v", s.Masters(t), replicas)
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Logf("failover took %v", time.Since(began).Round(time.Millisecond))
			s.Restart(t, dead)
			s.AwaitWhole(t)
			if got := s.Masters(t); len(got) != len(masters) || slices.Contains(got, dead) {
				t.Errorf("masters are %v after node %d is back; want %d, not that one", got, dead, len(masters))
			}
			if v, err := kept(t.Context(), s); v != "yes" || err != nil {
				t.Errorf("read %q, %v; want what was replicated", v, err)
			}
		})
	}
}

func TestSharedIsOneServer(t *testing.T) {
	a, b := servers.Shared(t, servers.Redis7), servers.Shared(t, servers.Redis7)
	if a != b {
		t.Errorf("Shared() = %s, then %s; want one server", a.URL, b.URL)
	}
	if own := servers.Start(t, servers.Redis7); own.URL == a.URL {
		t.Errorf("Start() = %s, which is the shared one", own.URL)
	}
}

func TestAddressInTheEnvironmentIsUsedInsteadOfStarting(t *testing.T) {
	for _, test := range []struct {
		kind            servers.Kind
		variable, value string
		addrs           []string
		master          string
	}{
		{servers.Redis7, "PILLBOX_TEST_REDIS7", "redis://:secret@192.0.2.1:6379/0", []string{"192.0.2.1:6379"}, ""},
		{servers.RedisCluster, "PILLBOX_TEST_REDIS_CLUSTER", "redis+cluster://a:1,b:2,c:3", []string{"a:1", "b:2", "c:3"}, ""},
		{servers.RedisSentinel, "PILLBOX_TEST_REDIS_SENTINEL", "redis+sentinel://a:1,b:2/main", []string{"a:1", "b:2"}, "main"},
		{servers.Postgres, "PILLBOX_TEST_POSTGRES", "postgres://u@db:5432/x?sslmode=disable", []string{"db:5432"}, ""},
		{servers.MongoDB, "PILLBOX_TEST_MONGODB", "mongodb://a:1,b:2/test?replicaSet=rs", []string{"a:1", "b:2"}, ""},
		{servers.DynamoDB, "PILLBOX_TEST_DYNAMODB", "aws", nil, ""},
	} {
		t.Run(test.variable, func(t *testing.T) {
			t.Setenv(test.variable, test.value)
			s := servers.Shared(t, test.kind)
			if s.URL != test.value || !slices.Equal(s.Addrs, test.addrs) || s.MasterName != test.master {
				t.Errorf("Shared() = %+v; want URL %q, addresses %q, master %q", s, test.value, test.addrs, test.master)
			}
		})
	}
}
