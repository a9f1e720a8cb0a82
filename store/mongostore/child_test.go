package mongostore_test

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

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mongostore"
)

// The test binary is also the program of the other processes: run with
// childVar set, it does what that says instead of testing.
const childVar = "MONGOSTORE_TEST_CHILD"

var children = map[string]func(s *mongostore.Store, args []string) error{
	"append": appendChild,
	"revive": reviveChild,
}

func TestMain(m *testing.M) {
	args := strings.Split(os.Getenv(childVar), "\n")
	if args[0] == "" {
		os.Exit(servers.Main(m, servers.MongoDB))
	}
	if err := runChild(args[0], args[1], args[2], args[3], args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func runChild(role, url, database, form string, args []string) error {
	client, err := mongo.Connect(options.Client().ApplyURI(url))
	if err != nil {
		return err
	}
	s := mongostore.New(client.Database(database), mongostore.Options{Object: form == "subdocument", PruneEvery: -1})
	if err := children[role](s, args); err != nil {
		return err
	}
	return errors.Join(s.Close(), client.Disconnect(context.Background()))
}

// A child is another process with a store on the same collection.
type child struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

func start(t *testing.T, role string, db *mongo.Database, form string, args ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0])}
	all := append([]string{role, servers.Shared(t, servers.MongoDB).URL, db.Name(), form}, args...)
	c.Env = append(os.Environ(), childVar+"="+strings.Join(all, "\n"))
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
func appendChild(s *mongostore.Store, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx := context.Background()
	err = s.Create(ctx, "list", session.Record{Data: []byte(`{"list":[]}`), Deadline: in(hour)})
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
			if err = s.Update(ctx, "list", rec.Data, data, in(hour)); err == nil {
				break
			} else if !errors.Is(err, session.ErrConflict) {
				return err
			}
		}
	}
	return nil
}

// reviveChild does everything but Create to the record "ended", until the
// parent writes a line that says that it is, and then a hundred times more.
func reviveChild(s *mongostore.Store, _ []string) error {
	ended := make(chan struct{})
	go func() {
		bufio.NewReader(os.Stdin).ReadString('\n')
		close(ended)
	}()
	ctx := context.Background()
	later := in(hour)
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
