package mysqlstore_test

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
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// The test binary is also the program of the other processes: run with
// childVar set, it does what that says instead of testing. The value has a line
// for the role, the DSN, the table, and each argument of the role.
const childVar = "MYSQLSTORE_TEST_CHILD"

type childRole func(s *mysqlstore.Store, args []string) error

var roles = map[string]childRole{
	"append": appendChild,
	"revive": reviveChild,
}

func role() (childRole, []string) {
	all := strings.Split(os.Getenv(childVar), "\n")
	return roles[all[0]], all[1:]
}

// runChild returns the exit status of the process.
func runChild(run childRole, args []string) int {
	s, err := mysqlstore.Open(context.Background(), args[0], mysqlstore.Options{Table: args[1], MaxConns: 8})
	if err == nil {
		err = s.Migrate(context.Background())
	}
	if err == nil {
		err = errors.Join(run(s, args[2:]), s.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// A child is another process with a store on the same table.
type child struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

func start(t *testing.T, role, dsn, table string, args ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0])}
	c.Env = append(os.Environ(), childVar+"="+strings.Join(append([]string{role, dsn, table}, args...), "\n"))
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
func appendChild(s *mysqlstore.Store, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	err = s.Create(ctx, "list", session.Record{Data: []byte("start\n"), Deadline: in(time.Hour)})
	if err != nil && !errors.Is(err, session.ErrExists) {
		return err
	}
	for i := range n {
		for {
			rec, err := s.Load(ctx, "list", session.Slide{To: in(time.Hour)})
			if err != nil {
				return err
			}
			data := fmt.Appendf(nil, "%s%s/%d\n", rec.Data, args[0], i)
			if err = s.Update(ctx, "list", rec.Data, data, in(time.Hour)); err == nil {
				break
			} else if !errors.Is(err, session.ErrConflict) {
				return err
			}
		}
	}
	return nil
}

// reviveChild does everything but Create to the record "ended", until the
// parent writes a line that says that it is, and then two hundred times more.
func reviveChild(s *mysqlstore.Store, _ []string) error {
	ended := make(chan struct{})
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n')
		close(ended)
	}()
	ctx := context.Background()
	later := in(time.Hour)
	fmt.Println("ready")
	for left := 200; left > 0; {
		over := false
		select {
		case <-ended:
			over = true
			left--
		default:
		}
		later = later.Add(time.Second)
		for name, err := range map[string]error{
			"Load":         second(s.Load(ctx, "ended", session.Slide{To: later})),
			"Touch":        s.Touch(ctx, "ended", later.Add(time.Second)),
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
