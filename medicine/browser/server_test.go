package browser_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

// program builds the program once and returns its path.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "medicine")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/medicine").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// A server is the program with its default settings, but for its address, in a
// folder of its own.
type server struct {
	t    *testing.T
	dir  string
	addr string // host:port
	url  string
	cmd  *exec.Cmd
	log  *output
}

// serve starts the program in an empty folder on a free port.
func serve(t *testing.T) *server {
	t.Helper()
	browser(t) // or skip
	s := &server{t: t, dir: t.TempDir(), addr: "localhost:0"}
	s.start()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the program says:\n%s", s.log)
		}
	})
	return s
}

var opened = regexp.MustCompile(`Medicine is open at http://(localhost:\d+) `)

// start starts the program. The second time it has the address of the first.
func (s *server) start() {
	s.t.Helper()
	path, err := program()
	if err != nil {
		s.t.Fatal(err)
	}
	s.log = new(output)
	s.cmd = exec.Command(path, "-addr", s.addr)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = s.dir, []string{}, s.log, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	waitFor(s.t, "the program to open", func() error {
		m := opened.FindStringSubmatch(s.log.String())
		if m == nil {
			return fmt.Errorf("it says %q", s.log)
		}
		s.addr, s.url = m[1], "http://"+m[1]
		return nil
	})
}

// kill ends the program without a warning.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()
}

// stop ends the program as an operator does.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		s.t.Fatalf("the program ends with %v:\n%s", err, s.log)
	}
}

// stored returns the names of the pills in each session that is in the store.
func (s *server) stored() [][]string {
	s.t.Helper()
	store, err := sqlitestore.Open(s.t.Context(), filepath.Join(s.dir, "medicine.db"), sqlitestore.Options{
		Logger: slog.New(slog.DiscardHandler), PruneEvery: -1,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	defer store.Close()
	ids, _, err := store.List(s.t.Context(), "", 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	sessions := [][]string{}
	for _, id := range ids {
		rec, err := store.Load(s.t.Context(), id, session.Slide{})
		if err != nil {
			s.t.Fatal(err)
		}
		var data struct{ Pills []struct{ Name string } }
		if err := json.Unmarshal(rec.Data, &data); err != nil {
			s.t.Fatal(err)
		}
		names := []string{}
		for _, pill := range data.Pills {
			names = append(names, pill.Name)
		}
		sessions = append(sessions, names)
	}
	return sessions
}

// wantStored checks that the store holds one session, with these pills.
func (s *server) wantStored(names ...string) {
	s.t.Helper()
	if got := s.stored(); len(got) != 1 || strings.Join(got[0], ",") != strings.Join(names, ",") {
		s.t.Errorf("stored are %q; want one session with %q", got, names)
	}
}

// repeat returns a list of n names.
func repeat(name string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = name
	}
	return names
}

// An output is a bytes.Buffer for several goroutines.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// waitFor waits until check returns nil.
func waitFor(t *testing.T, what string, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s for %s: %v", what, err)
		}
	}
}
