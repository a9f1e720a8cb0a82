package dynamostore_test

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

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/dynamostore"
)

// The test binary is also the program of the other processes: run with
// childVar set, it does what that says instead of testing.
const childVar = "DYNAMOSTORE_TEST_CHILD"

var children = map[string]func(s *dynamostore.Store, args []string) error{
	"append": appendChild,
	"revive": reviveChild,
}

func runChild(role, url, table string, args []string) error {
	cfg, err := settings(url)
	if err != nil {
		return err
	}
	s := dynamostore.New(dynamodb.NewFromConfig(cfg), dynamostore.Options{Table: table})
	if err := children[role](s, args); err != nil {
		return err
	}
	return s.Close()
}

// A child is another process with a store on the same table.
type child struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

func (l *lab) start(t *testing.T, role string, args ...string) *child {
	t.Helper()
	url := l.server.URL
	if l.gateway != nil {
		url = "http://" + l.gateway.addr
	}
	c := &child{Cmd: exec.Command(os.Args[0])}
	c.Env = append(os.Environ(), childVar+"="+strings.Join(append([]string{role, url, l.table}, args...), "\n"))
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

// appendChild appends args[0]/0 … args[0]/n-1, n being args[1], to one record.
func appendChild(s *dynamostore.Store, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	err = s.Create(ctx, "list", record(`{"list":[]}`))
	if err != nil && !errors.Is(err, session.ErrExists) {
		return err
	}
	for i := range n {
		for {
			rec, err := s.Load(ctx, "list", session.Slide{})
			if err != nil {
				return err
			}
			list := strings.TrimSuffix(string(rec.Data), `]}`)
			if !strings.HasSuffix(list, `[`) {
				list += ","
			}
			data := fmt.Appendf(nil, `%s"%s/%d"]}`, list, args[0], i)
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
// parent writes a line that says that it is, and then twenty times more.
func reviveChild(s *dynamostore.Store, _ []string) error {
	ended := make(chan struct{})
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n')
		close(ended)
	}()
	ctx := context.Background()
	later := in(time.Hour)
	fmt.Println("ready")
	for left := 20; left > 0; {
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
			"Update":       s.Update(ctx, "ended", []byte(`{"a":1}`), []byte(`{"a":1}`), later),
			"Delete(data)": s.Delete(ctx, "ended", []byte(`{"b":1}`)),
		} {
			if over && !errors.Is(err, session.ErrNotFound) {
				return fmt.Errorf("%s of an ended record = %v; want %v", name, err, session.ErrNotFound)
			}
		}
	}
	return nil
}
