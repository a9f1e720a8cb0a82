package pgstore_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// What does each method cost that a request needs, with one connection and with
// sixteen? The records have 330 bytes, and there are a thousand of them.
func BenchmarkStore(b *testing.B) {
	data := []byte(`{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"pad":"` + strings.Repeat("x", 244) + `"}`)
	var moved atomic.Int64
	for _, method := range []struct {
		name string
		do   func(b *testing.B, s *pgstore.Store, id string) error
	}{
		{"Load", func(b *testing.B, s *pgstore.Store, id string) error {
			return second(s.Load(b.Context(), id, session.Slide{To: time.Now().Add(time.Hour), Before: time.Now()}))
		}},
		{"Load that moves", func(b *testing.B, s *pgstore.Store, id string) error {
			return second(s.Load(b.Context(), id, session.Slide{To: time.Now().Add(time.Hour + time.Duration(moved.Add(1))*time.Millisecond)}))
		}},
		{"Update", func(b *testing.B, s *pgstore.Store, id string) error {
			return s.Update(b.Context(), id, data, data, time.Now().Add(time.Hour))
		}},
		{"Create and Delete", func(b *testing.B, s *pgstore.Store, _ string) error {
			id := fmt.Sprint("new", moved.Add(1))
			err := s.Create(b.Context(), id, session.Record{Data: data, Deadline: time.Now().Add(time.Hour)})
			if err == nil {
				err = s.Delete(b.Context(), id, nil)
			}
			return err
		}},
	} {
		for _, connections := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d connections", method.name, connections), func(b *testing.B) {
				pool := connect(b, with(b, shared(b), "pool_max_conns", fmt.Sprint(connections)))
				s := migrated(b, pool)
				for i := range 1000 {
					if err := s.Create(b.Context(), fmt.Sprint("id", i), session.Record{Data: data, Deadline: time.Now().Add(time.Hour)}); err != nil {
						b.Fatal(err)
					}
				}
				var worker atomic.Int64
				b.SetParallelism(connections) // for each processor: enough to use them all
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					// Each has records of its own, so that they do not wait
					// for each other's commits.
					n := int(worker.Add(1)) * 31
					for pb.Next() {
						n += 64
						if err := method.do(b, s, fmt.Sprint("id", n%1000)); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}
