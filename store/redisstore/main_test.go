package redisstore_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// The test binary is also the program of the other processes: run with childVar
// set, it does what that says instead of testing.
const childVar = "REDISSTORE_TEST_CHILD"

func TestMain(m *testing.M) {
	text := os.Getenv(childVar)
	if text == "" {
		os.Exit(servers.Main(m, servers.Redis7, servers.RedisCluster))
	}
	if err := runChild(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// An errand is what another process is to do.
type errand struct {
	Role   string
	Server servers.Server
	Prefix string
	Args   []string
}

var roles = map[string]func(s *redisstore.Store, args []string) error{
	"append": appendChild,
	"revive": reviveChild,
}

func runChild(text string) error {
	var e errand
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	client, err := rueidis.NewClient(direct(&e.Server))
	if err != nil {
		return err
	}
	defer client.Close()
	s := redisstore.New(client, redisstore.Options{Prefix: e.Prefix})
	defer s.Close()
	return roles[e.Role](s, e.Args)
}

// A child is another process with a store on the same server.
type child struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

func start(t *testing.T, e errand) *child {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{Cmd: exec.Command(os.Args[0])}
	c.Env = append(os.Environ(), childVar+"="+string(text))
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
func appendChild(s *redisstore.Store, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	err = s.Create(ctx, "list", record("start\n"))
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
			if err = s.Update(ctx, "list", rec.Data, data, in(time.Hour)); err == nil {
				break
			} else if !errors.Is(err, session.ErrConflict) {
				return err
			}
		}
	}
	return nil
}

// reviveChild does everything but Create to the record "ended", until the parent
// writes a line that says that it is, and then a hundred times more.
func reviveChild(s *redisstore.Store, _ []string) error {
	ended := make(chan struct{})
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n')
		close(ended)
	}()
	ctx := context.Background()
	later := in(time.Hour)
	fmt.Println("ready")
	for left := 100; left > 0; {
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
