package crossorigin_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/crossorigin"
)

// discard is a response writer that costs next to nothing, so that what the
// benchmarks measure is the guard.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// BenchmarkHandler asks what the guard adds to a request: compare each row
// with bare, which is the same handler without it. Seen on two shared cores of
// an AMD EPYC, with Go 1.26; ratios count:
//
//	bare                   9 ns    0 allocations
//	same-origin-GET      129 ns    1 (Vary)
//	same-origin-POST     364 ns    1
//	listed-POST          400 ns    2
//	refused-POST         573 ns    5
//	preflight            807 ns    4
//	no-origins-POST      143 ns    1
//	hostile-64KB-origin  534 ns    5
func BenchmarkHandler(b *testing.B) {
	bare := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })
	g := newGuard(b, crossorigin.Config{Origins: []string{listed, "http://localhost:5173"}})
	preflight := request("OPTIONS", "cross-site", listed)
	preflight.Header.Set("Access-Control-Request-Method", "POST")
	preflight.Header.Set("Access-Control-Request-Headers", "content-type")
	for _, row := range []struct {
		name    string
		handler http.Handler
		r       *http.Request
	}{
		{"bare", bare, request("POST", "same-origin", "https://"+host)},
		{"same-origin-GET", g.Handler(bare), request("GET", "same-origin", "-")},
		{"same-origin-POST", g.Handler(bare), request("POST", "same-origin", "https://"+host)},
		{"listed-POST", g.Handler(bare), request("POST", "cross-site", listed)},
		{"refused-POST", g.Handler(bare), request("POST", "cross-site", "https://evil.com")},
		{"preflight", g.Handler(bare), preflight},
		{"no-origins-POST", newGuard(b, crossorigin.Config{}).Handler(bare), request("POST", "same-origin", "https://"+host)},
		{"hostile-64KB-origin", g.Handler(bare), request("POST", "cross-site", "https://"+strings.Repeat("a.", 32<<10))},
	} {
		b.Run(row.name, func(b *testing.B) {
			w := &discard{header: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				row.handler.ServeHTTP(w, row.r)
			}
		})
	}
}
