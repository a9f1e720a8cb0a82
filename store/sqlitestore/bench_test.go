package sqlitestore_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

// The best of six runs, on two processors of a shared AMD EPYC, linux/amd64,
// Go 1.26.8, and a disk that takes 0.16 ms for an fsync (the cloud's usual disks
// take one to five):
//
//	go test -run '^$' -bench . -count 6 ./store/sqlitestore
//
//	Load 300 B                        8 µs       864 B    23 allocs
//	Load 1 kB                         9 µs      1568 B    23 allocs
//	Load 4 kB                        10 µs      4640 B    23 allocs
//	Load 100 kB                      69 µs    107053 B    23 allocs
//	Load 1 MiB                      734 µs   1049262 B    24 allocs
//	LoadParallel 1 kB                10 µs      1568 B    23 allocs
//	LoadBesideWriter 1 kB            13 µs      1596 B    24 allocs
//	LoadSlide 1 kB                   81 µs      3346 B    61 allocs
//	Update 300 B                    183 µs       643 B    29 allocs
//	Update 1 kB                     180 µs       643 B    29 allocs
//	Update 4 kB                     192 µs       643 B    29 allocs
//	Update 100 kB                   252 µs       645 B    29 allocs
//	Update 1 MiB                   2543 µs       685 B    29 allocs
//	Create 1 kB                     157 µs       577 B    29 allocs
//	Create 1 kB, bounded            206 µs      1233 B    62 allocs
//	PruneBatch of 128              3444 µs       385 B    21 allocs
//
// Writers that share a commit are why parallel updates of 1 kB cost less than
// single ones. The last column is the same with maxBatch set to 1.
//
//	UpdateParallel, 2 goroutines    157 µs     172 µs
//	UpdateParallel, 16               60 µs     237 µs
//	UpdateParallel, 128              30 µs     181 µs
//	UpdateParallel, 1000             27 µs     218 µs

// benchRecords returns how many records of a size a benchmark's database holds:
// enough that what is measured is not a tree of one page.
func benchRecords(size int) int { return min(20_000, 100_000_000/size) }

func benchID(i int) string {
	return fmt.Sprintf("%08x%s", uint32(i)*2654435761, strings.Repeat("x", 24))
}

func benchDeadline() time.Time { return time.Now().Add(time.Hour).Truncate(time.Millisecond) }

// benchStore returns a store with records of size bytes, their data, and a
// function that picks one of their ids.
func benchStore(b *testing.B, size int) (s *sqlitestore.Store, data []byte, id func() string) {
	s = open(b, temp(b))
	data = bytes.Repeat([]byte("x"), size)
	tx, err := s.DB().Begin()
	if err != nil {
		b.Fatal(err)
	}
	n := benchRecords(size)
	for i := range n {
		if _, err := tx.Exec("INSERT INTO sessions (id, deadline, data) VALUES (?, ?, ?)",
			benchID(i), benchDeadline().UnixMilli(), data); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	return s, data, func() string { return benchID(rand.IntN(n)) }
}

// What does a request that only reads its session wait for?
func BenchmarkLoad(b *testing.B) {
	ctx := context.Background()
	for _, size := range []int{300, 1000, 4000, 100_000, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, _, id := benchStore(b, size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Load(ctx, id(), session.Slide{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// And when all processors do it?
func BenchmarkLoadParallel(b *testing.B) {
	ctx := context.Background()
	s, _, id := benchStore(b, 1000)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Load(ctx, id(), session.Slide{}); err != nil {
				b.Error(err)
			}
		}
	})
}

// What does it cost when the deadline has to be moved?
func BenchmarkLoadSlide(b *testing.B) {
	ctx := context.Background()
	s, _, id := benchStore(b, 1000)
	to := benchDeadline()
	b.ReportAllocs()
	for b.Loop() {
		to = to.Add(time.Millisecond)
		if _, err := s.Load(ctx, id(), session.Slide{To: to}); err != nil {
			b.Fatal(err)
		}
	}
}

// What does a request that changes its session wait for, beside the Load?
func BenchmarkUpdate(b *testing.B) {
	ctx := context.Background()
	for _, size := range []int{300, 1000, 4000, 100_000, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s, data, id := benchStore(b, size)
			deadline := benchDeadline()
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Update(ctx, id(), data, data, deadline); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// How many changes a second do so many requests at the same time get through?
func BenchmarkUpdateParallel(b *testing.B) {
	ctx := context.Background()
	for _, goroutines := range []int{2, 16, 128, 1000} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			s, data, id := benchStore(b, 1000)
			deadline := benchDeadline()
			b.SetParallelism(goroutines / 2)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := s.Update(ctx, id(), data, data, deadline); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// What does a sign-in cost, with a bound on the user's sessions?
func BenchmarkCreate(b *testing.B) {
	ctx := context.Background()
	for name, owner := range map[string]session.Owner{
		"nobody":  {},
		"bounded": {User: "alice", Max: 5},
	} {
		b.Run(name, func(b *testing.B) {
			s, data, _ := benchStore(b, 1000)
			rec := session.Record{Data: data, Deadline: benchDeadline(), Owner: owner}
			rec.Owner.AsOf = time.Now()
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				if err := s.Create(ctx, fmt.Sprint("new", n), rec); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Are readers held up by a writer that never pauses?
func BenchmarkLoadBesideWriter(b *testing.B) {
	ctx := context.Background()
	s, data, id := benchStore(b, 1000)
	var stop atomic.Bool
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for deadline := benchDeadline(); !stop.Load(); {
			s.Update(ctx, id(), data, data, deadline)
		}
	}()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Load(ctx, id(), session.Slide{}); err != nil {
			b.Fatal(err)
		}
	}
	stop.Store(true)
	<-stopped
}

// How long does a writer wait for a batch of pruning?
func BenchmarkPruneBatch(b *testing.B) {
	ctx := context.Background()
	s, _, _ := benchStore(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		if _, err := s.DB().Exec("UPDATE sessions SET deadline = 1 WHERE seq IN" +
			" (SELECT seq FROM sessions WHERE deadline > 1 ORDER BY id LIMIT 128)"); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := s.Prune(ctx, 128); err != nil {
			b.Fatal(err)
		}
	}
}
