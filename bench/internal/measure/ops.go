package measure

import (
	"runtime"
	"syscall"
	"time"
)

// Ops calls op for about d on one goroutine and returns "ns/op", "cpu ns/op",
// "allocs/op" and "B/op". CPU is the whole process's, so what the garbage
// collector does on another core counts. It ends at op's first error.
//
// The clock is read once a batch, not once an op: reading it costs as much as a
// short op does.
func Ops(d time.Duration, op func() error) (Figures, error) {
	var before, after runtime.MemStats
	ops := 0
	runtime.ReadMemStats(&before)
	cpu, start := CPU(), time.Now()
	var took time.Duration
	for batch := 1; took < d; {
		for range batch {
			if err := op(); err != nil {
				return nil, err
			}
		}
		ops += batch
		took = time.Since(start)
		// Up to a tenth of the time in one batch, doubling at most.
		batch = min(2*batch, max(1, int(float64(ops)*float64(d)/10/float64(max(took, 1)))))
	}
	cpu = CPU() - cpu
	runtime.ReadMemStats(&after)
	n := float64(ops)
	return Figures{
		"ns/op":     float64(took) / n,
		"cpu ns/op": float64(cpu) / n,
		"allocs/op": float64(after.Mallocs-before.Mallocs) / n,
		"B/op":      float64(after.TotalAlloc-before.TotalAlloc) / n,
	}, nil
}

// CPU returns the processor time, user and system, that this process has used.
func CPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // unheard of for RUSAGE_SELF
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
