package need_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/pillboxgo/pillbox/internal/need"
)

// fake stands in for a test that asks for something, and records how it ended.
type fake struct {
	testing.TB
	failed, skipped string
}

func (f *fake) Helper() {}

func (f *fake) Fatalf(format string, args ...any) {
	f.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (f *fake) Skipf(format string, args ...any) {
	f.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// run calls what with a fake test, on a goroutine that it may end.
func run(t *testing.T, what func(testing.TB)) *fake {
	t.Helper()
	f := &fake{TB: t}
	var wg sync.WaitGroup
	wg.Go(func() { what(f) })
	wg.Wait()
	return f
}

func TestMissingSkipsOrFails(t *testing.T) {
	ask := func(t testing.TB) { need.Program(t, "no-such-program-a", "no-such-program-b") }
	t.Setenv("PILLBOX_TEST_ALL", "")
	if f := run(t, ask); f.failed != "" || !strings.Contains(f.skipped, "no-such-program-a or no-such-program-b: run make test") {
		t.Errorf("without PILLBOX_TEST_ALL: failed %q, skipped %q; want a skip that names both programs and the remedy", f.failed, f.skipped)
	}
	t.Setenv("PILLBOX_TEST_ALL", "1")
	if f := run(t, ask); f.skipped != "" || !strings.Contains(f.failed, "no-such-program-a or no-such-program-b") {
		t.Errorf("with PILLBOX_TEST_ALL=1: failed %q, skipped %q; want a failure that names both programs", f.failed, f.skipped)
	}
}

// A server whose source has dried up is skipped with the reason, also where
// nothing else may be.
func TestServerThatSetUpLeftOutIsSkipped(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("PILLBOX_CACHE", cache)
	ask := func(t testing.TB) { need.Server(t, "some", "Some 9") }
	for _, all := range []string{"", "1"} {
		t.Setenv("PILLBOX_TEST_ALL", all)
		if f := run(t, ask); (f.failed != "") != (all == "1") || (f.skipped != "") != (all == "") {
			t.Errorf("PILLBOX_TEST_ALL=%s, not left out: failed %q, skipped %q; want what Missing does", all, f.failed, f.skipped)
		}
	}
	if err := os.Mkdir(filepath.Join(cache, "left-out"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cache, "left-out", "some"), []byte("it is gone\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, all := range []string{"", "1"} {
		t.Setenv("PILLBOX_TEST_ALL", all)
		if f := run(t, ask); f.failed != "" || !strings.Contains(f.skipped, "Some 9, which set-up left out: it is gone") {
			t.Errorf("PILLBOX_TEST_ALL=%s, left out: failed %q, skipped %q; want a skip with the reason", all, f.failed, f.skipped)
		}
	}
}

func TestNodeTooOldIsMissing(t *testing.T) {
	for _, test := range []struct {
		version string
		suits   bool
	}{
		{"v18.20.4", false},
		{"v20.18.3", false},
		{"v20.19.0", true},
		{"v22.12.0", true},
		{"v100.0.0", true},
		{"", false},
		{"nonsense", false},
		{"v.", false},
	} {
		// A folder for each: the answer of a path is remembered.
		dir := t.TempDir()
		t.Setenv("PILLBOX_CACHE", filepath.Join(dir, "cache"))
		t.Setenv("PATH", dir)
		t.Setenv("PILLBOX_TEST_ALL", "")
		script := "#!/bin/sh\necho '" + test.version + "'\n"
		if err := os.WriteFile(filepath.Join(dir, "node"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		var got string
		f := run(t, func(t testing.TB) { got = need.Node(t) })
		if suits := f.skipped == "" && got == filepath.Join(dir, "node"); suits != test.suits {
			t.Errorf("Node() with version %q = %q, skipped %q; want it to suit: %v", test.version, got, f.skipped, test.suits)
		}
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv("HOME", "/h")
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("PILLBOX_CACHE", "")
	if got, want := need.CacheDir(), filepath.Join("/h", ".cache", "pillbox"); got != want {
		t.Errorf("CacheDir() = %q; want %q", got, want)
	}
	t.Setenv("XDG_CACHE_HOME", "/x")
	if got, want := need.CacheDir(), filepath.Join("/x", "pillbox"); got != want {
		t.Errorf("CacheDir() with XDG_CACHE_HOME = %q; want %q", got, want)
	}
	t.Setenv("PILLBOX_CACHE", "/p")
	if got, want := need.CacheDir(), "/p"; got != want {
		t.Errorf("CacheDir() with PILLBOX_CACHE = %q; want %q", got, want)
	}
}

// TestNPM installs a package that lies in the same folder, so that it needs
// npm but no network, from several goroutines at once.
func TestNPM(t *testing.T) {
	node := need.Node(t)
	need.Program(t, "npm")
	dir := t.TempDir()
	files := map[string]string{
		"package.json":      `{"name":"probe","version":"1.0.0","private":true}`,
		"package-lock.json": `{"name":"probe","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"probe","version":"1.0.0"}}}`,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cache := t.TempDir()
	t.Setenv("PILLBOX_CACHE", cache)
	var got [4]string
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() { got[i] = need.NPM(t, dir) })
	}
	wg.Wait()
	for i, path := range got {
		if path == "" || path != got[0] {
			t.Fatalf("NPM() of call %d = %q, of call 0 %q; want one folder for all", i, path, got[0])
		}
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "npm", "installing-*")); len(left) > 0 {
		t.Errorf("NPM() left %v behind", left)
	}
	work := t.TempDir()
	need.Link(t, got[0], work)
	cmd := exec.Command(node, "-e", `require("fs").readdirSync("node_modules")`)
	cmd.Dir = work
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("node does not see the linked node_modules: %v\n%s", err, out)
	}
}
