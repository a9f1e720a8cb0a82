package sqlitestore_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

// benchRecords is how many records a benchmark's database holds, so that what
// is measured is not a tree of one page.
const benchRecords = 20_000

func benchID(i int) string {
	return fmt.Sprintf("%08x%s", uint32(i)*2654435761, strings.Repeat("x", 24))
}

func benchDeadline() time.Time { return time.Now().Add(time.Hour).Truncate(time.Millisecond) }

// benchStore returns a store with benchRecords records of size bytes.
func benchStore(b *testing.B, size int) (*sqlitestore.Store, []byte) {
	s := open(b, temp(b))
	data := bytes.Repeat([]byte("x"), size)
	tx, err := s.DB().Begin()
	if err != nil {
		b.Fatal(err)
	}
	for i := range benchRecords {
		if _, err := tx.Exec("INSERT INTO sessions (id, deadline, data) VALUES (?, ?, ?)",
			benchID(i), benchDeadline().UnixMilli(), data); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	return s, data
}

// What does a request that only reads its session wait for?
func BenchmarkLoad(b *testing.B) {
	for _, size := range []int{300, 1000, 4000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, _ := benchStore(b, size)
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Load(ctx, benchID(rand.IntN(benchRecords)), session.Slide{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// And when all processors do it?
func BenchmarkLoadParallel(b *testing.B) {
	s, _ := benchStore(b, 1000)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Load(b.Context(), benchID(rand.IntN(benchRecords)), session.Slide{}); err != nil {
				b.Error(err)
			}
		}
	})
}

// What does it cost when the deadline has to be moved?
func BenchmarkLoadSlide(b *testing.B) {
	s, _ := benchStore(b, 1000)
	to := benchDeadline()
	b.ReportAllocs()
	for b.Loop() {
		to = to.Add(time.Millisecond)
		if _, err := s.Load(b.Context(), benchID(rand.IntN(benchRecords)), session.Slide{To: to}); err != nil {
			b.Fatal(err)
		}
	}
}

// What does a request that changes its session wait for, beside the Load?
func BenchmarkUpdate(b *testing.B) {
	for _, size := range []int{300, 1000, 4000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, data := benchStore(b, size)
			deadline := benchDeadline()
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Update(b.Context(), benchID(rand.IntN(benchRecords)), data, data, deadline); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// How many changes a second do so many requests at the same time get through?
func BenchmarkUpdateParallel(b *testing.B) {
	for _, goroutines := range []int{2, 16, 128, 1000} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			s, data := benchStore(b, 1000)
			deadline := benchDeadline()
			b.SetParallelism(goroutines / 2)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := s.Update(b.Context(), benchID(rand.IntN(benchRecords)), data, data, deadline); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// What does a sign-in cost, with a bound on the user's sessions?
func BenchmarkCreate(b *testing.B) {
	for name, owner := range map[string]session.Owner{
		"nobody":  {},
		"bounded": {User: "alice", Max: 5},
	} {
		b.Run(name, func(b *testing.B) {
			s, data := benchStore(b, 1000)
			rec := session.Record{Data: data, Deadline: benchDeadline(), Owner: owner}
			rec.Owner.AsOf = time.Now()
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				if err := s.Create(b.Context(), fmt.Sprint("new", n), rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Are readers held up by a writer that never pauses?
func BenchmarkLoadBesideWriter(b *testing.B) {
	s, data := benchStore(b, 1000)
	var stop atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for deadline := benchDeadline(); !stop.Load(); {
			s.Update(b.Context(), benchID(rand.IntN(benchRecords)), data, data, deadline)
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Load(b.Context(), benchID(rand.IntN(benchRecords)), session.Slide{}); err != nil {
			b.Fatal(err)
		}
	}
	stop.Store(true)
	<-stopped
}

// How long does a writer wait for a batch of pruning?
func BenchmarkPruneBatch(b *testing.B) {
	s, _ := benchStore(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if _, err := s.DB().Exec("UPDATE sessions SET deadline = 1 WHERE seq IN" +
			" (SELECT seq FROM sessions WHERE deadline > 1 ORDER BY id LIMIT 128)"); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := s.Prune(b.Context(), 128); err != nil {
			b.Fatal(err)
		}
	}
}
