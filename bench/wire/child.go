package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/bench/node"
	"github.com/pillboxgo/pillbox/internal/need"
)

// A child is a process that serves a peer's application.
type child struct {
	title string
	addr  string
	cpu   *client // asks for its processor time
}

// child starts a Go peer: this executable, as "serve".
func (s *stage) child(name string, at setting) *child {
	s.Helper()
	p, err := peerNamed(name)
	s.check(err)
	executable, err := os.Executable()
	s.check(err)
	args := []string{"serve", "-peer", name, "-store", at.store, "-url", at.url, "-slide=" + strconv.FormatBool(at.slide)}
	return s.launch(p.title, exec.Command(executable, args...))
}

// express starts Express with express-session.
func (s *stage) express(title string, at setting) *child {
	s.Helper()
	program := need.Node(s)
	s.check(nodeVersions(program))
	dir := s.TempDir()
	s.check(os.CopyFS(dir, node.Files))
	need.Link(s, need.NPM(s, dir), dir)
	cmd := exec.Command(program, filepath.Join(dir, "server.mjs"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NODE_ENV=production", "NODE_NO_WARNINGS=1", "STORE="+at.store, "URL="+at.url)
	return s.launch(title, cmd)
}

// launch starts a process that prints where it serves, and that ends when its
// standard input does: with the stage, or with this process.
func (s *stage) launch(title string, cmd *exec.Cmd) *child {
	stdin, err := cmd.StdinPipe()
	s.check(err)
	stdout, err := cmd.StdoutPipe()
	s.check(err)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = 5 * time.Second
	s.check(cmd.Start())
	reaped := make(chan struct{})
	end := func() {
		_ = stdin.Close()
		go func() {
			_ = cmd.Wait() // how it ends is of no interest
			close(reaped)
		}()
		select {
		case <-reaped:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-reaped
		}
	}
	said := make(chan string, 1)
	go func() {
		r := bufio.NewReader(stdout)
		line, _ := r.ReadString('\n')
		said <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, r)
	}()
	var addr string
	select {
	case addr = <-said:
	case <-time.After(patience):
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		end()
		s.end(fmt.Errorf("%s does not start: %.1000s", title, stderr.Bytes()))
	}
	s.Cleanup(end)
	c := &child{title: title, addr: addr}
	c.cpu, err = dial(addr)
	s.check(err)
	s.Cleanup(c.cpu.close)
	return c
}

// used returns the processor time, user and system, that the child has used.
func (c *child) used() (time.Duration, error) {
	body, err := c.cpu.do("GET /cpu")
	if err != nil {
		return 0, err
	}
	ns, err := strconv.ParseInt(string(body), 10, 64)
	return time.Duration(ns), err
}

// visitors begins n sessions, each with a connection of its own.
func (s *stage) visitors(c *child, n int) []*visitor {
	s.Helper()
	all := make([]*visitor, n)
	for i := range all {
		b, err := dial(c.addr)
		s.check(err)
		s.Cleanup(b.close)
		all[i] = &visitor{client: b}
		s.check(all[i].begin())
		s.check(all[i].proof())
	}
	return all
}

// A visitor has a session, and knows what must be in it.
type visitor struct {
	*client
	visits int
}

var errWork = errors.New("the peer does not do the work")

func (v *visitor) begin() error {
	v.visits = 0
	body, err := v.do("POST /start")
	if err == nil && string(body) != "started" {
		err = fmt.Errorf("%w: it answers %.50q to a start", errWork, body)
	}
	if err == nil && len(v.cookies) == 0 {
		err = fmt.Errorf("%w: it sets no cookie", errWork)
	}
	return err
}

// read reads the session, and checks what it reads.
func (v *visitor) read() error { return v.expect("GET /read", "visitor") }

func (v *visitor) bareGet() error { return v.expect("GET /bare", "visitor") }

func (v *visitor) barePost() error { return v.expect("POST /bare", "visitor") }

func (v *visitor) expect(line, want string) error {
	body, err := v.do(line)
	if err == nil && string(body) != want {
		err = fmt.Errorf("%w: it answers %.50q to %s; want %q", errWork, body, line, want)
	}
	return err
}

// write changes the session, and checks that the change before has been kept.
func (v *visitor) write() error {
	body, err := v.do("POST /write")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(body))
	if err != nil || n != v.visits+1 {
		return fmt.Errorf("%w: visit %d is %.50q", errWork, v.visits+1, body)
	}
	v.visits = n
	return nil
}

// proof returns an error unless the peer keeps what is written, and gives it to
// nobody who has no session.
func (v *visitor) proof() error {
	for _, step := range []func() error{v.read, v.write, v.write, v.read} {
		if err := step(); err != nil {
			return err
		}
	}
	stranger, err := dial(v.addr)
	if err != nil {
		return err
	}
	defer stranger.close()
	if body, err := stranger.do("GET /read"); err == nil && string(body) == "visitor" {
		return fmt.Errorf("%w: a stranger reads what a visitor wrote", errWork)
	}
	return nil
}
