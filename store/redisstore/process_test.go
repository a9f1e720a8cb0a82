package redisstore_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/processes"
	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

func TestMain(m *testing.M) {
	processes.Run(openShared, nil)
	os.Exit(servers.Main(m, servers.Redis7, servers.RedisCluster))
}

// openShared opens a store as another process does: where is the server as JSON,
// and the prefix.
func openShared(_ context.Context, where []string) (session.Store, func() error, error) {
	var server servers.Server
	if err := json.Unmarshal([]byte(where[0]), &server); err != nil {
		return nil, nil, err
	}
	client, err := rueidis.NewClient(direct(&server))
	if err != nil {
		return nil, nil, err
	}
	s := redisstore.New(client, redisstore.Options{Prefix: where[1]})
	return s, func() error {
		defer client.Close()
		return s.Close()
	}, nil
}

// where is how another process finds the sessions with a prefix.
func where(t *testing.T, s *servers.Server, prefix string) []string {
	t.Helper()
	text, err := json.Marshal(servers.Server{Kind: s.Kind, Addrs: s.Addrs, URL: s.URL, MasterName: s.MasterName})
	if err != nil {
		t.Fatal(err)
	}
	return []string{string(text), prefix}
}

func TestProcessesShareARecord(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			server, prefix := servers.Shared(t, kind), newPrefix()
			processes.KeepEveryAppend(t, open(t, server, redisstore.Options{Prefix: prefix}), where(t, server, prefix)...)
		})
	}
}

func TestEndedIsFinalAcrossProcesses(t *testing.T) {
	for _, kind := range []servers.Kind{servers.Redis7, servers.Valkey, servers.RedisCluster} {
		t.Run(string(kind), func(t *testing.T) {
			processes.EndedIsFinal(t, func(t *testing.T) (session.Store, []string) {
				server, prefix := servers.Shared(t, kind), newPrefix()
				return open(t, server, redisstore.Options{Prefix: prefix}), where(t, server, prefix)
			})
		})
	}
}
