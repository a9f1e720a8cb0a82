package interop_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

func TestRedis(t *testing.T) {
	t.Parallel()
	server := servers.Shared(t, servers.Redis7)
	newHouse(t, newRedis(t, server), server, 24*time.Hour).test()
}

type redisBackend struct {
	url, addr string
	client    rueidis.Client
}

func newRedis(t *testing.T, server *servers.Server) *redisBackend {
	t.Helper()
	b := &redisBackend{url: server.URL, addr: server.Addrs[0]}
	b.client = b.connect(t, server.URL)
	return b
}

func (b *redisBackend) connect(t *testing.T, url string) rueidis.Client {
	t.Helper()
	options, err := rueidis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client, err := rueidis.NewClient(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func (b *redisBackend) express(url, place string) map[string]any {
	return map[string]any{"kind": "redis", "url": url, "prefix": place + ":"}
}

func (b *redisBackend) open(t *testing.T, url, place string) session.Store {
	store := redisstore.New(b.connect(t, url), redisstore.Options{Prefix: place + ":"})
	t.Cleanup(func() { store.Close() })
	return store
}

func (b *redisBackend) read(ctx context.Context, place, id string) (row, error) {
	key := place + ":" + id
	replies := b.client.DoMulti(
		ctx,
		b.client.B().Get().Key(key).Build(),
		b.client.B().Pexpiretime().Key(key).Build(),
	)
	data, err := replies[0].ToString()
	if rueidis.IsRedisNil(err) {
		return row{}, nil
	}
	if err != nil {
		return row{}, err
	}
	ms, err := replies[1].AsInt64()
	return row{data: data, expires: time.UnixMilli(ms)}, err
}

func (b *redisBackend) age(ctx context.Context, place, id string, d time.Duration) error {
	return b.client.Do(ctx, b.client.B().Pexpire().Key(place+":"+id).Milliseconds(d.Milliseconds()).Build()).Error()
}

// tap listens to what the server says that it does, in its own order, the
// commands of scripts included.
func (b *redisBackend) tap(t *testing.T, place string) tap {
	var said *bufio.Scanner
	var key string
	tapped := tap{url: b.url}
	tapped.begin = func(id string) {
		conn, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprint(conn, "MONITOR\r\n")
		said = bufio.NewScanner(conn)
		said.Buffer(nil, 16<<20)
		if !said.Scan() || said.Text() != "+OK" {
			t.Fatalf("MONITOR: %q, %v", said.Text(), said.Err())
		}
		key = strconv.Quote(place + ":" + id)
	}
	tapped.states = func() []string {
		const end = "that is all"
		if err := b.client.Do(t.Context(), b.client.B().Echo().Message(end).Build()).Error(); err != nil {
			t.Fatal(err)
		}
		var states []string
		for said.Scan() && !strings.Contains(said.Text(), end) {
			// +1795406335.99 [0 lua] "SET" "watched:id" "{\"cookie\":…}" "PXAT" "1795406335999"
			_, command, _ := strings.Cut(said.Text(), "] ")
			name, arguments, _ := strings.Cut(command, " ")
			// SET … IFEQ, which Redis 8.4 brings, is shown but refused here.
			if data, ok := strings.CutPrefix(arguments, key+" "); ok && strings.EqualFold(name, `"set"`) && !strings.Contains(data, ` "IFEQ" `) {
				quoted, err := strconv.QuotedPrefix(data)
				if err != nil {
					t.Fatalf("MONITOR: %v in %s", err, command)
				}
				text, err := strconv.Unquote(quoted)
				if err != nil {
					t.Fatalf("MONITOR: %v in %s", err, command)
				}
				states = append(states, text)
			}
		}
		return states
	}
	return tapped
}
