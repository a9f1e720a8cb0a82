// Package report writes what was measured as Markdown and as charts.
package report

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

// Info is what a reader must know besides the figures.
type Info struct {
	Command  string   // by which to measure again
	Machine  []string // "2 processor cores", one fact each; no host name
	Versions []Version
}

// A Version is that of a program or module.
type Version struct{ Name, Version string }

// Markdown writes the report: one table of all rows, then one table a row, then
// the versions.
func Markdown(w io.Writer, rows []measure.Summary, info Info) error {
	var b strings.Builder
	b.WriteString("# Pillbox and its peers\n\n" +
		"Written by `" + info.Command + "`. All contenders of a row ran in turn, pass by pass, on the same machine. " +
		"The best and the median of the passes are given; ratios are to Pillbox, and count more than the times. " +
		"“Over bare” is without what the same handler takes without sessions. CPU is the whole process's, its garbage collector included.\n\n")
	overview(&b, rows)
	for _, s := range rows {
		section(&b, s)
	}
	b.WriteString("## Measured with\n\n")
	for _, fact := range info.Machine {
		fmt.Fprintf(&b, "- %s\n", fact)
	}
	b.WriteString("\n| | version |\n|---|---|\n")
	for _, v := range info.Versions {
		fmt.Fprintf(&b, "| %s | %s |\n", v.Name, v.Version)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// overview writes the table of all rows.
func overview(b *strings.Builder, rows []measure.Summary) {
	b.WriteString("| work | figure | Pillbox | best peer | ratio | aim |\n|---|---|--:|---|--:|---|\n")
	for _, s := range rows {
		base, peer := Base(s), BestPeer(s)
		pillbox, other, ratio := "–", "–", "–"
		if base != "" {
			pillbox = Format(s.Row.Key, s.Best(base, s.Row.Key))
		}
		if peer != "" {
			other = peer + ": " + Format(s.Row.Key, s.Best(peer, s.Row.Key))
			ratio = times(s.Ratio(peer, base, s.Row.Key))
		}
		fmt.Fprintf(b, "| [%s](#%s) | %s | %s | %s | %s | %s |\n", s.Row.Name, anchor(s.Row.Name), s.Row.Key, pillbox, other, ratio, aims(s))
	}
	b.WriteString("\n")
}

// aims sums up in a few words whether the row's aims are met.
func aims(s measure.Summary) string {
	if s.Err != nil {
		return "not measured"
	}
	var missed []string
	for _, l := range s.Row.Aim {
		if _, met := l.Check(s); !met {
			missed = append(missed, Verdict(l, s))
		}
	}
	switch {
	case len(s.Row.Aim) == 0:
		return "–"
	case len(missed) == 0:
		return "met"
	}
	return strings.Join(missed, "; ")
}

// Verdict tells whether a limit holds, and otherwise by how much it is missed.
func Verdict(l measure.Limit, s measure.Summary) string {
	value, met := l.Check(s)
	shown := Format(l.Figure, value)
	switch {
	case math.IsNaN(value):
		return l.Text + ": **not measured**"
	case met:
		return l.Text + ": met (" + shown + ")"
	case l.Least != 0:
		return fmt.Sprintf("%s: **missed**, %s of it was reached (%s)", l.Text, percent(value/l.Least), shown)
	case l.Most == 0:
		return fmt.Sprintf("%s: **missed** (%s)", l.Text, shown)
	}
	return fmt.Sprintf("%s: **missed** by %s (%s)", l.Text, percent(value/l.Most-1), shown)
}

func percent(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) }

// section writes a row's own table.
func section(b *strings.Builder, s measure.Summary) {
	fmt.Fprintf(b, "## %s\n\n", s.Row.Name)
	if s.Row.Note != "" {
		b.WriteString(s.Row.Note + "\n\n")
	}
	if s.Err != nil {
		fmt.Fprintf(b, "**Not measured:** %v\n\n", s.Err)
	}
	if len(s.Results) == 0 {
		return
	}
	key, base := s.Row.Key, Base(s)
	others := columns(s)
	hasBare := slices.ContainsFunc(s.Results, func(r measure.Result) bool { return isBare(r.Name) })
	head := []string{"", key + ", best", "median", "ratio", "of medians"}
	if hasBare {
		head = append(head, "over bare")
	}
	head = append(head, others...)
	fmt.Fprintf(b, "| %s |\n|---|%s\n", strings.Join(head, " | "), strings.Repeat("--:|", len(head)-1))
	for _, r := range sorted(s) {
		st := s.Statistic(r.Name, key)
		of := s.Statistic(base, key)
		cells := []string{r.Name, Format(key, st.Best), Format(key, st.Median), times(st.Best / of.Best), times(st.Median / of.Median)}
		if isBare(r.Name) {
			cells[3], cells[4] = "", ""
		}
		if hasBare {
			over := ""
			if !isBare(r.Name) {
				over = Format(key, s.Over(r.Name, key))
			}
			cells = append(cells, over)
		}
		for _, figure := range others {
			cells = append(cells, Format(figure, s.Best(r.Name, figure)))
		}
		fmt.Fprintf(b, "| %s |\n", strings.Join(cells, " | "))
	}
	fmt.Fprintf(b, "\nPasses: %d.", s.Passes)
	for _, l := range s.Row.Aim {
		b.WriteString(" Aim: " + Verdict(l, s) + ".")
	}
	b.WriteString("\n\n")
}

// columns returns the figures of a row but its key, those that most rows have
// first.
func columns(s measure.Summary) []string {
	order := []string{"cpu ns/op", "allocs/op", "B/op", "commands/op"}
	seen := map[string]bool{s.Row.Key: true}
	var names []string
	for _, r := range s.Results {
		for figure := range r.Figures {
			if !seen[figure] {
				seen[figure] = true
				names = append(names, figure)
			}
		}
	}
	rank := func(figure string) int {
		if i := slices.Index(order, figure); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b)) })
	return names
}

// sorted returns Pillbox first, the peers from the best to the worst, and what
// has no sessions last.
func sorted(s measure.Summary) []measure.Result {
	rank := func(r measure.Result) int {
		switch {
		case isPillbox(r.Name):
			return 0
		case isBare(r.Name):
			return 2
		}
		return 1
	}
	results := slices.Clone(s.Results)
	slices.SortStableFunc(results, func(a, b measure.Result) int {
		if c := cmp.Compare(rank(a), rank(b)); c != 0 || rank(a) == 0 {
			return c
		}
		c := cmp.Compare(a.Figures[s.Row.Key].Best, b.Figures[s.Row.Key].Best)
		if s.Row.Higher {
			c = -c
		}
		return c
	})
	return results
}

func isBare(name string) bool    { return strings.HasPrefix(name, measure.Bare) }
func isPillbox(name string) bool { return strings.HasPrefix(name, measure.Pillbox) }

// Base returns the contender that ratios are to: Pillbox, or the first whose
// name begins so; empty if there is none.
func Base(s measure.Summary) string {
	base := ""
	for _, r := range s.Results {
		if r.Name == measure.Pillbox {
			return r.Name
		}
		if base == "" && isPillbox(r.Name) {
			base = r.Name
		}
	}
	return base
}

// BestPeer returns the best contender that is not Pillbox and has sessions;
// empty if there is none.
func BestPeer(s measure.Summary) string {
	for _, r := range sorted(s) {
		if !isPillbox(r.Name) && !isBare(r.Name) {
			return r.Name
		}
	}
	return ""
}

// anchor returns the fragment by which a heading of this text is linked to.
func anchor(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r > 0x7f:
			b.WriteRune(r)
		}
	}
	return b.String()
}
