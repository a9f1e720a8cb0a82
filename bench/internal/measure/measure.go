// Package measure runs contenders in turn and sums up what each pass cost them.
package measure

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Figures are what one pass of a contender cost, by name, with the unit in the
// name: "ns/op", "allocs/op", "B/op", "cpu ns/op", "ops/s", "commands/op",
// "kept", "B/session", "longest ms".
type Figures map[string]float64

// A Contender does a row's work in one implementation.
type Contender struct {
	// Name is what the table calls it: [Pillbox], [Bare], "scs (gob)".
	Name string

	// Run works for about d and returns what that cost. It fails if the work
	// was not done: a peer that errs must not look fast. Never called
	// concurrently.
	Run func(d time.Duration) (Figures, error)

	// Close ends what [Row.Open] started for it. Nil: nothing to end.
	Close func() error
}

// The names that tables and aims compare with.
const (
	Pillbox = "Pillbox"
	Bare    = "bare" // the same handler without sessions
)

// A Row is a line of the comparison.
type Row struct {
	Name   string // "read one value, memory"
	Note   string // what a reader must know to judge the figures; may be empty
	Key    string // the figure that ratios are of
	Higher bool   // more of Key is better

	// Aim is what is asked of Pillbox: each limit must hold. Empty: nothing
	// was asked.
	Aim []Limit

	// Open starts servers and fills stores. If it fails it leaves nothing
	// open.
	Open func() ([]Contender, error)

	// Passes overrides the command's number of passes, where one takes long
	// or always gives the same. Zero: as the command says.
	Passes int
}

// A Limit is one thing that is asked of a row.
type Limit struct {
	Text   string                // "at most 8 allocations"
	Value  func(Summary) float64 // what is compared, such as the best allocs/op
	Most   float64               // Value may be at most this, if Least is zero
	Least  float64               // Value must be at least this, if not zero
	Figure string                // what Value is, for its unit: "ns/op"; empty: a number
}

// Check returns the limit's value and whether it holds. A value that was not
// measured holds nothing.
func (l Limit) Check(s Summary) (value float64, met bool) {
	value = l.Value(s)
	if l.Least != 0 {
		return value, value >= l.Least
	}
	return value, value <= l.Most
}

// A Statistic sums up one figure of one contender over all passes.
type Statistic struct{ Best, Median float64 }

// A Result is what one contender was measured to cost.
type Result struct {
	Name    string
	Figures map[string]Statistic
}

// A Summary is a row with the results of all its contenders, in the order in
// which Open returned them.
type Summary struct {
	Row     Row
	Passes  int
	Results []Result
	Err     error // the row was not, or not fully, measured; Results may be empty
}

// Statistic returns a contender's figure, NaN if it was not measured.
func (s Summary) Statistic(contender, figure string) Statistic {
	for _, r := range s.Results {
		if st, ok := r.Figures[figure]; ok && r.Name == contender {
			return st
		}
	}
	return Statistic{math.NaN(), math.NaN()}
}

// Best returns the best of a contender's figure, NaN if it was not measured.
func (s Summary) Best(contender, figure string) float64 { return s.Statistic(contender, figure).Best }

// Ratio returns how many times b's best figure a's is.
func (s Summary) Ratio(a, b, figure string) float64 { return s.Best(a, figure) / s.Best(b, figure) }

// Over returns by how much the contender's best figure exceeds what the same
// handler has without sessions: of the contender "bare X" where there is one and
// the name begins with X, and of [Bare] otherwise.
func (s Summary) Over(contender, figure string) float64 {
	bare := Bare
	for _, r := range s.Results {
		if on, ok := strings.CutPrefix(r.Name, Bare+" "); ok && strings.HasPrefix(contender, on) {
			bare = r.Name
		}
	}
	return s.Best(contender, figure) - s.Best(bare, figure)
}

// HigherIsBetter tells whether more of the row's figure is better.
func (r Row) HigherIsBetter(figure string) bool {
	if figure == r.Key {
		return r.Higher
	}
	return figure == "ops/s" || figure == "kept"
}

// Options say how rows are run.
type Options struct {
	Passes int                              // at least 1
	Time   time.Duration                    // of each pass of each contender
	Log    func(format string, args ...any) // progress; nil: none
}

// Run measures the row: all contenders in turn, pass by pass, each pass
// beginning with another one, so that a machine that slows down slows all of
// them.
func (r Row) Run(o Options) (s Summary) {
	s = Summary{Row: r, Passes: r.Passes}
	if s.Passes == 0 {
		s.Passes = max(o.Passes, 1)
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	contenders, err := r.Open()
	if err != nil {
		s.Err = fmt.Errorf("open: %w", err)
		return s
	}
	defer func() {
		for _, c := range contenders {
			if c.Close != nil {
				if err := c.Close(); err != nil {
					s.Err = errors.Join(s.Err, fmt.Errorf("%s: close: %w", c.Name, err))
				}
			}
		}
		runtime.GC() // the next row does not pay for what this one leaves
	}()
	measured := make([][]Figures, len(contenders))
	for pass := range s.Passes {
		for i := range contenders {
			i = (i + pass) % len(contenders)
			runtime.GC() // what the one before left is not this one's to collect
			figures, err := contenders[i].Run(o.Time)
			if err != nil {
				s.Err = fmt.Errorf("%s: %w", contenders[i].Name, err)
				return s
			}
			o.Log("%s: %s: %v", r.Name, contenders[i].Name, figures)
			measured[i] = append(measured[i], figures)
		}
	}
	for i, c := range contenders {
		s.Results = append(s.Results, r.sum(c.Name, measured[i]))
	}
	return s
}

// sum sums up the passes of one contender.
func (r Row) sum(name string, passes []Figures) Result {
	values := map[string][]float64{}
	for _, figures := range passes {
		for figure, v := range figures {
			values[figure] = append(values[figure], v)
		}
	}
	result := Result{Name: name, Figures: map[string]Statistic{}}
	for figure, v := range values {
		slices.Sort(v)
		st := Statistic{Best: v[0], Median: median(v)}
		if r.HigherIsBetter(figure) {
			st.Best = v[len(v)-1]
		}
		result.Figures[figure] = st
	}
	return result
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}
