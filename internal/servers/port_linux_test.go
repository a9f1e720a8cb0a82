package servers_test

import (
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/pillboxgo/pillbox/internal/servers"
)

// Who took the port answers there: its being open proves nothing.
func TestPortTakenMeanwhileIsSeen(t *testing.T) {
	for _, kind := range kinds {
		if kind == servers.RedisCluster || kind == servers.RedisSentinel {
			continue // they are what Redis7 is
		}
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := servers.Start(t, kind)
			s.Kill(t, 0)
			other, err := net.Listen("tcp4", s.Addrs[0])
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			if err := s.StartAgain(t, 0); !errors.Is(err, servers.ErrPortTaken) {
				t.Errorf("start on a port that another process has: %v; want %v", err, servers.ErrPortTaken)
			}
		})
	}
}

func TestPortsAreReservedOnce(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[int]bool)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				n := servers.Reserve(t)
				mu.Lock()
				if seen[n] {
					t.Errorf("port %d is reserved twice", n)
				}
				seen[n] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
