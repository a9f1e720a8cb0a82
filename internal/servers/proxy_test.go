package servers_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/pillboxgo/pillbox/internal/servers"
)

func TestLinkFailsAsItIsTold(t *testing.T) {
	s := servers.Start(t, servers.Redis7)
	link := servers.Proxy(t, s.Addrs[0])
	direct := redis.NewClient(&redis.Options{Addr: s.Addrs[0]})
	defer direct.Close()
	client := redis.NewClient(&redis.Options{
		Addr: link.Addr, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: time.Second, ReadTimeout: 200 * time.Millisecond, ContextTimeoutEnabled: true,
	})
	defer client.Close()
	count := func(c *redis.Client) (int64, error) { return c.Incr(context.Background(), "n").Result() }
	works := func(when string, want int64) {
		t.Helper()
		if n, err := count(client); n != want || err != nil {
			t.Errorf("%s: counter is %d, %v; want %d", when, n, err, want)
		}
	}
	works("at first", 1)

	link.Latency(100 * time.Millisecond)
	began := time.Now()
	works("with latency", 2)
	if d := time.Since(began); d < 100*time.Millisecond {
		t.Errorf("with latency: the answer took %v; want 100ms at least", d)
	}
	link.Up()
	works("up after latency", 3)

	link.BlackHole()
	if n, err := count(client); err == nil {
		t.Errorf("black hole: the counter answers %d", n)
	}
	link.Up()
	if n, err := count(direct); n != 4 || err != nil {
		t.Errorf("after the black hole: counter is %d, %v; want 4, nothing having arrived", n, err)
	}

	works("up after the black hole", 5)

	link.LoseAnswers()
	if n, err := count(client); err == nil {
		t.Errorf("lost answers: the counter answers %d", n)
	}
	link.Up()
	if n, err := count(direct); n != 7 || err != nil {
		t.Errorf("after a lost answer: counter is %d, %v; want 7, the command having arrived", n, err)
	}

	link.Reset()
	if err := ping(link.Addr); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("reset: %v; want %v", err, syscall.ECONNRESET)
	}

	link.Down()
	if _, err := count(client); err == nil {
		t.Error("down: the counter answers")
	}
	if !gone(link.Addr) {
		t.Errorf("down: %s accepts connections", link.Addr)
	}
	link.Up()
	works("up after down", 8)
}

// ping sends a command and reads the first byte of the answer. Clients give
// the errors of their connections other names.
func ping(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}
