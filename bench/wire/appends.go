package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

const appendsNote = "One visitor's 200 requests at the same time, each on a connection of its own. Its handler reads a list, works " +
	"for 5 ms, and adds a number to it. Pillbox's does so by Key.Update, once inside of whose function the work is done too: " +
	"then 200 times 5 ms follow one another. gorilla in memory is its cookie, of which the browser keeps the last that arrives."

// parallel is how many requests there are.
const parallel = 200

// inside is the contender whose work depends on what it changes.
const inside = measure.Pillbox + ", work inside"

func appendRows() []measure.Row {
	row := func(name, store string) measure.Row {
		return measure.Row{
			Name: name, Note: appendsNote, Key: "kept", Higher: true,
			Aim: []measure.Limit{{
				Text:  "200 are kept",
				Value: func(s measure.Summary) float64 { return s.Statistic(measure.Pillbox, "kept").Median },
				Least: parallel,
			}, {
				Text:  "in at most twice the time of the fastest peer in Go that loses some",
				Value: overLosers,
				Most:  2,
			}},
			Open: on(func(s *stage) (all []measure.Contender) {
				at := setting{store: store}
				if store == "redis" {
					at.url = s.redis().url
				}
				for _, p := range peers {
					if !p.keeps(store) {
						continue
					}
					c := s.child(p.name, at)
					all = append(all, s.appends(c.title, c, "/append"))
					if p.name == "pillbox" {
						all = append(all, s.appends(inside, c, "/append-inside"))
					}
				}
				title := "express-session"
				if store == "redis" {
					title = "connect-redis"
				}
				c := s.express(title, at)
				return append(all, s.appends(title, c, "/append"))
			}),
		}
	}
	return []measure.Row{
		row("200 parallel appends, memory", "memory"),
		row("200 parallel appends, Redis", "redis"),
	}
}

// overLosers returns how many times the time of the fastest that loses some
// Pillbox takes.
func overLosers(s measure.Summary) float64 {
	fastest := 0.0
	for _, r := range s.Results {
		took := r.Figures["ms"].Median
		if r.Figures["kept"].Best < parallel && (fastest == 0 || took < fastest) {
			fastest = took
		}
	}
	return s.Statistic(measure.Pillbox, "ms").Median / fastest
}

// appends measures how many of a burst of appends are kept, and how long it takes.
func (s *stage) appends(title string, c *child, path string) measure.Contender {
	s.Helper()
	owner := s.visitors(c, 1)[0]
	tabs := make([]*tab, parallel)
	for i := range tabs {
		conn, err := dial(c.addr)
		s.check(err)
		s.Cleanup(conn.close)
		tabs[i] = &tab{client: conn, line: fmt.Sprintf("POST %s?v=%d", path, i)}
	}
	burst := func() (kept int, took time.Duration, err error) {
		if err := owner.begin(); err != nil {
			return 0, 0, err
		}
		for _, t := range tabs {
			t.cookies, t.stale = map[string]string{}, true
			for name, value := range owner.cookies {
				t.cookies[name] = value
			}
		}
		start := time.Now()
		_, err = together(tabs, (*tab).append)
		took = time.Since(start)
		if err != nil {
			return 0, 0, err
		}
		// The browser has what arrived last.
		last := tabs[0]
		for _, t := range tabs {
			if t.at.After(last.at) {
				last = t
			}
		}
		owner.cookies, owner.stale = last.cookies, true
		kept, err = owner.kept()
		return kept, took, err
	}
	return measure.Contender{Name: title, Run: func(d time.Duration) (measure.Figures, error) {
		// The first one wakes what has slept while the others ran, which is
		// nothing beside a second.
		if title != inside {
			if _, _, err := burst(); err != nil {
				return nil, err
			}
		}
		bursts, kept := 0, 0
		var took time.Duration
		for bursts == 0 || took < d {
			n, t, err := burst()
			if err != nil {
				return nil, err
			}
			bursts++
			kept += n
			took += t
		}
		return measure.Figures{
			"kept": float64(kept) / float64(bursts),
			"ms":   took.Seconds() * 1e3 / float64(bursts),
		}, nil
	}}
}

// A tab sends one of a burst's requests.
type tab struct {
	*client
	line string
	at   time.Time // its answer came
}

func (t *tab) append() (int, error) {
	body, err := t.do(t.line)
	t.at = time.Now()
	if err == nil && string(body) != "appended" {
		err = fmt.Errorf("%w: it answers %.50q to an append", errWork, body)
	}
	return 1, err
}

// kept returns how many numbers are in the visitor's list.
func (v *visitor) kept() (int, error) {
	body, err := v.do("GET /list")
	if err != nil {
		return 0, err
	}
	var list []int
	if err := json.Unmarshal(body, &list); err != nil {
		return 0, err
	}
	seen := map[int]bool{}
	for _, n := range list {
		if n < 0 || n >= parallel || seen[n] {
			return 0, errors.New("the list has what nobody added")
		}
		seen[n] = true
	}
	if len(seen) == 0 {
		return 0, fmt.Errorf("%w: it keeps none of what was added", errWork)
	}
	return len(seen), nil
}
