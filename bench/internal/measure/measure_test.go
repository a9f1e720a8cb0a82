package measure_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

// list makes contenders that return these values of a figure, one a pass, and
// tell the log when they ran.
func list(figure string, log *[]string, values map[string][]float64) func() ([]measure.Contender, error) {
	return func() (all []measure.Contender, err error) {
		for _, name := range []string{"A", "B", "C"} {
			pass := 0
			all = append(all, measure.Contender{
				Name: name,
				Run: func(time.Duration) (measure.Figures, error) {
					*log = append(*log, name)
					pass++
					return measure.Figures{figure: values[name][pass-1]}, nil
				},
				Close: func() error { *log = append(*log, "close "+name); return nil },
			})
		}
		return all, nil
	}
}

// Contenders run in turn, each pass begins with the next one, and all are closed.
func TestRunRotates(t *testing.T) {
	var log []string
	values := map[string][]float64{"A": {1, 2, 3}, "B": {4, 5, 6}, "C": {7, 8, 9}}
	s := measure.Row{Key: "ns/op", Open: list("ns/op", &log, values)}.Run(measure.Options{Passes: 3})
	if s.Err != nil {
		t.Fatal(s.Err)
	}
	want := strings.Fields("A B C B C A C A B")
	want = append(want, "close A", "close B", "close C")
	if !slices.Equal(log, want) {
		t.Errorf("contenders ran in the order %v; want %v", log, want)
	}
	if s.Passes != 3 {
		t.Errorf("Passes = %d; want 3", s.Passes)
	}
}

func TestStatistics(t *testing.T) {
	values := map[string][]float64{"A": {5, 1, 3, 100}, "B": {2, 2, 2, 2}, "C": {9, 7, 8, 6}}
	for _, test := range []struct {
		figure       string
		key          string
		higher       bool
		best, median float64 // of A
	}{
		{figure: "ns/op", key: "ns/op", best: 1, median: 4},
		{figure: "requests", key: "requests", higher: true, best: 100, median: 4},
		{figure: "ops/s", key: "ns/op", best: 100, median: 4},                // more is better whatever the key is
		{figure: "allocs/op", key: "kept", higher: true, best: 1, median: 4}, // and here it is not
	} {
		var log []string
		s := measure.Row{Key: test.key, Higher: test.higher, Open: list(test.figure, &log, values)}.Run(measure.Options{Passes: 4})
		if got, want := s.Statistic("A", test.figure), (measure.Statistic{Best: test.best, Median: test.median}); got != want {
			t.Errorf("%s, of a row of %s: %+v; want %+v", test.figure, test.key, got, want)
		}
	}
	var log []string
	s := measure.Row{Key: "ns/op", Open: list("ns/op", &log, values)}.Run(measure.Options{Passes: 3})
	if got := s.Statistic("A", "ns/op").Median; got != 3 {
		t.Errorf("median of 5, 1, 3 = %v; want 3", got)
	}
	if got := s.Ratio("C", "B", "ns/op"); got != 3.5 {
		t.Errorf("Ratio of 7 to 2 = %v; want 3.5", got)
	}
	if got := s.Best("A", "B/op"); !math.IsNaN(got) {
		t.Errorf("a figure that was not measured = %v; want NaN", got)
	}
}

// What a session costs is counted from the same framework without sessions.
func TestOver(t *testing.T) {
	s := measure.Summary{}
	for name, v := range map[string]float64{"bare": 10, "bare gin": 25, "Pillbox": 60, "gin (memstore)": 100} {
		s.Results = append(s.Results, measure.Result{Name: name, Figures: map[string]measure.Statistic{"ns/op": {Best: v}}})
	}
	for name, want := range map[string]float64{"Pillbox": 50, "gin (memstore)": 75} {
		if got := s.Over(name, "ns/op"); got != want {
			t.Errorf("Over(%q) = %v; want %v", name, got, want)
		}
	}
}

func TestLimit(t *testing.T) {
	value := func(v float64) func(measure.Summary) float64 {
		return func(measure.Summary) float64 { return v }
	}
	for _, test := range []struct {
		name  string
		limit measure.Limit
		met   bool
	}{
		{"at the most", measure.Limit{Value: value(2), Most: 2}, true},
		{"above the most", measure.Limit{Value: value(2.1), Most: 2}, false},
		{"at the least", measure.Limit{Value: value(3), Least: 3}, true},
		{"below the least", measure.Limit{Value: value(2.9), Least: 3}, false},
		{"at most nothing", measure.Limit{Value: value(0)}, true},
		{"more than nothing", measure.Limit{Value: value(1)}, false},
		{"not measured, most", measure.Limit{Value: value(math.NaN()), Most: 2}, false},
		{"not measured, least", measure.Limit{Value: value(math.NaN()), Least: 2}, false},
	} {
		if _, met := test.limit.Check(measure.Summary{}); met != test.met {
			t.Errorf("%s: met = %v; want %v", test.name, met, test.met)
		}
	}
}

// A contender that fails makes its row fail, and the others are closed still.
func TestRunFails(t *testing.T) {
	broken := errors.New("broken")
	closed := false
	s := measure.Row{Open: func() ([]measure.Contender, error) {
		return []measure.Contender{
			{Name: "A", Run: func(time.Duration) (measure.Figures, error) { return measure.Figures{}, nil }, Close: func() error { closed = true; return nil }},
			{Name: "B", Run: func(time.Duration) (measure.Figures, error) { return nil, broken }},
		}, nil
	}}.Run(measure.Options{Passes: 1})
	if !errors.Is(s.Err, broken) || len(s.Results) != 0 {
		t.Errorf("Run with a broken contender = %d results, %v; want none, %v", len(s.Results), s.Err, broken)
	}
	if !closed {
		t.Error("the contender before it is open still")
	}
	s = measure.Row{Open: func() ([]measure.Contender, error) { return nil, broken }}.Run(measure.Options{Passes: 1})
	if !errors.Is(s.Err, broken) {
		t.Errorf("Run of what cannot be opened = %v; want %v", s.Err, broken)
	}
}

var sink []byte

func TestOps(t *testing.T) {
	ops := 0
	figures, err := measure.Ops(20*time.Millisecond, func() error {
		ops++
		sink = make([]byte, 1000)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// The runtime allocates now and then, too; the sum of all is what counts.
	if n := figures["allocs/op"]; n < 1 || n > 1.1 {
		t.Errorf("allocs/op = %v; want 1", n)
	}
	if n := figures["B/op"]; n < 1000 || n > 1200 { // 1000 come as 1024
		t.Errorf("B/op = %v; want 1024", n)
	}
	took := time.Duration(figures["ns/op"] * float64(ops))
	if took < 20*time.Millisecond || took > 10*time.Second {
		t.Errorf("%d ops took %v in sum; want a little more than 20ms", ops, took)
	}
	if figures["cpu ns/op"] <= 0 {
		t.Errorf("cpu ns/op = %v; want more than 0", figures["cpu ns/op"])
	}
	broken := errors.New("broken")
	if _, err := measure.Ops(time.Hour, func() error { return broken }); err != broken {
		t.Errorf("Ops of what fails = %v; want %v", err, broken)
	}
}
