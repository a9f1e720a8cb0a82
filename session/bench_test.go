package session_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

type mapStore struct {
	mu sync.Mutex
	m  map[string]session.Record
}

func (s *mapStore) Load(_ context.Context, id string, slide session.Slide) (session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.m[id]
	if !ok {
		return r, session.ErrNotFound
	}
	if slide.Moves(r.Deadline) {
		r.Deadline = slide.To
		s.m[id] = r
	}
	r.Data = append([]byte(nil), r.Data...)
	return r, nil
}
func (s *mapStore) Create(_ context.Context, id string, r session.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[id] = r
	return nil
}
func (s *mapStore) Update(_ context.Context, id string, old, data []byte, d time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.m[id]
	if !ok {
		return session.ErrNotFound
	}
	if string(r.Data) != string(old) {
		return session.ErrConflict
	}
	r.Data, r.Deadline = append([]byte(nil), data...), d
	s.m[id] = r
	return nil
}
func (s *mapStore) Touch(context.Context, string, time.Time) error      { return nil }
func (s *mapStore) Delete(_ context.Context, id string, _ []byte) error { delete(s.m, id); return nil }

// discard is a ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

const count session.Key[int] = "count"

func benchmarkRequest(b *testing.B, keys int, handler http.HandlerFunc) {
	st := &mapStore{m: map[string]session.Record{}}
	m, err := session.New(session.Config{Store: st, Secrets: []string{"0123456789abcdef0123456789abcdef"}})
	if err != nil {
		b.Fatal(err)
	}
	rec := httptest.NewRecorder()
	setup := httptest.NewRequest("GET", "http://localhost/", nil)
	m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		for i := range keys {
			if err := session.Key[string](fmt.Sprintf("key%d", i)).Set(s, strings.Repeat("x", 20)); err != nil {
				b.Fatal(err)
			}
		}
		if err := count.Set(s, 1); err != nil {
			b.Fatal(err)
		}
	})).ServeHTTP(rec, setup)
	cookie, _, _ := strings.Cut(rec.Header().Get("Set-Cookie"), ";")
	h := m.Handler(handler)
	b.ReportAllocs()
	w := discard{http.Header{}}
	r := httptest.NewRequest("GET", "http://localhost/", nil)
	r.Header.Set("Cookie", cookie)
	for b.Loop() {
		clear(w.h)
		h.ServeHTTP(w, r)
	}
}

func BenchmarkUntouched(b *testing.B) {
	benchmarkRequest(b, 0, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(200) })
}

func BenchmarkRead(b *testing.B) {
	for _, keys := range []int{0, 9} {
		b.Run(fmt.Sprint(keys+1), func(b *testing.B) {
			benchmarkRequest(b, keys, func(w http.ResponseWriter, r *http.Request) {
				if n, err := count.Get(session.From(r.Context())); n != 1 || err != nil {
					b.Fatal(n, err)
				}
				w.WriteHeader(200)
			})
		})
	}
}

func BenchmarkChange(b *testing.B) {
	n := 0
	benchmarkRequest(b, 0, func(w http.ResponseWriter, r *http.Request) {
		n++
		if err := count.Set(session.From(r.Context()), n); err != nil {
			b.Fatal(err)
		}
		w.WriteHeader(200)
	})
}
