package wire

import (
	"sync"
	"time"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

const loopbackNote = "Each peer is a process of its own; the processor time is what it says of itself, so that the load " +
	"generator's does not count. Each is asked in turn for a page without and with its session over the same connections: " +
	"\"added\" is the difference, over its own bare server (net/http, fiber, gin, Express)."

// added is what a session adds to a request's processor time.
const added = "added cpu ns/op"

func loopbackRows() []measure.Row {
	aim := []measure.Limit{{
		Text: "adds at most a tenth of what scs (gob) adds, by the medians",
		// The least of several differences is that of the luckiest pass.
		Value: func(s measure.Summary) float64 {
			return s.Statistic(measure.Pillbox, added).Median / s.Statistic("scs (gob)", added).Median
		},
		Most: 0.1,
	}}
	row := func(name string, with, bare func(*visitor) error) measure.Row {
		return measure.Row{
			Name: name, Note: loopbackNote, Key: added, Aim: aim,
			Open: on(func(s *stage) (all []measure.Contender) {
				at := setting{store: "memory"}
				for _, p := range peers {
					if !p.keeps("memory") {
						continue
					}
					all = append(all, s.loopback(s.child(p.name, at), with, bare))
				}
				return append(all, s.loopback(s.express("express-session", at), with, bare))
			}),
		}
	}
	return []measure.Row{
		row("HTTP over loopback, read, memory", (*visitor).read, (*visitor).bareGet),
		row("HTTP over loopback, write, memory", (*visitor).write, (*visitor).barePost),
	}
}

// alternations is how often a pass changes between the two kinds of request.
const alternations = 10

// loopback measures what a session adds.
func (s *stage) loopback(c *child, with, bare func(*visitor) error) measure.Contender {
	s.Helper()
	visitors := s.visitors(c, 8)
	return measure.Contender{Name: c.title, Run: func(d time.Duration) (measure.Figures, error) {
		var cpu [2]time.Duration
		var ops [2]int
		var took time.Duration
		for i := range 2 * alternations {
			kind, do := i%2, with
			if i%2 == 1 {
				do = bare
			}
			used, n, wall, err := c.load(visitors, d/(2*alternations), do)
			if err != nil {
				return nil, err
			}
			cpu[kind] += used
			ops[kind] += n
			if kind == 0 {
				took += wall
			}
		}
		whole, own := float64(cpu[0])/float64(ops[0]), float64(cpu[1])/float64(ops[1])
		return measure.Figures{
			added: whole - own, "cpu ns/op": whole, "bare cpu ns/op": own,
			"ops/s": float64(ops[0]) / took.Seconds(),
		}, nil
	}}
}

// load has all visitors do something again and again for about d, and returns
// what that cost the child and how often it was done.
func (c *child) load(visitors []*visitor, d time.Duration, do func(*visitor) error) (used time.Duration, ops int, took time.Duration, err error) {
	before, err := c.used()
	if err != nil {
		return 0, 0, 0, err
	}
	start := time.Now()
	ops, err = together(visitors, func(v *visitor) (n int, err error) {
		for n == 0 || time.Since(start) < d {
			if err := do(v); err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	})
	took = time.Since(start)
	if err != nil {
		return 0, 0, 0, err
	}
	after, err := c.used()
	return after - before, ops, took, err
}

// together does something for each of all at the same time, and returns the sum
// of the counts and the first error.
func together[T any](all []T, do func(T) (int, error)) (sum int, err error) {
	var group sync.WaitGroup
	var mu sync.Mutex
	for _, one := range all {
		group.Go(func() {
			n, failed := do(one)
			mu.Lock()
			defer mu.Unlock()
			sum += n
			if err == nil {
				err = failed
			}
		})
	}
	group.Wait()
	return sum, err
}
