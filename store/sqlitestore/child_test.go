package sqlitestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

// The test binary is also the program of the other processes: run with
// childVar set, it does what that says instead of testing.
const childVar = "SQLITESTORE_TEST_CHILD"

var children = map[string]func(s *sqlitestore.Store, args []string) error{
	"append": appendChild,
	"record": recordChild,
	"revive": reviveChild,
	"greedy": greedyChild,
}

func TestMain(m *testing.M) {
	args := strings.Split(os.Getenv(childVar), "\n")
	if args[0] == "" {
		os.Exit(m.Run())
	}
	if err := runChild(args[0], args[1], args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runChild(role, path string, args []string) error {
	s, err := sqlitestore.Open(context.Background(), path, sqlitestore.Options{})
	if err != nil {
		return err
	}
	if err := children[role](s, args); err != nil {
		return err
	}
	return s.Close()
}

// A child is another process with a store on the same file.
type child struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

func start(t *testing.T, role, path string, args ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0])}
	c.Env = append(os.Environ(), childVar+"="+strings.Join(append([]string{role, path}, args...), "\n"))
	c.Stderr = os.Stderr
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.stdin, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	c.stdout = bufio.NewReader(stdout)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	return c
}

// appendChild appends args[0]/1 … args[0]/n, n being args[1], to one record.
func appendChild(s *sqlitestore.Store, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	in := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	err = s.Create(ctx, "list", session.Record{Data: []byte("start\n"), Deadline: in})
	if err != nil && !errors.Is(err, session.ErrExists) {
		return err
	}
	for i := range n {
		for {
			rec, err := s.Load(ctx, "list", session.Slide{})
			if err != nil {
				return err
			}
			data := fmt.Appendf(nil, "%s%s/%d\n", rec.Data, args[0], i)
			if err = s.Update(ctx, "list", rec.Data, data, in); err == nil {
				break
			} else if !errors.Is(err, session.ErrConflict) {
				return err
			}
		}
	}
	return nil
}

// recordChild writes for as long as it lives, with several goroutines, and
// prints each write once it is acknowledged: "+id n" after data n was stored
// under id, "-id" after it was deleted.
func recordChild(s *sqlitestore.Store, args []string) error {
	ctx := context.Background()
	in := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	failed := make(chan error)
	for worker := range 4 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d", args[0], worker, i)
				old := []byte("0")
				if err := s.Create(ctx, id, session.Record{Data: old, Deadline: in}); err != nil {
					failed <- err
				}
				fmt.Printf("+%s 0\n", id)
				for n := 1; n < 5; n++ {
					data := []byte(strconv.Itoa(n))
					if err := s.Update(ctx, id, old, data, in); err != nil {
						failed <- err
					}
					fmt.Printf("+%s %d\n", id, n)
					old = data
				}
				if i%2 == 0 {
					if err := s.Delete(ctx, id, nil); err != nil {
						failed <- err
					}
					fmt.Printf("-%s\n", id)
				}
			}
		}()
	}
	return <-failed
}

// reviveChild does everything but Create to the record "ended", until the
// parent writes a line that says that it is, and then a thousand times more.
func reviveChild(s *sqlitestore.Store, _ []string) error {
	ended := make(chan struct{})
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n')
		close(ended)
	}()
	ctx := context.Background()
	later := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	fmt.Println("ready")
	for left := 1000; left > 0; {
		over := false
		select {
		case <-ended:
			over = true
			left--
		default:
		}
		later = later.Add(time.Millisecond)
		for name, err := range map[string]error{
			"Load":         second(s.Load(ctx, "ended", session.Slide{To: later})),
			"Touch":        s.Touch(ctx, "ended", later.Add(time.Millisecond)),
			"Update":       s.Update(ctx, "ended", []byte("a"), []byte("a"), later),
			"Delete(data)": s.Delete(ctx, "ended", []byte("b")),
		} {
			if over && !errors.Is(err, session.ErrNotFound) {
				return fmt.Errorf("%s of an ended record = %v; want %v", name, err, session.ErrNotFound)
			}
		}
	}
	return nil
}

func second[T any](_ T, err error) error { return err }

// greedyChild updates records of its own with eight goroutines, without a
// pause, for as long as it lives.
func greedyChild(s *sqlitestore.Store, args []string) error {
	ctx := context.Background()
	in := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	failed := make(chan error)
	for worker := range 8 {
		go func() {
			id := fmt.Sprintf("%s-%d", args[0], worker)
			err := s.Create(ctx, id, session.Record{Data: []byte("x"), Deadline: in})
			for err == nil {
				err = s.Update(ctx, id, []byte("x"), []byte("x"), in)
			}
			failed <- err
		}()
	}
	fmt.Println("ready")
	return <-failed
}
