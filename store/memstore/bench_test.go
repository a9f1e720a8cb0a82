package memstore_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// Measured with Go 1.26 on two cores of an AMD EPYC that were shared with other
// work: the least of many short runs, as
//
//	GOGC=1000 go test -run=- -bench=. -benchtime=2000x -count=300 ./store/memstore
//
// gives it. About 55 ns of each are for asking what time it is.
//
//	Load, of 1 session             127 ns   1 allocation, the data
//	Load, of 1000                  147 ns   1
//	Load, of a million             508 ns   1, and misses of the cache
//	Load, on both cores            163 ns   1, per core
//	Update, same length            152 ns   0
//	Update, another length         167 ns   0
//	Create and Delete              372 ns   2
//	Create in a full store         4.2 µs   1
//	memory of a million            116 B/session, 131 after changes and churn
//
// A Load that also waits for the garbage collector of a small heap takes twice
// as long; that is the price of the one allocation.

// small is a session as applications have by the million.
func small(pill string) []byte {
	return fmt.Appendf(nil, `{"cookie":{"originalMaxAge":null,"expires":null,"secure":true,"httpOnly":true,"path":"/","sameSite":"lax"},`+
		`"__pillbox":{"created":1763900000000},"pills":[%q]}`, pill)
}

// randomID returns an id as the Manager makes them.
func randomID() string {
	var id [24]byte
	rand.Read(id[:])
	return base64.RawURLEncoding.EncodeToString(id[:])
}

func fill(tb testing.TB, s *memstore.Store, n int, life time.Duration) []string {
	tb.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = randomID()
		err := s.Create(context.Background(), ids[i], session.Record{Data: small("Ibuprofen"), Deadline: time.Now().Add(life)})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return ids
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// What does Load cost when the record is in the cache of the processor, and
// what when it is one of a million?
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1, 1000, 1_000_000} {
		b.Run(fmt.Sprint("sessions=", n), func(b *testing.B) {
			s := memstore.New(memstore.Options{})
			defer s.Close()
			ids, i, ctx := fill(b, s, n, time.Hour), 0, context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Load(ctx, ids[i], session.Slide{}); err != nil {
					b.Fatal(err)
				}
				if i++; i == n {
					i = 0
				}
			}
		})
	}
}

// Does Load scale with cores? And if all of them load the same record?
func BenchmarkLoadParallel(b *testing.B) {
	for _, n := range []int{1, 10000} {
		b.Run(fmt.Sprint("sessions=", n), func(b *testing.B) {
			s := memstore.New(memstore.Options{})
			defer s.Close()
			ids, ctx := fill(b, s, n, time.Hour), context.Background()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if _, err := s.Load(ctx, ids[i*7919%n], session.Slide{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// What does a compare-and-swap cost, of the same length and of another?
func BenchmarkUpdate(b *testing.B) {
	for _, c := range []struct{ name, a, b string }{
		{"same length", "Ibuprofen", "Melatonin"},
		{"other length", "Ibuprofen", "Acetylsalicylic acid"},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := memstore.New(memstore.Options{})
			defer s.Close()
			ids, i, ctx := fill(b, s, 1000, time.Hour), 0, context.Background()
			from, to := small(c.a), small(c.b)
			deadline := time.Now().Add(time.Hour)
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Update(ctx, ids[i], from, to, deadline); err != nil {
					b.Fatal(err)
				}
				if i++; i == len(ids) {
					i = 0
					from, to = to, from
				}
			}
		})
	}
}

// What does a session cost from its creation to its end?
func BenchmarkCreateDelete(b *testing.B) {
	s := memstore.New(memstore.Options{})
	defer s.Close()
	fill(b, s, 1000, time.Hour)
	ids, i, ctx := make([]string, 4096), 0, context.Background()
	for i := range ids {
		ids[i] = randomID()
	}
	rec := session.Record{Data: small("Ibuprofen"), Deadline: time.Now().Add(time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		id := ids[i%len(ids)]
		if err := s.Create(ctx, id, rec); err != nil {
			b.Fatal(err)
		}
		if err := s.Delete(ctx, id, nil); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// What does Create cost in a store that is full, as in an attack?
func BenchmarkCreateFull(b *testing.B) {
	s := memstore.New(memstore.Options{MaxSessions: 100_000, OnEvict: func(int) {}, Logger: quiet})
	defer s.Close()
	fill(b, s, 100_000, time.Hour)
	ctx := context.Background()
	rec := session.Record{Data: small("Ibuprofen"), Deadline: time.Now().Add(time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Create(ctx, randomID(), rec); err != nil {
			b.Fatal(err)
		}
	}
}

// How much memory does one of a million small sessions take?
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		before := heapInUse()
		s := memstore.New(memstore.Options{})
		for range 1_000_000 {
			_ = s.Create(context.Background(), randomID(), session.Record{Data: small("Ibuprofen"), Deadline: time.Now().Add(time.Hour)})
		}
		b.ReportMetric(float64(heapInUse()-before)/1_000_000, "B/session")
		s.Close()
	}
}
