package history

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
)

// A run is a whole history.
type run struct {
	ctx     context.Context
	cfg     Config
	handles []Handle
	model   porcupine.Model
	ticks   atomic.Int64
	tally   tally

	worlds  int // so far
	played  time.Duration
	checked time.Duration
	hardest atomic.Int64 // the longest search for an order, in nanoseconds
	partial atomic.Int64 // operations that began while another on the same object was under way
	steps   atomic.Int64 // operations of the model: those, and what lists and returns say

	mu      sync.Mutex
	strange map[string]int // errors that nobody can explain, and how often
}

func newRun(ctx context.Context, cfg Config, handles []Handle) *run {
	return &run{ctx: ctx, cfg: cfg, handles: handles, model: model(cfg.AtomicRevoke), strange: map[string]int{}}
}

// each calls f for each world, n at a time.
func each(n int, worlds []*world, f func(*world)) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range n {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(worlds) {
					return
				}
				f(worlds[i])
			}
		})
	}
	wg.Wait()
}

// stranger notes an error that neither the contract knows nor a client that has
// given up explains.
func (r *run) stranger(v verb, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.strange[fmt.Sprintf("%s: %v", v, err)]++
}

// strangers returns how many such errors there were, and some of them.
func (r *run) strangers() (n int, some string) {
	var lines []string
	for text, times := range r.strange {
		n += times
		lines = append(lines, fmt.Sprintf("%s (%d times)", text, times))
	}
	slices.Sort(lines)
	if len(lines) > 5 {
		lines = append(lines[:5], "and others")
	}
	return n, strings.Join(lines, "\n")
}

// A tally counts what the calls were answered.
type tally struct {
	counts [omit][len(answers)]atomic.Int64
	calls  atomic.Int64
	took   atomic.Int64 // all of them together, in nanoseconds
}

func (t *tally) count(v verb, a answer, took time.Duration) {
	t.counts[v][a].Add(1)
	t.calls.Add(1)
	t.took.Add(int64(took))
}

func (t *tally) total() int { return int(t.calls.Load()) }

// of returns how many calls were answered so.
func (t *tally) of(a answer) (n int64) {
	for v := range t.counts {
		n += t.counts[v][a].Load()
	}
	return n
}

// usual returns how long a call takes.
func (t *tally) usual() time.Duration {
	return time.Duration(t.took.Load() / max(1, t.calls.Load()))
}

// report says what has happened.
func (r *run) report() string {
	var b strings.Builder
	n := r.tally.total()
	fmt.Fprintf(&b, "%d operations in %d worlds, by %d clients on %d handles, made in %v, checked in %v (%d steps, the hardest search %v); %d %% began while another on the same object was under way; seed %d\n",
		n, r.worlds, r.cfg.Clients, len(r.handles), r.played.Round(time.Millisecond), r.checked.Round(time.Millisecond),
		r.steps.Load(), time.Duration(r.hardest.Load()).Round(time.Microsecond), 100*r.partial.Load()/max(1, int64(n)), r.cfg.Seed)
	for v := range r.tally.counts {
		sum := int64(0)
		var parts []string
		for a := range r.tally.counts[v] {
			if n := r.tally.counts[v][a].Load(); n > 0 {
				sum += n
				parts = append(parts, fmt.Sprintf("%d %s", n, answer(a)))
			}
		}
		fmt.Fprintf(&b, "%17s %6d: %s\n", verb(v), sum, strings.Join(parts, ", "))
	}
	return b.String()
}
