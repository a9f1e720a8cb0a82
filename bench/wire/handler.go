package wire

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

// A guest is a visitor of a handler in this process, without sockets.
type guest struct {
	handler  http.Handler
	cookies  string
	requests map[string]*http.Request
	answer   answer
	visits   int
}

// An answer is what a handler writes. It is used again and again.
type answer struct {
	header http.Header
	status int
	body   []byte
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) { a.status = status }

func (a *answer) Write(p []byte) (int, error) {
	a.body = append(a.body, p...)
	return len(p), nil
}

// guest begins a session.
func newGuest(h http.Handler) (*guest, error) {
	g := &guest{handler: h, requests: map[string]*http.Request{}, answer: answer{header: http.Header{}}}
	if err := g.expect("POST", "/start", "started"); err != nil {
		return nil, err
	}
	if g.cookies == "" {
		return nil, fmt.Errorf("%w: it sets no cookie", errWork)
	}
	return g, nil
}

// do has the handler answer a request, as net/http would: with a context that
// ends with it.
func (g *guest) do(method, path string) (*answer, error) {
	r := g.requests[path]
	if r == nil {
		r = httptest.NewRequest(method, "http://localhost"+path, nil)
		if g.cookies != "" {
			r.Header.Set("Cookie", g.cookies)
		}
		g.requests[path] = r
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	a := &g.answer
	clear(a.header)
	a.status, a.body = http.StatusOK, a.body[:0]
	g.handler.ServeHTTP(a, r.WithContext(ctx))
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%s %s: status %d: %.200s", method, path, a.status, a.body)
	}
	if lines := a.header["Set-Cookie"]; len(lines) > 0 {
		g.keep(lines)
	}
	return a, nil
}

// keep keeps cookies. A handler here sets one, if any.
func (g *guest) keep(lines []string) {
	for _, line := range lines {
		if c, err := http.ParseSetCookie(line); err == nil && c.Value != "" {
			if now := c.Name + "=" + c.Value; now != g.cookies {
				g.cookies = now
				clear(g.requests)
			}
		}
	}
}

func (g *guest) expect(method, path, want string) error {
	a, err := g.do(method, path)
	if err == nil && string(a.body) != want {
		err = fmt.Errorf("%w: it answers %.50q to %s; want %q", errWork, a.body, path, want)
	}
	return err
}

func (g *guest) read() error { return g.expect("GET", "/read", "visitor") }

func (g *guest) write() error {
	g.visits++
	return g.expect("POST", "/write", strconv.Itoa(g.visits))
}

// crowd begins n sessions for each of as many goroutines as are asked for, and
// shows that the handler keeps what is written to the first of each.
func (s *stage) crowd(title string, h http.Handler, goroutines, n int) [][]*guest {
	s.Helper()
	all := make([][]*guest, goroutines)
	for i := range all {
		all[i] = make([]*guest, n)
	}
	_, err := together(all, func(mine []*guest) (int, error) {
		for i := range mine {
			g, err := newGuest(h)
			if err != nil {
				return 0, err
			}
			mine[i] = g
		}
		g := mine[0]
		for _, step := range []func() error{g.read, g.write, g.write, g.read} {
			if err := step(); err != nil {
				return 0, err
			}
		}
		return 0, nil
	})
	if err != nil {
		s.end(fmt.Errorf("%s: %w", title, err))
	}
	return all
}

// drive has each goroutine do something for its guests in turn for about d.
func drive(crowd [][]*guest, d time.Duration, do func(*guest) error) (measure.Figures, error) {
	cpu, start := measure.CPU(), time.Now()
	ops, err := together(crowd, func(mine []*guest) (n int, err error) {
		for n == 0 || time.Since(start) < d {
			if err := do(mine[n%len(mine)]); err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	})
	if err != nil {
		return nil, err
	}
	took := time.Since(start)
	return measure.Figures{
		"ops/s":     float64(ops) / took.Seconds(),
		"cpu ns/op": float64(measure.CPU()-cpu) / float64(ops),
	}, nil
}
