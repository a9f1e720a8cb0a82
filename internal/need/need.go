// Package need finds the programs that some tests cannot run without.
//
// A test that lacks a program skips, saying what it lacks and how to get it,
// so that "go test ./..." works on a machine that has only Go. With
// PILLBOX_TEST_ALL=1 in the environment, which "make test" sets after having
// installed everything, the same test fails instead: a run that promises every
// test does not pass by leaving some out.
//
// The exception is [Server].
//
// This is the only package that calls Skip; package house checks that.
package need

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// remedy is what a skipped test tells its reader to do.
const remedy = "run make test, which installs it"

// All reports whether nothing may be skipped: PILLBOX_TEST_ALL is 1.
func All() bool { return os.Getenv("PILLBOX_TEST_ALL") == "1" }

// Missing ends the test that calls it because what is not there: it skips, or
// fails when [All] holds. The text what completes the sentence "needs …" and
// names the thing, as in "chromium" or "Node.js 20.19 or newer".
//
// It does not return.
func Missing(t testing.TB, what string) {
	t.Helper()
	if All() {
		t.Fatalf("needs %s, and PILLBOX_TEST_ALL=1 allows no skip: %s", what, remedy)
	}
	t.Cleanup(func() {
		if t.Skipped() {
			announce(what)
		}
	})
	t.Skipf("needs %s: %s", what, remedy)
}

// Server is [Missing] for a server that set-up may have left out, because
// where it comes from does not give it any more. The reason is then in the file
// name in the folder left-out of [CacheDir], and the test skips with it even
// where [All] holds: nothing that its reader does would bring the server back.
// The text what is as for Missing.
//
// It does not return.
func Server(t testing.TB, name, what string) {
	t.Helper()
	reason, err := os.ReadFile(filepath.Join(CacheDir(), "left-out", name))
	if err != nil {
		Missing(t, what)
	}
	t.Skipf("needs %s, which set-up left out: %s", what, strings.TrimSpace(string(reason)))
}

// Long skips the test that calls it when -short is given, which is for people
// who want an answer within seconds; never when [All] holds. The text why says
// what takes the time.
func Long(t testing.TB, why string) {
	t.Helper()
	if testing.Short() && !All() {
		t.Skipf("takes long (%s): run without -short", why)
	}
}

// Program returns the path of the first of names that is on PATH, in the
// folders of the system's own daemons, or among the programs that "make test"
// keeps in [CacheDir]. Without any of them it calls [Missing].
func Program(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, ok := Find(name); ok {
			return path
		}
	}
	Missing(t, strings.Join(names, " or "))
	return ""
}

// Find is [Program] for one name, and reports whether it is there instead of
// ending a test.
func Find(name string) (path string, ok bool) {
	if all := candidates(name); len(all) > 0 {
		return all[0], true
	}
	return "", false
}

// Chromium returns the path of a Chromium or Chrome for browser tests, or
// calls [Missing]. PILLBOX_CHROMIUM names another one.
//
// A caller that runs as root has to start it with --no-sandbox.
func Chromium(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("PILLBOX_CHROMIUM"); path != "" {
		return path
	}
	return Program(t, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
}

// Node returns the path of a Node.js that the tests and the front end can use
// (20.19 or newer), or calls [Missing]. A node in [CacheDir] is preferred to
// the one on PATH, because it is there only where the latter was too old.
func Node(t testing.TB) string {
	t.Helper()
	const want = "Node.js 20.19 or newer"
	for _, path := range candidates("node") {
		if nodeSuits(path) {
			return path
		}
	}
	Missing(t, want)
	return ""
}

// CacheDir is where "make test" keeps what it downloads: PILLBOX_CACHE, or the
// folder pillbox in XDG_CACHE_HOME, or in .cache of the home folder.
// It need not exist. scripts/setup.sh uses the same rule.
func CacheDir() string {
	if dir := os.Getenv("PILLBOX_CACHE"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "pillbox")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return filepath.Join(os.TempDir(), "pillbox-cache")
	}
	return filepath.Join(home, ".cache", "pillbox")
}

// candidates lists where name is, best first. Debian keeps daemons in sbin
// folders that are not on an ordinary user's PATH.
func candidates(name string) []string {
	var found []string
	for _, path := range []string{
		filepath.Join(CacheDir(), "bin", name),
		name,
		filepath.Join("/usr/sbin", name),
		filepath.Join("/usr/local/sbin", name),
	} {
		if full, err := exec.LookPath(path); err == nil {
			found = append(found, full)
		}
	}
	return found
}

// nodeSuits reports whether the node at path is at least 20.19. It asks the
// program itself, once for each path.
func nodeSuits(path string) bool {
	nodes.Lock()
	defer nodes.Unlock()
	ok, known := nodes.suits[path]
	if !known {
		out, err := exec.Command(path, "--version").Output()
		ok = err == nil && atLeast(strings.TrimSpace(string(out)), 20, 19)
		nodes.suits[path] = ok
	}
	return ok
}

var nodes = struct {
	sync.Mutex
	suits map[string]bool
}{suits: make(map[string]bool)}

// atLeast reports whether a version such as "v20.19.1" is major.minor or newer.
func atLeast(version string, major, minor int) bool {
	parts := strings.Split(strings.TrimPrefix(version, "v"), ".")
	if len(parts) < 2 {
		return false
	}
	maj, err1 := strconv.Atoi(parts[0])
	mnr, err2 := strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return false
	}
	return maj > major || maj == major && mnr >= minor
}

// announce tells a person at a terminal, once for each thing a package's
// tests lack. Without -v, go test throws away what a passing package prints,
// skips included, so that nobody would learn what was left out; the terminal
// itself is the one way past that. Where there is none, nothing is written.
func announce(what string) {
	announced.Lock()
	defer announced.Unlock()
	if announced.what[what] || testing.Verbose() || runtime.GOOS == "windows" {
		return
	}
	announced.what[what] = true
	tty, err := os.OpenFile("/dev/tty", os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer tty.Close()
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".test")
	fmt.Fprintf(tty, "skip\t%s: tests that need %s: %s\n", name, what, remedy)
}

var announced = struct {
	sync.Mutex
	what map[string]bool
}{what: make(map[string]bool)}
