package servers

import (
	"testing"
)

// Home returns the folder below which this process keeps its servers.
func Home() string {
	home.Lock()
	defer home.Unlock()
	return home.path
}

// Sweep does what the first server of a process does before it starts.
func Sweep() { sweep(parent()) }

// RunningIn lists the processes that run in a folder or below it.
func RunningIn(dir string) []int { return runningIn(dir) }

// StartAgain is Restart of a node that was killed, with its error.
func (s *Server) StartAgain(t testing.TB, i int) error { return s.nodes[i].start(t.Context()) }

// ErrPortTaken is what leads to another try with another port.
var ErrPortTaken = errPortTaken

// Reserve reserves a port until the test ends.
func Reserve(t testing.TB) int {
	t.Helper()
	p, err := reserve()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.release)
	return p.number
}
