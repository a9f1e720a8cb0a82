package memstore_test

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// manyIDs makes the same ids again and again, so that they need not be kept
// where the memory of the store is measured.
type manyIDs struct{ random *rand.ChaCha8 }

func newManyIDs(seed byte) manyIDs { return manyIDs{rand.NewChaCha8([32]byte{seed})} }

func (ids manyIDs) next() string {
	var id [24]byte
	ids.random.Read(id[:])
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// resident returns how many bytes of memory the system says that the process
// has ("VmRSS") or had at most ("VmHWM"), and 0 on a system that says nothing.
func resident(what string) int64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range bytes.Lines(status) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == what+":" {
			n, _ := strconv.ParseInt(string(f[1]), 10, 64)
			return n << 10
		}
	}
	return 0
}

// Do ten million small sessions fit in 2 GiB, through creation, a change to
// each, and a quarter that goes while another comes? A process with that much
// memory sets GOMEMLIMIT to it; so does this, before anything is created, and
// looks at what the system gave it. And does Load cost more than the caches of
// the processor say?
//
//	go test -run=- -bench=TenMillion -benchtime=1x ./store/memstore
//
// On two cores of an AMD EPYC, which others used too:
//
//	created                        111 B/session in the heap
//	each changed                   121
//	a quarter replaced             126
//	the process, at most           1960 MiB, garbage included
//	Load, of 10 million at random  1.4 µs: four misses of the cache and of the TLB
//	after all of them died         48 MiB in the process
func BenchmarkTenMillion(b *testing.B) {
	const n, limit = 10_000_000, 2 << 30
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit))
	ctx, from, to := b.Context(), small("Ibuprofen"), make([][]byte, 15)
	for i := range to {
		to[i] = small("Acetylcysteine"[:i])
	}
	check := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		before := heapInUse()
		report := func(when string) {
			b.ReportMetric(float64(heapInUse()-before)/n, "B/session-"+when)
		}
		s := memstore.New(memstore.Options{MaxSessions: -1, MaxBytes: -1})
		deadline := time.Now().Add(time.Hour)
		for ids := newManyIDs(1); ; {
			if held, _ := s.Held(); held == n {
				break
			}
			check(s.Create(ctx, ids.next(), session.Record{Data: from, Deadline: deadline}))
		}
		report("created")
		ids := newManyIDs(1)
		for i := range n {
			check(s.Update(ctx, ids.next(), from, to[i%len(to)], deadline))
		}
		report("changed")
		old, other := newManyIDs(1), newManyIDs(2)
		for i := range n {
			if id := old.next(); i%4 == 0 {
				check(s.Delete(ctx, id, nil))
				check(s.Create(ctx, other.next(), session.Record{Data: from, Deadline: deadline}))
			}
		}
		report("churned")
		other = newManyIDs(2)
		const loads = n / 4
		start := time.Now()
		for range loads {
			_, err := s.Load(ctx, other.next(), session.Slide{})
			check(err)
		}
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/loads, "ns/Load")
		peak := resident("VmHWM")
		b.ReportMetric(float64(peak)/(1<<20), "MiB-resident-at-most")
		if peak > limit {
			b.Errorf("%d MiB are resident; want at most %d", peak>>20, limit>>20)
		}
		var held []time.Duration
		s.SweepSlots(deadline.Add(time.Hour), func(d time.Duration) { held = append(held, d) })
		slices.Sort(held)
		b.ReportMetric(float64(held[len(held)*999/1000].Microseconds()), "µs-99.9%-of-sweep-steps")
		debug.FreeOSMemory() // what the scavenger does within some minutes
		b.ReportMetric(float64(resident("VmRSS"))/(1<<20), "MiB-resident-after")
		runtime.KeepAlive(s)
		s.Close()
	}
}
