package wire

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
)

// A meter stands before a Redis and counts the commands that clients send it.
// What a script runs at the server passes by it, as it should: nobody waits for a
// round trip there.
type meter struct {
	addr     string
	commands atomic.Int64
}

// meter starts one in front of the server at addr.
func (s *stage) meter(addr string) *meter {
	s.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.check(err)
	s.Cleanup(func() { l.Close() })
	m := &meter{addr: l.Addr().String()}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			go m.pass(conn, addr)
		}
	}()
	return m
}

// url is where clients find the server that is to be counted.
func (m *meter) url() string { return "redis://" + m.addr + "/0" }

// pass connects a client with the server until either hangs up.
func (m *meter) pass(client net.Conn, addr string) {
	defer client.Close()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(client, server)
		client.Close()
	}()
	r := bufio.NewReader(io.TeeReader(client, server))
	for {
		if err := command(r); err != nil {
			return
		}
		m.commands.Add(1)
	}
}

// command reads one command.
func command(r *bufio.Reader) error {
	words, err := prefixed(r, '*')
	if err != nil {
		return err
	}
	for range words {
		size, err := prefixed(r, '$')
		if err != nil {
			return err
		}
		if _, err := r.Discard(size + len("\r\n")); err != nil {
			return err
		}
	}
	return nil
}

func prefixed(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("a line that begins with %q", line[0])
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}
