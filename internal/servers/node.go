package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// patience bounds how long a server may take to start. It is long because many
// of them start at once on few cores.
const patience = 90 * time.Second

// errPortTaken means that a server found its port in use.
var errPortTaken = errors.New("its port was taken meanwhile")

// A node is one server process with a folder and an address of its own, which
// it keeps when it is started again.
type node struct {
	dir    string // its working directory: what runs there belongs to it
	port   port
	others []port // that it listens on besides

	argv  []string
	as    *identity                   // who runs it; nil for ourselves
	ready func(context.Context) error // nil error as soon as it serves
	quit  syscall.Signal              // what ends it properly; 0 for SIGKILL

	mu   sync.Mutex
	proc *process // nil when it is not running
}

// newNode makes the folder of a node and reserves a port for it.
func newNode(dir string) (*node, error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	port, err := reserve()
	if err != nil {
		return nil, err
	}
	return &node{dir: dir, port: port}, nil
}

func (n *node) addr() string { return "127.0.0.1:" + strconv.Itoa(n.port.number) }

// log is the file that the process writes to.
func (n *node) log() string { return n.dir + ".log" }

// start runs the process and returns when it serves.
func (n *node) start(ctx context.Context) error {
	if err := n.launch(); err != nil {
		return err
	}
	return n.await(ctx)
}

// launch runs the process and does not wait for it to serve.
func (n *node) launch() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	proc, err := launch(n.argv, n.dir, n.log(), n.as, n.quit)
	if err != nil {
		return err
	}
	n.proc = proc
	return nil
}

// await returns when the node serves. It is this process that does: another
// one might listen on the same port.
func (n *node) await(ctx context.Context) error {
	n.mu.Lock()
	proc := n.proc
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	for {
		select {
		case <-proc.done:
			return n.died()
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer (%v): %w\n%s", filepath.Base(n.argv[0]), last, context.Cause(ctx), n.tail())
		case <-time.After(10 * time.Millisecond):
		}
		if !proc.listens(n.port.number) {
			last = errors.New("it does not listen yet")
			continue
		}
		try, cancel := context.WithTimeout(ctx, 5*time.Second)
		last = n.ready(try)
		cancel()
		if last == nil {
			return nil
		}
	}
}

// died says why the process has ended.
func (n *node) died() error {
	said, err := os.ReadFile(n.log())
	if err == nil && bytes.Contains(bytes.ToLower(said), []byte("address already in use")) {
		return fmt.Errorf("%w: %s", errPortTaken, n.addr())
	}
	return fmt.Errorf("%s ended\n%s", filepath.Base(n.argv[0]), n.tail())
}

// tail returns the last of what the process has written.
func (n *node) tail() []byte {
	text, err := os.ReadFile(n.log())
	if err != nil {
		return []byte(err.Error())
	}
	return text[max(0, len(text)-2000):]
}

// kill ends the process and its children at once and returns when they are
// gone.
func (n *node) kill() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil {
		return nil
	}
	if err := n.proc.kill(); err != nil {
		return err
	}
	n.proc = nil
	return nil
}

// end is kill for good: the port is free for others afterwards. A process that
// would leave something with the kernel is asked to quit first.
func (n *node) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != nil {
		if n.quit != 0 {
			n.proc.ask(n.quit, 5*time.Second)
		}
		// Nothing can be done about a process that outlives SIGKILL; the
		// kernel ends it as soon as it lets go of what it waits for.
		_ = n.proc.kill()
		n.proc = nil
	}
	n.port.release()
	for _, p := range n.others {
		p.release()
	}
}

func (n *node) pause() error { return n.running((*process).pause) }

func (n *node) resume() error { return n.running((*process).resume) }

// running does something to the process.
func (n *node) running(do func(*process) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil {
		return errors.New("it does not run")
	}
	return do(n.proc)
}
