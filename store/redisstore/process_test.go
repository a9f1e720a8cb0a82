package redisstore_test

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// Four processes append to one record 1,000 times between them.
func TestProcessesShareARecord(t *testing.T) {
	const processes, each = 4, 250
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			server, prefix := servers.Shared(t, kind), newPrefix()
			var all []*child
			for i := range processes {
				all = append(all, start(t, errand{"append", public(server), prefix, []string{strconv.Itoa(i), strconv.Itoa(each)}}))
			}
			for i, c := range all {
				if err := c.Wait(); err != nil {
					t.Errorf("process %d: %v", i, err)
				}
			}
			rec, err := open(t, server, redisstore.Options{Prefix: prefix}).Load(t.Context(), "list", session.Slide{})
			if err != nil {
				t.Fatal(err)
			}
			kept := map[string]int{}
			for line := range strings.Lines(string(rec.Data)) {
				kept[line]++
			}
			for i := range processes {
				lost := 0
				for n := range each {
					if kept[fmt.Sprintf("%d/%d\n", i, n)] != 1 {
						lost++
					}
				}
				if lost > 0 {
					t.Errorf("of the %d appends of process %d, %d are not there exactly once", each, i, lost)
				}
			}
		})
	}
}

func TestEndedIsFinalAcrossProcesses(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, s *redisstore.Store) error{
		"Delete": func(t *testing.T, s *redisstore.Store) error { return s.Delete(t.Context(), "ended", nil) },
		"RevokeUser": func(t *testing.T, s *redisstore.Store) error {
			return second(s.RevokeUser(t.Context(), "alice", time.Now()))
		},
		"Clear": func(t *testing.T, s *redisstore.Store) error { return s.Clear(t.Context()) },
	} {
		for _, kind := range []servers.Kind{servers.Redis7, servers.Valkey, servers.RedisCluster} {
			t.Run(name+"/"+string(kind), func(t *testing.T) {
				server, prefix := servers.Shared(t, kind), newPrefix()
				s := open(t, server, redisstore.Options{Prefix: prefix})
				if err := s.Create(t.Context(), "ended", owned("a", "alice")); err != nil {
					t.Fatal(err)
				}
				c := start(t, errand{"revive", public(server), prefix, nil})
				if _, err := c.stdout.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
				if err := end(t, s); err != nil {
					t.Fatal(err)
				}
				io.WriteString(c.stdin, "ended\n")
				if err := c.Wait(); err != nil {
					t.Errorf("the other process: %v", err)
				}
				if rec, err := s.Load(t.Context(), "ended", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("Load = %q, %v; want %v", rec.Data, err, session.ErrNotFound)
				}
			})
		}
	}
}

// public is what another process has to know of a server.
func public(s *servers.Server) servers.Server {
	return servers.Server{Kind: s.Kind, Addrs: s.Addrs, URL: s.URL, MasterName: s.MasterName}
}
