package report

import (
	"fmt"
	"html"
	"io"
	"math"
	"strings"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

// A Chart has bars in groups, one group for each row it shows.
type Chart struct {
	Title, Subtitle string
	Groups          []Group
}

// A Group is a heading with bars below it.
type Group struct {
	Name string // may be empty
	Bars []Bar
}

// A Bar is one contender's value; bars of one group have the same scale.
type Bar struct {
	Name  string
	Value float64 // not negative
	Text  string  // what is written beside it
	Ours  bool
}

// Charts returns the charts that can be drawn of these rows, by file name.
func Charts(rows []measure.Summary) map[string]Chart {
	charts := map[string]Chart{}
	cost := Chart{
		Title:    "What a session adds to a request",
		Subtitle: "sessions in memory; time over that of the same handler without sessions; less is better",
	}
	for _, s := range rows {
		if s.Err != nil {
			continue
		}
		switch s.Row.Name {
		case "read one value, memory", "change one value, memory", "new session, memory":
			name, _, _ := strings.Cut(s.Row.Name, ",")
			cost.Groups = append(cost.Groups, group(s, name, "ns/op", func(r measure.Result) float64 {
				return max(0, s.Over(r.Name, "ns/op"))
			}))
		}
		if s.Row.Name == "HTTP over loopback, read, memory" {
			cost.Groups = append(cost.Groups, group(s, "read one value over HTTP, processor time", s.Row.Key, func(r measure.Result) float64 {
				return max(0, r.Figures[s.Row.Key].Best)
			}))
		}
		if s.Row.Key == "B/session" && charts["bench-memory.svg"].Title == "" {
			charts["bench-memory.svg"] = Chart{
				Title:    "Memory for each session",
				Subtitle: "bytes, of a million small idle sessions in memory; less is better",
				Groups:   []Group{group(s, "", "B/session", func(r measure.Result) float64 { return r.Figures["B/session"].Best })},
			}
		}
		if s.Row.Key == "kept" && charts["bench-kept.svg"].Title == "" {
			charts["bench-kept.svg"] = Chart{
				Title:    "Parallel changes that are kept",
				Subtitle: "of 200 appends to one session at the same time; more is better",
				Groups:   []Group{group(s, "", "kept", func(r measure.Result) float64 { return r.Figures["kept"].Best })},
			}
		}
	}
	if len(cost.Groups) > 0 {
		charts["bench-cost.svg"] = cost
	}
	return charts
}

// group makes a bar of each contender that has sessions and the figure.
func group(s measure.Summary, name, figure string, value func(measure.Result) float64) Group {
	g := Group{Name: name}
	for _, r := range sorted(s) {
		if _, ok := r.Figures[figure]; ok && !isBare(r.Name) {
			v := value(r)
			g.Bars = append(g.Bars, Bar{Name: r.Name, Value: v, Text: Format(figure, v), Ours: isPillbox(r.Name)})
		}
	}
	return g
}

const (
	width     = 760
	margin    = 24
	labels    = 170 // room for names, left of the bars
	texts     = 90  // room for values, right of the longest bar
	barHeight = 18
	barStep   = 26
)

// The card has a background of its own: a page may be light while the system is
// dark, and then text for the other background could not be read. Every colour
// of text has a contrast of at least 4.5 to 1 with the background.
const style = `
.card{fill:#ffffff;stroke:#d0d7de}.title{fill:#1f2328;font-size:17px;font-weight:600}
.sub{fill:#59636e;font-size:12.5px}.name,.value{fill:#1f2328;font-size:13px}.group{fill:#1f2328;font-size:13px;font-weight:600}
.ours{font-weight:600}.bar{fill:#9aa4af}.bar.ours{fill:#0b7a75}.axis{stroke:#d0d7de}
@media (prefers-color-scheme:dark){.card{fill:#161b22;stroke:#30363d}.title,.name,.value,.group{fill:#e6edf3}
.sub{fill:#9198a1}.bar{fill:#6b7684}.bar.ours{fill:#3fb8af}.axis{stroke:#30363d}}`

// SVG writes the chart. It needs nothing from elsewhere.
func (c Chart) SVG(w io.Writer) error {
	var b strings.Builder
	y := 84
	var alt []string
	for _, g := range c.Groups {
		if g.Name != "" {
			fmt.Fprintf(&b, `<text class="group" x="%d" y="%d">%s</text>`+"\n", margin, y+2, html.EscapeString(g.Name))
			y += 16
		}
		longest := 0.0
		for _, bar := range g.Bars {
			longest = max(longest, bar.Value)
		}
		top := y
		for _, bar := range g.Bars {
			length := 0.0
			if longest > 0 {
				length = math.Max(1.5, bar.Value/longest*(width-2*margin-labels-texts))
			}
			ours := ""
			if bar.Ours {
				ours = " ours"
			}
			mid := y + barHeight/2 + 5
			fmt.Fprintf(&b, `<text class="name%s" x="%d" y="%d" text-anchor="end">%s</text>`, ours, margin+labels-10, mid, html.EscapeString(bar.Name))
			fmt.Fprintf(&b, `<rect class="bar%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, ours, margin+labels, y, length, barHeight)
			fmt.Fprintf(&b, `<text class="value%s" x="%.1f" y="%d">%s</text>`+"\n", ours, float64(margin+labels)+length+8, mid, html.EscapeString(bar.Text))
			alt = append(alt, strings.TrimSpace(g.Name+" "+bar.Name)+": "+bar.Text)
			y += barStep
		}
		fmt.Fprintf(&b, `<line class="axis" x1="%d" y1="%d" x2="%[1]d" y2="%d"/>`+"\n", margin+labels, top-4, y-barStep+barHeight+4)
		y += 18
	}
	height := y
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" aria-labelledby="title desc" font-family="system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif">
<title id="title">%s</title>
<desc id="desc">%s. %s.</desc>
<style>%s</style>
<rect class="card" x="0.5" y="0.5" width="%d" height="%d" rx="8"/>
<text class="title" x="%d" y="36">%[3]s</text>
<text class="sub" x="%[9]d" y="57">%[4]s</text>
%[10]s</svg>
`, width, height, html.EscapeString(c.Title), html.EscapeString(c.Subtitle), html.EscapeString(strings.Join(alt, "; ")), style,
		width-1, height-1, margin, b.String())
	return err
}
