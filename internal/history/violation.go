package history

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// patience is how long the search for an order may take. It takes milliseconds;
// a search that is given up counts as one that failed.
const patience = time.Minute

// A violation is a history that cannot be explained.
type violation struct {
	run     *run
	world   *world
	history []porcupine.Operation // what it takes to see that
	whole   []porcupine.Operation
	result  porcupine.CheckResult
}

// check looks for an order of each object's operations.
func (w *world) check() *violation {
	parts := partition(w.history)
	for _, part := range parts {
		w.steps.Add(int64(len(part)))
		w.partial.Add(overlaps(part))
	}
	began := time.Now()
	result := porcupine.CheckOperationsTimeout(w.run.model, w.history, patience)
	took := int64(time.Since(began))
	for before := w.hardest.Load(); took > before && !w.hardest.CompareAndSwap(before, took); before = w.hardest.Load() {
	}
	if result == porcupine.Ok {
		w.history = nil
		return nil
	}
	for _, part := range parts {
		if result := porcupine.CheckOperationsTimeout(w.run.model, part, patience); result != porcupine.Ok {
			return &violation{w.run, w, w.shorten(part), part, result}
		}
	}
	panic("history: a world cannot be explained, but all of its objects can")
}

// overlaps returns how many of an object's operations began while another was
// under way, calls that never returned left out.
func overlaps(part []porcupine.Operation) (n int64) {
	slices.SortFunc(part, byCall)
	last := int64(-1)
	for _, op := range part {
		if v := op.Input.(*input).verb; v == omit || v == returned || op.Return == never {
			continue
		}
		if op.Call < last {
			n++
		}
		last = max(last, op.Return)
	}
	return n
}

func byCall(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) }

// shorten leaves out of a history that cannot be explained what the reader need
// not look at: what came later, and what changed nothing and is not needed for
// the contradiction.
func (w *world) shorten(part []porcupine.Operation) []porcupine.Operation {
	illegal := func(history []porcupine.Operation) bool {
		return porcupine.CheckOperationsTimeout(w.run.model, history, time.Second) == porcupine.Illegal
	}
	var returns []int64
	for _, op := range part {
		returns = append(returns, op.Return)
	}
	slices.Sort(returns)
	n := sort.Search(len(returns), func(n int) bool { return illegal(until(part, returns[n])) })
	if n < len(returns) {
		part = until(part, returns[n])
	}
	leaveOut := func(needless func(*input, *output) bool) {
		for i := len(part) - 1; i >= 0; i-- {
			if needless(part[i].Input.(*input), part[i].Output.(*output)) {
				if without := slices.Delete(slices.Clone(part), i, i+1); illegal(without) {
					part = without
				}
			}
		}
	}
	leaveOut(unchanging)
	refusals := slices.ContainsFunc(part, func(op porcupine.Operation) bool { return op.Output.(*output).answer == revoked })
	leaveOut(func(in *input, out *output) bool {
		// Without these more is possible, and not less.
		return in.verb == returned || in.verb == revoke && out.answer == done && out.n == 0 && !refusals
	})
	slices.SortFunc(part, byCall)
	return part
}

// until returns a history as it was at a moment. What was under way then may have
// done its work or not.
func until(part []porcupine.Operation, moment int64) []porcupine.Operation {
	var history []porcupine.Operation
	for _, op := range part {
		in, out := op.Input.(*input), op.Output.(*output)
		switch {
		case op.Return <= moment:
		case op.Call > moment || unchanging(in, out):
			continue
		case op.Return != never:
			later := *out
			later.maybe = true
			op.Output, op.Return = &later, never
		}
		history = append(history, op)
	}
	return history
}

// message says what happened, and where there is a picture of it: in file, if one
// can be written.
func (v *violation) message(file string, err error) string {
	var b strings.Builder
	what := "no order of these operations explains all of their answers"
	if v.result == porcupine.Unknown {
		what = fmt.Sprintf("no order that explains all answers was found within %v", patience)
	}
	fmt.Fprintf(&b, "%s.\nWorld %d, seed %d, %d of %d operations. Of two, the one that was called first stands first; a call that returned at n comes before one that was made after n.\n",
		what, v.world.number, v.run.cfg.Seed, len(v.history), len(v.whole))
	first := int64(0)
	if len(v.history) > 0 {
		first = v.history[0].Call
	}
	fmt.Fprintf(&b, "%7s %7s %7s\n", "called", "back", "client")
	for _, op := range v.history {
		back := "never"
		if op.Return != never {
			back = fmt.Sprint(op.Return - first)
		}
		fmt.Fprintf(&b, "%7d %7s %7d  %s\n", op.Call-first, back, op.ClientId, describe(op.Input.(*input), op.Output.(*output)))
	}
	if err == nil {
		_, info := porcupine.CheckOperationsVerbose(v.run.model, v.whole, patience)
		err = porcupine.VisualizePath(v.run.model, info, file)
	}
	if err != nil {
		fmt.Fprintf(&b, "There is no picture: %v.", err)
	} else {
		fmt.Fprintf(&b, "The whole of it is drawn in %s.", file)
	}
	return b.String()
}

// pictureFile names a file that outlives the test.
func pictureFile(t *testing.T) (string, error) {
	if f := flag.Lookup("test.artifacts"); f != nil && f.Value.String() == "true" {
		return filepath.Join(t.ArtifactDir(), "history.html"), nil
	}
	dir, err := os.MkdirTemp("", "pillbox-history-") // t.TempDir would be gone
	return filepath.Join(dir, "history.html"), err
}
