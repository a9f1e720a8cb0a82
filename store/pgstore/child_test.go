package pgstore_test

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

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// The test binary is also the program of the other processes: run with childVar
// set, it does what that says instead of testing. The value has a line each for
// the role, the URL of the database, the table and the role's arguments.
const childVar = "PGSTORE_TEST_CHILD"

var children = map[string]func(s *pgstore.Store, args []string) error{
	"append": appendChild,
	"revive": reviveChild,
}

func TestMain(m *testing.M) {
	args := strings.Split(os.Getenv(childVar), "\n")
	if args[0] == "" {
		os.Exit(servers.Main(m, servers.Postgres))
	}
	if err := runChild(args[0], args[1], args[2], args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runChild(role, to, table string, args []string) error {
	pool, err := pgxpool.New(context.Background(), to)
	if err != nil {
		return err
	}
	defer pool.Close()
	s := pgstore.New(pool, pgstore.Options{Table: table})
	defer s.Close()
	if err := s.Migrate(context.Background()); err != nil {
		return err
	}
	return children[role](s, args)
}

// A child is another process with a store on the same table.
type child struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

func start(t *testing.T, role, to, table string, args ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0])}
	c.Env = append(os.Environ(), childVar+"="+strings.Join(append([]string{role, to, table}, args...), "\n"))
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

// appendChild appends the numbers from args[0] on, as many as args[1] says, to
// the list in one record.
func appendChild(s *pgstore.Store, args []string) error {
	first, err1 := strconv.Atoi(args[0])
	n, err2 := strconv.Atoi(args[1])
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	ctx := context.Background()
	until := time.Now().Add(time.Hour)
	err := s.Create(ctx, "list", session.Record{Data: []byte(`[0]`), Deadline: until})
	if err != nil && !errors.Is(err, session.ErrExists) {
		return err
	}
	for i := range n {
		for {
			rec, err := s.Load(ctx, "list", session.Slide{To: time.Now().Add(time.Hour)})
			if err != nil {
				return err
			}
			list := strings.TrimSuffix(string(rec.Data), "]")
			err = s.Update(ctx, "list", rec.Data, fmt.Appendf(nil, "%s,%d]", list, first+i), until)
			if err == nil {
				break
			}
			if !errors.Is(err, session.ErrConflict) {
				return err
			}
		}
	}
	return nil
}

// reviveChild does everything but Create to the record "ended", until the parent
// writes a line that says that it is, and then three hundred times more.
func reviveChild(s *pgstore.Store, _ []string) error {
	ended := make(chan struct{})
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n')
		close(ended)
	}()
	ctx := context.Background()
	later := time.Now().Add(time.Hour)
	fmt.Println("ready")
	for left := 300; left > 0; {
		over := false
		select {
		case <-ended:
			over = true
			left--
		default:
		}
		later = later.Add(2 * time.Millisecond)
		for name, err := range map[string]error{
			"Load":         second(s.Load(ctx, "ended", session.Slide{To: later})),
			"Touch":        s.Touch(ctx, "ended", later.Add(time.Millisecond)),
			"Update":       s.Update(ctx, "ended", []byte(bob), []byte(bob), later),
			"Delete(data)": s.Delete(ctx, "ended", []byte(`{}`)),
		} {
			if over && !errors.Is(err, session.ErrNotFound) {
				return fmt.Errorf("%s of an ended record = %v; want %v", name, err, session.ErrNotFound)
			}
		}
	}
	return nil
}
