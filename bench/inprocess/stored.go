package inprocess

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

// stored makes a contender that starts n small sessions, each by a request of
// its own, tells what memory they take, and then reads some of them, picked at
// random.
func stored(impl implementation, name string, n int) measure.Contender {
	return measure.Contender{Name: name, Run: func(d time.Duration) (figures measure.Figures, err error) {
		const sample = 50_000 // enough to miss the processor's caches
		cookies := make([][]string, min(n, sample))
		before := heap()
		s, err := impl.open()
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		s.job().work, s.job().values = prepare, idle()
		start := time.Now()
		for i := range n {
			if err := s.call(nil); err != nil {
				return nil, err
			}
			// Spread over all, the last ones included.
			if i*len(cookies)/n != (i+1)*len(cookies)/n {
				cookies[i*len(cookies)/n] = []string{s.cookie()}
			}
		}
		took := time.Since(start)
		kept := heap()
		// A value that is not there is looked for in the session: the same
		// work for each of them, whose own value is the same.
		s.job().work = probe
		rnd := rand.New(rand.NewPCG(1, 2))
		// Filling takes much longer than reading, so the best of a few counts
		// in each pass.
		for range 5 {
			f, err := measure.Ops(d, func() error { return s.call(cookies[rnd.IntN(len(cookies))]) })
			if err != nil {
				return nil, err
			}
			if figures == nil || f["ns/op"] < figures["ns/op"] {
				figures = f
			}
		}
		var samples int64
		for _, c := range cookies {
			samples += int64(len(c[0])) + 16 + 8
		}
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		figures["B/session"] = float64(kept-before-samples) / float64(n)
		figures["create ns"] = float64(took) / float64(n)
		figures["process MiB"] = float64(m.Sys-m.HeapReleased) / (1 << 20)
		runtime.KeepAlive(cookies)
		return figures, nil
	}}
}

// heap returns the bytes in use once the garbage is collected.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the first one only finds what finalizers held
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// million is the number of sessions where the row's name says a million; a
// test has fewer.
func storedRows(million int) []measure.Row {
	at := func(impl implementation, n int) measure.Contender {
		return stored(impl, fmt.Sprintf("%s, %s", impl.name, grouped(n)), n)
	}
	few, many := at(pillbox, million/1000), at(pillbox, 10*million)
	return []measure.Row{
		{
			Name:   "1,000,000 small idle sessions in memory",
			Note:   "Heap in use after garbage collection, divided by their number. One list with one word in each, each started by a request of its own; gin has a quarter of a million, which take as long to start.",
			Key:    "B/session",
			Aim:    []measure.Limit{best(150, "B/session", "at most 150 B each")},
			Passes: 1, // the same each time
			Open: func() (list []measure.Contender, err error) {
				for _, impl := range []implementation{pillbox, scsGob, scsJSON, fiberV3} {
					list = append(list, stored(impl, impl.name, million))
				}
				return append(list, stored(ginMem, ginMem.name, million/4)), nil
			},
		},
		{
			Name: "cost per request, by the number of stored sessions",
			Note: "Sessions are picked at random. What grows is the price of memory that is in none of the processor's caches.",
			Key:  "ns/op",
			Aim: []measure.Limit{
				most(2, "10,000,000 cost at most twice what 1,000 do", func(s measure.Summary) float64 { return s.Ratio(many.Name, few.Name, "ns/op") }),
				most(2048, "10,000,000 fit in 2 GiB", func(s measure.Summary) float64 { return s.Best(many.Name, "process MiB") }),
			},
			Passes: 1,
			Open: func() ([]measure.Contender, error) {
				return []measure.Contender{
					few, at(pillbox, million/10), at(pillbox, million), many,
					at(scsJSON, million/1000), at(scsJSON, million/10), at(scsJSON, million),
				}, nil
			},
		},
	}
}

// grouped returns a number with its digits in threes.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}
