package wire

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

// A stage is where a row's servers and programs run. To the packages servers and
// need, which start them for tests, it is a test.
type stage struct {
	testing.TB // nil; it has the method that only package testing can write

	ctx    context.Context
	cancel context.CancelFunc
	ends   []func()
	err    error
}

// Missing begins the error of a row that lacks a program or a server.
const Missing = "MISSING: "

func (s *stage) Helper()                  {}
func (s *stage) Context() context.Context { return s.ctx }
func (s *stage) Cleanup(f func())         { s.ends = append(s.ends, f) }
func (s *stage) Logf(string, ...any)      {}
func (s *stage) Failed() bool             { return s.err != nil }

// Skipped is false: that something is missing is told as an error.
func (s *stage) Skipped() bool { return false }

func (s *stage) Fatal(args ...any) { s.end(errors.New(fmt.Sprint(args...))) }

func (s *stage) Fatalf(format string, args ...any) { s.end(fmt.Errorf(format, args...)) }

func (s *stage) Skipf(format string, args ...any) {
	s.end(errors.New(Missing + fmt.Sprintf(format, args...)))
}

func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "pillbox-bench-*")
	s.check(err)
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// end ends the goroutine that sets the stage.
func (s *stage) end(err error) {
	s.err = err
	runtime.Goexit()
}

// check ends it too, if there is an error.
func (s *stage) check(err error) {
	if err != nil {
		s.end(err)
	}
}

// close ends all that runs there, the latest first.
func (s *stage) close() error {
	s.cancel()
	for _, f := range slices.Backward(s.ends) {
		f()
	}
	s.ends = nil
	return nil
}

// on makes the Open of a row: set starts what the row needs and returns its
// contenders. What it has started ends with the last of them.
func on(set func(s *stage) []measure.Contender) func() ([]measure.Contender, error) {
	return func() ([]measure.Contender, error) {
		s := &stage{}
		s.ctx, s.cancel = context.WithCancel(context.Background())
		var contenders []measure.Contender
		done := make(chan struct{})
		go func() {
			defer close(done)
			contenders = set(s)
		}()
		<-done
		if s.err != nil {
			return nil, errors.Join(s.err, s.close())
		}
		contenders[len(contenders)-1].Close = s.close
		return contenders, nil
	}
}
