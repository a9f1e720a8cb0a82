package wire

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// patience bounds every exchange with a peer.
const patience = 30 * time.Second

// A client is a browser with one connection and one site's cookies. It is made
// for load: it knows as much of HTTP as the peers here use, and nothing of what
// their cookies allow.
type client struct {
	addr    string
	conn    net.Conn
	r       *bufio.Reader
	cookies map[string]string
	request []byte // what the last exchange sent
	last    string // the request line that is in it
	stale   bool   // the cookies have changed since
	body    []byte
}

func dial(addr string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	return &client{addr: addr, conn: conn, r: bufio.NewReader(conn), cookies: map[string]string{}}, nil
}

func (c *client) close() { c.conn.Close() }

// do sends a request, such as "GET /read", and returns the response's body, which
// is valid until the next one. Any other status than 200 is an error.
func (c *client) do(line string) ([]byte, error) {
	if line != c.last || c.stale {
		c.last, c.stale = line, false
		c.request = fmt.Appendf(c.request[:0], "%s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n", line)
		if strings.HasPrefix(line, "POST") {
			c.request = append(c.request, "Content-Length: 0\r\n"...)
		}
		if len(c.cookies) > 0 {
			c.request = append(c.request, "Cookie: "...)
			sep := ""
			for name, value := range c.cookies {
				c.request = fmt.Appendf(c.request, "%s%s=%s", sep, name, value)
				sep = "; "
			}
			c.request = append(c.request, "\r\n"...)
		}
		c.request = append(c.request, "\r\n"...)
	}
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return nil, err
	}
	body, err := c.response()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", line, err)
	}
	return body, nil
}

var (
	contentLength = []byte("content-length")
	setCookie     = []byte("set-cookie")
)

func (c *client) response() ([]byte, error) {
	status, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200 "))
	said := ""
	if !ok {
		said = string(bytes.TrimSpace(status))
	}
	length := -1
	for {
		header, err := c.r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		header = bytes.TrimRight(header, "\r\n")
		if len(header) == 0 {
			break
		}
		name, value, _ := bytes.Cut(header, []byte(": "))
		switch {
		case bytes.EqualFold(name, contentLength):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return nil, err
			}
		case bytes.EqualFold(name, setCookie):
			pair, _, _ := strings.Cut(string(value), ";")
			if name, value, _ := strings.Cut(pair, "="); c.cookies[name] != value {
				c.cookies[name] = value
				c.stale = true
			}
		}
	}
	if length < 0 {
		return nil, fmt.Errorf("a response without Content-Length")
	}
	if cap(c.body) < length {
		c.body = make([]byte, length)
	}
	c.body = c.body[:length]
	if _, err := io.ReadFull(c.r, c.body); err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%s: %.200s", said, c.body)
	}
	return c.body, nil
}
