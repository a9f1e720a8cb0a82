// Package processes tests what processes do that share a store: the test binary
// runs once more as each of them. A package that uses it calls [Run] in its
// TestMain.
package processes

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

// variable tells a test binary which errand it was started for.
const variable = "PILLBOX_TEST_ERRAND"

// An errand is what another process is to do.
type errand struct {
	Role  string
	Where []string
	Args  []string
}

// Open opens the store that all processes share. where is what the test gave to
// [Start]: an address, for one. The store is closed by the function it returns.
type Open func(ctx context.Context, where []string) (store session.Store, closed func() error, err error)

// A Role is what a process does with the store: its error is the process's exit
// status, and is written to its standard error.
type Role func(ctx context.Context, store session.Store, args []string) error

// Run does the errand that this process was started for, and exits. In the test's
// own process it returns at once. Further roles may stand beside those of
// [KeepEveryAppend] and [EndedIsFinal].
func Run(open Open, roles map[string]Role) {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return
	}
	if err := run(text, open, roles); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(text string, open Open, roles map[string]Role) error {
	var e errand
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	role, ok := roles[e.Role]
	if !ok {
		role, ok = own[e.Role]
	}
	if !ok {
		return fmt.Errorf("no process has the role %q", e.Role)
	}
	ctx := context.Background()
	store, closed, err := open(ctx, e.Where)
	if err != nil {
		return err
	}
	if err := role(ctx, store, e.Args); err != nil {
		return err
	}
	return closed()
}

// A Process is another process with the store open. Its standard error is the
// test's.
type Process struct {
	*exec.Cmd
	Stdout *bufio.Reader // of the process, to be read by the test
	stdin  io.WriteCloser
}

// Environ returns the environment of a process that has this role, for a test that
// starts one in a way of its own.
func Environ(where []string, role string, args ...string) []string {
	text, err := json.Marshal(errand{role, where, args})
	if err != nil {
		panic(err) // of strings only
	}
	return append(os.Environ(), variable+"="+string(text))
}

// Start starts another process, which ends with the test at the latest.
func Start(t testing.TB, where []string, role string, args ...string) *Process {
	t.Helper()
	p := &Process{Cmd: exec.Command(os.Args[0])}
	p.Env = Environ(where, role, args...)
	p.Stderr = os.Stderr
	stdout, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	p.Stdout = bufio.NewReader(stdout)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill() // it may have ended
		_ = p.Wait()
	})
	return p
}

// Hear waits until the process has printed a line, and returns it.
func (p *Process) Hear(t testing.TB) string {
	t.Helper()
	line, err := p.Stdout.ReadString('\n')
	if err != nil {
		t.Fatalf("the other process says %q: %v", line, err)
	}
	return line
}

// Tell sends a line to the process.
func (p *Process) Tell(t testing.TB, line string) {
	t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		t.Fatalf("the other process does not listen: %v", err)
	}
}
