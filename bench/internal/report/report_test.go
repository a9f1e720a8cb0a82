package report_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
	"github.com/pillboxgo/pillbox/bench/internal/report"
)

func result(name string, best, median float64) measure.Result {
	return measure.Result{Name: name, Figures: map[string]measure.Statistic{"ns/op": {Best: best, Median: median}, "allocs/op": {Best: 4, Median: 4}}}
}

func summary() measure.Summary {
	limit := func(text string, v, most, least float64) measure.Limit {
		return measure.Limit{Text: text, Value: func(measure.Summary) float64 { return v }, Most: most, Least: least}
	}
	inTime := limit("under 1 µs", 800, 1000, 0)
	inTime.Figure = "ns/op"
	return measure.Summary{
		Row: measure.Row{Name: "read one value, memory", Note: "A note.", Key: "ns/op", Aim: []measure.Limit{
			inTime, limit("at most 8 allocations", 12, 8, 0), limit("three times scs", 1.5, 0, 3),
		}},
		Passes: 5,
		Results: []measure.Result{
			result("bare", 100, 110), result("slow peer", 4120, 5100), result("fast peer", 1304, 2000),
			result("Pillbox", 800, 1000), result("Pillbox, sealed", 904, 1500),
		},
	}
}

func markdown(t *testing.T, rows ...measure.Summary) string {
	t.Helper()
	var b strings.Builder
	err := report.Markdown(&b, rows, report.Info{
		Command: "make bench", Machine: []string{"2 processor cores"}, Versions: []report.Version{{Name: "scs", Version: "v2.9.0"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// inOrder fails unless the text has all of these, one after the other.
func inOrder(t *testing.T, text string, lines ...string) {
	t.Helper()
	rest := text
	for _, line := range lines {
		_, after, found := strings.Cut(rest, line)
		if !found {
			t.Errorf("%q is not there, or not behind what was looked for before, in\n%s", line, text)
			return
		}
		rest = after
	}
}

func TestMarkdown(t *testing.T) {
	inOrder(t, markdown(t, summary()),
		"`make bench`",
		"| [read one value, memory](#read-one-value-memory) | ns/op | 800 ns | fast peer: 1.3 µs | 1.63 |",
		"at most 8 allocations: **missed** by 50 % (12); three times scs: **missed**, 50 % of it was reached (1.5) |",
		"## read one value, memory", "A note.",
		"|  | ns/op, best | median | ratio | of medians | over bare | allocs/op |",
		"| Pillbox | 800 ns | 1 µs | 1.00 | 1.00 | 700 ns | 4 |",
		"| Pillbox, sealed | 904 ns | 1.5 µs | 1.13 | 1.50 | 804 ns | 4 |",
		"| fast peer | 1.3 µs | 2 µs | 1.63 | 2.00 | 1.2 µs | 4 |",
		"| slow peer | 4.12 µs | 5.1 µs | 5.15 | 5.10 | 4.02 µs | 4 |",
		"| bare | 100 ns | 110 ns |  |  |  | 4 |",
		"Passes: 5. Aim: under 1 µs: met (800 ns).",
		"- 2 processor cores", "| scs | v2.9.0 |",
	)
}

// Where more is better, the best peer is the one with the most.
func TestMarkdownHigher(t *testing.T) {
	s := summary()
	s.Row.Higher = true
	inOrder(t, markdown(t, s), "| slow peer: 4.12 µs | 5.15 |", "| Pillbox |", "| slow peer |", "| fast peer |", "| bare |")
}

// What was not measured is said, and does not count as met.
func TestMarkdownUnmeasured(t *testing.T) {
	s := summary()
	s.Results, s.Err = nil, errors.New("there is no node")
	inOrder(t, markdown(t, s), "| – | – | – | not measured |", "**Not measured:** there is no node")

	s = summary()
	s.Row.Aim = s.Row.Aim[:1]
	s.Row.Aim[0].Value = func(measure.Summary) float64 { return math.NaN() }
	inOrder(t, markdown(t, s), "under 1 µs: **not measured** |", "Aim: under 1 µs: **not measured**.")
}

func TestFormat(t *testing.T) {
	for _, test := range []struct {
		figure string
		v      float64
		want   string
	}{
		{"ns/op", 0.5, "0.5 ns"},
		{"ns/op", 999, "999 ns"},
		{"ns/op", 999.6, "1 µs"},
		{"ns/op", 12_340, "12.3 µs"},
		{"cpu ns/op", 5_000_000, "5 ms"},
		{"ns/op", 2.5e9, "2.5 s"},
		{"ns/op", -250, "-250 ns"},
		{"create ns", 1500, "1.5 µs"},
		{"allocs/op", 2.004, "2"},
		{"allocs/op", 0, "0"},
		{"B/op", 1_234_567, "1,234,567"},
		{"ops/s", 29_012.4, "29,012"},
		{"kept", 200, "200"},
		{"longest ms", 99.96, "100"},
		{"longest ms", 9.996, "10"},
		{"B/op", math.NaN(), ""},
		{"B/op", 10_000, "10,000"},
	} {
		if got := report.Format(test.figure, test.v); got != test.want {
			t.Errorf("Format(%q, %v) = %q; want %q", test.figure, test.v, got, test.want)
		}
	}
}

// Bars are as long as their values, none is left out but those without
// sessions, and the drawing is well-formed.
func TestCharts(t *testing.T) {
	memory := summary()
	memory.Row.Key = "B/session"
	for i := range memory.Results {
		memory.Results[i].Figures["B/session"] = measure.Statistic{Best: float64(100 * (i + 1))}
	}
	kept := summary()
	kept.Row.Key, kept.Row.Higher = "kept", true
	for i := range kept.Results {
		kept.Results[i].Figures["kept"] = measure.Statistic{Best: float64(i)}
	}
	charts := report.Charts([]measure.Summary{summary(), memory, kept})
	if len(charts) != 3 {
		t.Fatalf("%d charts; want 3", len(charts))
	}
	cost := charts["bench-cost.svg"]
	bars := cost.Groups[0].Bars
	if len(bars) != 4 {
		t.Fatalf("%d bars; want 4", len(bars))
	}
	for i, want := range []report.Bar{
		{Name: "Pillbox", Value: 700, Text: "700 ns", Ours: true},
		{Name: "Pillbox, sealed", Value: 804, Text: "804 ns", Ours: true},
		{Name: "fast peer", Value: 1204, Text: "1.2 µs"},
		{Name: "slow peer", Value: 4020, Text: "4.02 µs"},
	} {
		if bars[i] != want {
			t.Errorf("bar %d = %+v; want %+v", i, bars[i], want)
		}
	}
	for name, chart := range charts {
		var b strings.Builder
		if err := chart.SVG(&b); err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for _, g := range chart.Groups {
			for _, bar := range g.Bars {
				if !strings.Contains(b.String(), ">"+bar.Name+"<") || !strings.Contains(b.String(), ">"+bar.Text+"<") {
					t.Errorf("%s: %s or its %s is not written", name, bar.Name, bar.Text)
				}
			}
		}
	}
	var b strings.Builder
	if err := cost.SVG(&b); err != nil {
		t.Fatal(err)
	}
	inOrder(t, b.String(), `width="78.7"`, `width="90.4"`, `width="135.4"`, `width="452.0"`)
}
