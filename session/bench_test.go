package session_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// What does a session add to a request? Each benchmark sends one request after
// the other to a handler behind the middleware, over memstore; the difference to
// Bare is the session's. Nothing is left out: the cookie is parsed and its
// signature checked each time.
//
//	go test -run '^$' -bench Request ./session

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

const count session.Key[int] = "count"

// benchmarkRequest sends requests that carry the cookie of a session with this
// many values.
func benchmarkRequest(b *testing.B, config session.Config, values int, handler http.HandlerFunc) {
	config.Store = memstore.New(memstore.Options{})
	m := newManager(b, config)
	cookie := serve(m, "", func(s *session.Session) {
		if err := count.Set(s, 1); err != nil {
			b.Fatal(err)
		}
		for i := range values - 1 {
			if err := session.Key[string](fmt.Sprint("value", i)).Set(s, "twenty bytes of data"); err != nil {
				b.Fatal(err)
			}
		}
	})
	send(b, m.Handler(handler), cookie)
}

// send measures requests with these Cookie headers.
func send(b *testing.B, handler http.Handler, cookies ...string) {
	b.ReportAllocs()
	w := discard{http.Header{}}
	r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
	r.Header["Cookie"] = cookies
	for b.Loop() {
		clear(w.header)
		handler.ServeHTTP(w, r)
	}
}

func empty(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func BenchmarkRequest(b *testing.B) {
	b.Run("Bare", func(b *testing.B) { send(b, http.HandlerFunc(empty)) })

	// A live cookie, and a handler that does not ask for the session.
	b.Run("Untouched", func(b *testing.B) { benchmarkRequest(b, session.Config{}, 1, empty) })

	read := func(w http.ResponseWriter, r *http.Request) {
		if n, err := count.Get(session.From(r.Context())); n != 1 || err != nil {
			b.Fatal(n, err)
		}
		w.WriteHeader(http.StatusOK)
	}
	// One value read, of one and of ten: those not asked for cost little.
	b.Run("Read", func(b *testing.B) { benchmarkRequest(b, session.Config{}, 1, read) })
	b.Run("ReadOneOfTen", func(b *testing.B) { benchmarkRequest(b, session.Config{}, 10, read) })

	// From a store that waits for somebody else, and so for the end of the call's
	// time as well.
	b.Run("ReadWaiting", func(b *testing.B) {
		below := memstore.New(memstore.Options{})
		cookie := serve(newManager(b, session.Config{Store: below}), "", func(s *session.Session) { _ = count.Set(s, 1) })
		m := newManager(b, session.Config{Store: waiting{below, func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			default:
				return nil
			}
		}}})
		send(b, m.Handler(http.HandlerFunc(read)), cookie)
	})

	n := 0
	b.Run("Change", func(b *testing.B) {
		benchmarkRequest(b, session.Config{}, 1, func(w http.ResponseWriter, r *http.Request) {
			n++
			if err := count.Set(session.From(r.Context()), n); err != nil {
				b.Fatal(err)
			}
			w.WriteHeader(http.StatusOK)
		})
	})
	b.Run("Update", func(b *testing.B) {
		benchmarkRequest(b, session.Config{}, 1, func(w http.ResponseWriter, r *http.Request) {
			if _, err := count.Update(session.From(r.Context()), func(n int) int { return n + 1 }); err != nil {
				b.Fatal(err)
			}
			w.WriteHeader(http.StatusOK)
		})
	})
	b.Run("New", func(b *testing.B) {
		m := newManager(b, session.Config{Store: memstore.New(memstore.Options{MaxSessions: -1})})
		send(b, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := count.Set(session.From(r.Context()), 1); err != nil {
				b.Fatal(err)
			}
			w.WriteHeader(http.StatusOK)
		})))
	})

	// With data sealed and ids hashed.
	sealed := session.Config{EncryptionKeys: [][]byte{[]byte("a key of the tests with 32 bytes")}, HashIDs: true}
	b.Run("ReadSealed", func(b *testing.B) { benchmarkRequest(b, sealed, 1, read) })
}

// What does an attacker's request cost?
func BenchmarkRequestHostile(b *testing.B) {
	handler := func(b *testing.B) http.Handler {
		m := newManager(b, session.Config{Store: memstore.New(memstore.Options{})})
		return m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ok, err := count.Has(session.From(r.Context())); ok || err != nil {
				b.Fatal(ok, err)
			}
			w.WriteHeader(http.StatusOK)
		}))
	}
	forged := "__Host-session=s%3A" + strings.Repeat("a", 32) + "." + strings.Repeat("A", 43)
	b.Run("OneForgedSignature", func(b *testing.B) { send(b, handler(b), forged) })
	b.Run("ThousandOfOurCookies", func(b *testing.B) { send(b, handler(b), strings.Repeat(forged+"; ", 1000)) })
	b.Run("64KBOfOtherCookies", func(b *testing.B) { send(b, handler(b), strings.Repeat("a=b; ", 64<<10/5)) })
	b.Run("64KBInOneCookie", func(b *testing.B) { send(b, handler(b), "__Host-session=s%3A"+strings.Repeat("a", 64<<10)) })
	b.Run("SessionAtItsLimit", func(b *testing.B) {
		m := newManager(b, session.Config{Store: memstore.New(memstore.Options{})})
		cookie := serve(m, "", func(s *session.Session) {
			if err := session.Key[string]("big").Set(s, strings.Repeat("x", 250<<10)); err != nil {
				b.Fatal(err)
			}
			if err := count.Set(s, 1); err != nil {
				b.Fatal(err)
			}
		})
		send(b, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if n, err := count.Get(session.From(r.Context())); n != 1 || err != nil {
				b.Fatal(n, err)
			}
			w.WriteHeader(http.StatusOK)
		})), cookie)
	})
}
