//go:build !linux

package servers

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// Nothing starts here: a server that cannot be trusted to end with the tests
// is not started at all. These are never called.

var errLinux = errors.New("servers start on Linux only")

type identity struct{}

func unprivileged() (*identity, error) { return nil, errLinux }

func (*identity) own(string) error { return errLinux }

type process struct{ done chan struct{} }

func launch([]string, string, string, *identity, syscall.Signal) (*process, error) {
	return nil, errLinux
}

func run([]string, string, *identity) error { return errLinux }

func (*process) pause() error                      { return errLinux }
func (*process) resume() error                     { return errLinux }
func (*process) ask(syscall.Signal, time.Duration) {}
func (*process) kill() error                       { return errLinux }
func (*process) listens(int) bool                  { return false }

func tryLock(string) *os.File { return nil }
func killAllIn(string)        {}
