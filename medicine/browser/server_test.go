package browser_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/internal/storeurl"
	"github.com/pillboxgo/pillbox/session"
)

// program builds the program once and returns its path.
var program = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "medicine")
	if out, err := exec.Command("go", "build", "-o", path, "../../cmd/medicine").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

// A server is the program in a folder of its own, with its default settings but
// for its address and what a test asks for.
type server struct {
	t     *testing.T
	dir   string
	addr  string // host:port
	url   string
	flags []string
	env   []string
	cmd   *exec.Cmd
	log   *output
}

// serve starts the program in an empty folder on a free port.
func serve(t *testing.T, flags ...string) *server {
	t.Helper()
	browser(t) // or skip
	s := &server{t: t, dir: t.TempDir(), addr: "localhost:0", flags: flags, env: []string{}}
	s.open()
	return s
}

// open starts a server that is ended with its test.
func (s *server) open() {
	s.t.Helper()
	s.start()
	s.t.Cleanup(func() {
		s.kill()
		if s.t.Failed() {
			s.t.Logf("the program at %s says:\n%s", s.url, s.log)
		}
	})
}

// beside starts another process of the same application: on another port, with
// the same secret, the same store and the same accounts. A browser sends both
// the same cookie, since cookies know no ports.
func (s *server) beside() *server {
	s.t.Helper()
	other := &server{t: s.t, dir: s.dir, addr: "localhost:0", flags: s.flags, env: s.env}
	other.open()
	return other
}

// stores are what the flows are tried on. The first is what the program has
// without a flag.
var stores = []string{"sqlite", "redis"}

// serveOn is serve with the sessions in one of stores.
func serveOn(t *testing.T, store string, flags ...string) *server {
	t.Helper()
	if store == "redis" {
		address := fmt.Sprintf("%s?prefix=browser%d:", servers.Shared(t, servers.Redis7).URL, rand.Uint32())
		flags = append([]string{"-store", address}, flags...)
	}
	return serve(t, flags...)
}

// onEachStore runs a test on each of stores.
func onEachStore(t *testing.T, test func(t *testing.T, s *server), flags ...string) {
	for _, store := range stores {
		t.Run(store, func(t *testing.T) { test(t, serveOn(t, store, flags...)) })
	}
}

// store returns the URL of the server's store.
func (s *server) store() string {
	if at := slices.Index(s.flags, "-store"); at >= 0 {
		return s.flags[at+1]
	}
	return "sqlite:" + filepath.Join(s.dir, "medicine.db")
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
	s.cmd = exec.Command(path, append([]string{"-addr", s.addr}, s.flags...)...)
	s.cmd.Dir, s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = s.dir, s.env, s.log, s.log
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
	opened, err := storeurl.Open(s.t.Context(), s.store(), slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	defer opened.Close()
	ids, _, err := opened.Store.(session.Lister).List(s.t.Context(), "", 1000)
	if err != nil {
		s.t.Fatal(err)
	}
	sessions := [][]string{}
	for _, id := range ids {
		rec, err := opened.Store.Load(s.t.Context(), id, session.Slide{})
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
