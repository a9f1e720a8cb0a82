package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/internal/need"
)

// redisProgram finds the server program of a kind, or ends the test.
func redisProgram(t testing.TB, k Kind) string {
	t.Helper()
	switch k {
	case Redis8:
		return unpacked(t, k, "forky", "usr/bin/redis-server")
	case Valkey:
		return unpacked(t, k, "forky", "usr/bin/valkey-server")
	}
	return need.Program(t, "redis-server")
}

// unpacked finds a program in the private root of a Debian suite, which
// scripts/servers.sh made, or ends the test.
func unpacked(t testing.TB, k Kind, suite, program string) string {
	t.Helper()
	root := filepath.Join(need.CacheDir(), "debian", suite)
	if _, err := os.Stat(filepath.Join(root, ".complete")); err != nil {
		missing(t, k, "unpacked from Debian "+suite)
	}
	return filepath.Join(root, program)
}

// redisNode adds a Redis to a server, with these options besides the usual.
func redisNode(s *Server, name, program string, options ...string) (*node, error) {
	n, err := s.add(name)
	if err != nil {
		return nil, err
	}
	n.argv = []string{
		program, "--port", strconv.Itoa(n.port.number), "--bind", "127.0.0.1", "--dir", n.dir,
		"--save", "", "--enable-debug-command", "local",
		// A replica's first copy starts at once.
		"--repl-diskless-sync-delay", "0",
	}
	if s.durable {
		// Without fsync too, the write is done before the reply is sent, and
		// unlike with everysec it is never put off.
		n.argv = append(n.argv, "--appendonly", "yes", "--appendfsync", "no")
	}
	n.argv = append(n.argv, options...)
	n.ready = func(ctx context.Context) error {
		_, err := ask(ctx, n.addr(), "PING")
		return err
	}
	return n, nil
}

func startRedis(t testing.TB, s *Server) error {
	t.Helper()
	n, err := redisNode(s, "redis", redisProgram(t, s.Kind))
	if err != nil {
		return err
	}
	s.URL = "redis://" + n.addr() + "/0"
	return n.start(t.Context())
}

// ask sends one command to a Redis and returns the reply as text; that of an
// array is its elements on lines of their own. A connection of its own for
// each command is what can be had from a server that is about to start, fails
// or is paused.
func ask(ctx context.Context, addr string, command ...string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	request := fmt.Appendf(nil, "*%d\r\n", len(command))
	for _, word := range command {
		request = fmt.Appendf(request, "$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := conn.Write(request); err != nil {
		return "", err
	}
	return reply(bufio.NewReader(conn))
}

// reply reads one reply of the Redis protocol, version 2.
func reply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("an empty reply")
	}
	switch kind, text := line[0], line[1:]; kind {
	case '+', ':':
		return text, nil
	case '-':
		return "", errors.New(text)
	case '$', '*':
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return "", err
		}
		if kind == '$' {
			bulk := make([]byte, n+len("\r\n"))
			if _, err := io.ReadFull(r, bulk); err != nil {
				return "", err
			}
			return string(bulk[:n]), nil
		}
		elements := make([]string, n)
		for i := range elements {
			if elements[i], err = reply(r); err != nil {
				return "", err
			}
		}
		return strings.Join(elements, "\n"), nil
	}
	return "", fmt.Errorf("a reply that begins with %q", line[0])
}

// fields reads the name:value lines of INFO, CLUSTER INFO and the like.
func fields(text string) map[string]string {
	all := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			all[name] = value
		}
	}
	return all
}
