package storeurl_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/internal/storeurl"
	"github.com/pillboxgo/pillbox/session"
)

const visits session.Key[int] = "visits"

// What does a request cost on each store, all of it but the network between
// browser and application? One request after the other, and sixteen visitors at
// a time; the server runs on the same machine. The README's table of stores is
// from here.
func BenchmarkRequest(b *testing.B) {
	stores := []struct{ name, url string }{
		{"memory", "memory:"},
		{"sqlite", "sqlite:" + filepath.Join(b.TempDir(), "sessions.db")},
	}
	for _, kind := range remoteKinds {
		stores = append(stores, struct{ name, url string }{string(kind), ""})
	}
	for _, store := range stores {
		b.Run(store.name, func(b *testing.B) {
			url := store.url
			if url == "" {
				url = remote(b, servers.Kind(store.name))
			}
			switch servers.Kind(store.name) {
			case servers.Redis7, servers.RedisCluster, servers.RedisSentinel, servers.Postgres:
				url += "&watch=false" // as the stores' own options have it
			}
			opened, err := storeurl.Open(b.Context(), url, slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			defer opened.Close()
			sessions, err := session.New(session.Config{
				Store:   opened.Store,
				Secrets: []string{"a secret that signs in benchmarks"},
				Logger:  slog.New(slog.DiscardHandler),
			})
			if err != nil {
				b.Fatal(err)
			}
			handler := sessions.Handler(http.HandlerFunc(serveVisits))
			for _, path := range []string{"/read", "/change"} {
				b.Run(path[1:]+"/alone", func(b *testing.B) {
					v := newVisitor(b, handler)
					for b.Loop() {
						v.visit(path)
					}
				})
				b.Run(path[1:]+"/16", func(b *testing.B) {
					b.SetParallelism(8) // times two processors
					b.RunParallel(func(pb *testing.PB) {
						v := newVisitor(b, handler)
						for pb.Next() {
							v.visit(path)
						}
					})
				})
			}
		})
	}
}

func serveVisits(w http.ResponseWriter, r *http.Request) {
	s := session.From(r.Context())
	var n int
	var err error
	if r.URL.Path == "/change" {
		n, err = visits.Update(s, func(n int) int { return n + 1 })
	} else {
		n, err = visits.Get(s)
	}
	if err != nil {
		http.Error(w, err.Error(), session.Status(err))
		return
	}
	fmt.Fprint(w, n)
}

// A visitor has a session.
type visitor struct {
	b       *testing.B
	handler http.Handler
	cookie  string
}

func newVisitor(b *testing.B, handler http.Handler) *visitor {
	v := &visitor{b: b, handler: handler}
	v.cookie, _, _ = strings.Cut(v.visit("/change").Header().Get("Set-Cookie"), ";")
	return v
}

func (v *visitor) visit(path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "https://shop.example"+path, nil)
	if v.cookie != "" {
		r.Header.Set("Cookie", v.cookie)
	}
	w := httptest.NewRecorder()
	v.handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		v.b.Errorf("%s = %d %s", path, w.Code, w.Body)
	}
	return w
}
