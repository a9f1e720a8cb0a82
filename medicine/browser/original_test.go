package browser_test

import (
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/pillboxgo/pillbox/internal/need"
)

// original serves what [buildOriginal] has built, beside [clientPage]: there is
// one address for both, since there is one origin that is trusted by default.
var original atomic.Pointer[string]

// serveOriginal serves the built client as the original's second server does:
// each path that is no file gets index.html. False means that nothing is built.
func serveOriginal(w http.ResponseWriter, r *http.Request) bool {
	dir := original.Load()
	if dir == nil {
		return false
	}
	file := filepath.Join(*dir, filepath.FromSlash(path.Clean("/"+r.URL.Path)))
	if info, err := os.Stat(file); err != nil || info.IsDir() {
		file = filepath.Join(*dir, "index.html")
	}
	http.ServeFile(w, r, file)
	return true
}

// buildOriginal builds the client that is written after the original one, by the
// Vite and the Svelte that the front end is built by. As in the original, the
// server's address becomes part of the build.
func buildOriginal(t *testing.T, s *server) {
	t.Helper()
	modules := need.NPM(t, "../web")
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/original")); err != nil {
		t.Fatal(err)
	}
	need.Link(t, modules, dir)
	cmd := exec.CommandContext(t.Context(), need.Node(t), filepath.Join("node_modules", "vite", "bin", "vite.js"), "build", "--logLevel", "warn")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "VITE_BASE_URL="+s.url)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("vite build: %v\n%s", err, out)
	}
	dist := filepath.Join(dir, "dist")
	original.Store(&dist)
	t.Cleanup(func() { original.Store(nil) })
}

// The original's client needs no change to work with this server: a Svelte
// application on the origin of its development server, which sends a pill without
// waiting for the answer, and JSON with the cookie to another port.
func TestOriginalClientBuiltUnchanged(t *testing.T) {
	t.Parallel()
	s := serve(t)
	buildOriginal(t, s)
	const (
		pills     = `all('[aria-label="Pills"] li').length`
		employees = `all('[aria-label="Employees"] li').map((e) => clean(e.textContent)).join(", ")`
	)
	t.Run("on the trusted origin", func(t *testing.T) {
		b := visit(t, trusted+"/")
		wait(b, "h1()", "Home")
		wait(b, employees, "Ilmer, Homer")
		b.click(`link("Pharmacy")`, 1)
		wait(b, "h1()", "Pharmacy")
		wait(b, employees, "Ilmer, Homer")
		for n := 1; n <= 3; n++ {
			b.click(fill, 1)
			b.wantCount("POST", "/pills", answered, n)
			b.wantCount("GET", "/pills", answered, 1+n)
		}
		b.click(fill, 10)
		b.wantCount("POST", "/pills", answered, 13)
		b.wantCount("GET", "/pills", answered, 14)
		s.wantStored(repeat("Ibuprofen", 13)...)
		// What it shows may be a pill behind, for want of an await, until it loads.
		b.open(trusted + "/pharmacy")
		wait(b, pills, 13)
		b.click(`link("About")`, 1)
		wait(b, "h1()", "About")
		b.wantNoProblem("the original client on " + trusted)

		own := b.another(s.url + "/pharmacy")
		wait(own, "shown()", 13)
	})
	for name, origin := range foreign(t) {
		t.Run(name, func(t *testing.T) {
			own := visit(t, s.url+"/pharmacy")
			own.click(fill, 1)
			wait(own, "shown()", 1)
			cookie := own.cookie(s.url)
			b := own.another(origin + "/pharmacy")
			wait(b, "h1()", "Pharmacy")
			b.click(fill, 2)
			b.wantCount("GET", "/employees", refused, 1)
			b.wantCount("GET", "/pills", refused, 3)
			b.wantCount("POST", "/pills", refused, 2)
			if got := get[string](b, employees); got != "" {
				t.Errorf("the page on %s reads %q; want nothing", origin, got)
			}
			if got := get[int](b, pills); got != 0 {
				t.Errorf("the page on %s shows %d pills; want none", origin, got)
			}
			if got := own.cookie(s.url); got != cookie {
				t.Errorf("%s has replaced the visitor's cookie", origin)
			}
			own.open(s.url + "/pharmacy")
			wait(own, "shown()", 1)
		})
	}
}
