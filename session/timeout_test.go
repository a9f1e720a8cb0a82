package session_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// A waiting store does to a call's context what drivers do, and then answers.
type waiting struct {
	session.Store
	load func(ctx context.Context) error
}

func (s waiting) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	if err := s.load(ctx); err != nil {
		return session.Record{}, err
	}
	return s.Store.Load(ctx, id, slide)
}

// read sends a request that reads, and returns what that came to.
func read(ctx context.Context, m *session.Manager, cookie string) (err error) {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", nil)
	r.Header.Set("Cookie", cookie)
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err = pills.Get(session.From(r.Context()))
	})).ServeHTTP(httptest.NewRecorder(), r)
	return err
}

// TestStoreTimeout has calls wait for the end of their time in all the ways that
// there are for it.
func TestStoreTimeout(t *testing.T) {
	const limit = time.Second
	waits := map[string]func(ctx context.Context) error{
		"Done": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
		"derived context": func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			<-ctx.Done()
			return ctx.Err()
		},
		"AfterFunc": func(ctx context.Context) error {
			called := make(chan struct{})
			context.AfterFunc(ctx, func() { close(called) })
			<-called
			return ctx.Err()
		},
		"cause": func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			<-ctx.Done()
			return context.Cause(ctx)
		},
		"clock": func(ctx context.Context) error {
			for ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			return ctx.Err()
		},
	}
	parents := []struct {
		name   string
		parent func(t *testing.T) context.Context
		takes  time.Duration
		want   error
	}{
		{"none", func(t *testing.T) context.Context { return context.Background() }, limit, context.DeadlineExceeded},
		{"later deadline", func(t *testing.T) context.Context {
			ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
			t.Cleanup(cancel)
			return ctx
		}, limit, context.DeadlineExceeded},
		{"earlier deadline", func(t *testing.T) context.Context {
			ctx, cancel := context.WithTimeout(context.Background(), limit/2)
			t.Cleanup(cancel)
			return ctx
		}, limit / 2, context.DeadlineExceeded},
		{"cancelled meanwhile", func(t *testing.T) context.Context {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(limit/4, cancel)
			return ctx
		}, limit / 4, context.Canceled},
		{"cancelled before", func(t *testing.T) context.Context {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx
		}, 0, context.Canceled},
	}
	for name, wait := range waits {
		for _, p := range parents {
			t.Run(name+", "+p.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					below := memstore.New(memstore.Options{})
					cookie := begin(t, newManager(t, session.Config{Store: below}))
					m := newManager(t, session.Config{Store: waiting{below, wait}, StoreTimeout: limit, Logger: slog.New(slog.DiscardHandler)})
					for range 3 { // and what one has left behind does not hurt the next
						start := time.Now()
						err := read(p.parent(t), m, cookie)
						if !errors.Is(err, p.want) {
							t.Errorf("error %v; want %v", err, p.want)
						}
						if took := time.Since(start); took < p.takes || took > p.takes+2*time.Millisecond {
							t.Errorf("took %v; want %v", took, p.takes)
						}
					}
				})
			})
		}
	}
}

// Of many calls that wait at the same time each has its own time, and what is
// derived from a call that has returned is cancelled.
func TestStoreTimeoutOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = time.Second
		below := memstore.New(memstore.Options{})
		cookie := begin(t, newManager(t, session.Config{Store: below}))
		var mu sync.Mutex
		var derived []context.Context
		m := newManager(t, session.Config{StoreTimeout: limit, Logger: slog.New(slog.DiscardHandler), Store: waiting{below, func(ctx context.Context) error {
			begun := time.Now()
			child, cancel := context.WithCancel(ctx)
			mu.Lock()
			derived = append(derived, child)
			mu.Unlock()
			t.Cleanup(cancel)
			// Some return in time; the others stay for the whole of it.
			takes := time.Duration(rand.IntN(1500)) * time.Millisecond
			select {
			case <-time.After(takes):
				if takes > limit {
					t.Errorf("a call was still under way after %v", takes)
				}
				return nil
			case <-ctx.Done():
				if took := time.Since(begun); took != limit {
					t.Errorf("a call's context was done after %v; want %v", took, limit)
				}
				return ctx.Err()
			}
		}}})
		var all sync.WaitGroup
		for i := range 300 {
			all.Go(func() {
				time.Sleep(time.Duration(i*7%500) * time.Millisecond)
				if err := read(context.Background(), m, cookie); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		synctest.Wait()
		for _, ctx := range derived {
			if ctx.Err() == nil {
				t.Fatal("a context is still good whose call has returned")
			}
		}
	})
}
