package inprocess

import (
	"errors"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

// An implementation is a name and a way of opening a site.
type implementation struct {
	name string
	open func() (site, error)
}

var (
	pillbox = implementation{measure.Pillbox, openPillbox}
	bare    = implementation{measure.Bare, openBare}
	scsGob  = implementation{"scs (gob)", openScs(scs.GobCodec{})}
	scsJSON = implementation{"scs (JSON)", openScs(jsonCodec{})}
	fiberV3 = implementation{"fiber", openFiber}
	ginMem  = implementation{"gin (memstore)", openGin}

	inMemory = []implementation{
		bare, pillbox, scsGob, scsJSON,
		{"gorilla (cookie)", gorillaCookie},
		{measure.Bare + " fiber", fiberBare},
		fiberV3,
		{measure.Bare + " gin", ginBare},
		ginMem,
	}
	onDisk = []implementation{
		bare,
		{measure.Pillbox, pillboxInSQLite},
		{"scs (SQLite)", scsInSQLite},
		{"gorilla (file)", gorillaFile},
	}
)

// contenders makes one of each implementation. Each pass opens a site, lets
// begin start what is needed there, sends what it returns again and again, and
// closes the site, so that nobody's sessions are the others' to collect.
func contenders(all []implementation, begin func(site) (op func() error, err error)) func() ([]measure.Contender, error) {
	return func() ([]measure.Contender, error) {
		var list []measure.Contender
		for _, impl := range all {
			list = append(list, measure.Contender{Name: impl.name, Run: func(d time.Duration) (figures measure.Figures, err error) {
				s, err := impl.open()
				if err != nil {
					return nil, err
				}
				defer func() { err = errors.Join(err, s.close()) }()
				if strings.HasPrefix(impl.name, measure.Bare) {
					return measure.Ops(d, func() error { return s.call(nil) })
				}
				if err := check(s); err != nil {
					return nil, err
				}
				op, err := begin(s)
				if err != nil {
					return nil, err
				}
				return measure.Ops(d, op)
			}})
		}
		return list, nil
	}
}

// repeat has the same work done for one session with this many values.
func repeat(w work, count int) func(site) (func() error, error) {
	return func(s site) (func() error, error) {
		cookie, err := begin(s, values(count))
		if err != nil {
			return nil, err
		}
		cookies := []string{cookie}
		s.job().work, s.job().changes = w, 0
		return func() error { return s.call(cookies) }, nil
	}
}

func most(what float64, text string, value func(measure.Summary) float64) measure.Limit {
	return measure.Limit{Text: text, Value: value, Most: what}
}

// best limits the best of a figure of Pillbox.
func best(what float64, figure, text string) measure.Limit {
	return measure.Limit{Text: text, Most: what, Figure: figure, Value: func(s measure.Summary) float64 {
		return s.Best(measure.Pillbox, figure)
	}}
}

// over limits by how much that exceeds the bare handler's.
func over(what float64, figure, text string) measure.Limit {
	return measure.Limit{Text: text, Most: what, Figure: figure, Value: func(s measure.Summary) float64 {
		return s.Over(measure.Pillbox, figure)
	}}
}

func costRows() []measure.Row {
	return []measure.Row{
		{
			Name: "live cookie, session untouched",
			Note: "The handler does not ask for the session. gorilla has no middleware, and does nothing.",
			Key:  "ns/op",
			Aim: []measure.Limit{
				over(100, "ns/op", "at most 100 ns over bare"),
				over(2.01, "allocs/op", "at most 2 allocations"),
			},
			Open: contenders(inMemory, repeat(untouched, 1)),
		},
		{
			Name: "read one value, memory",
			Note: "The cookie's signature is checked by Pillbox, gorilla and gin; scs and fiber have none. scs has no idle limit by default; fiber writes each time.",
			Key:  "ns/op",
			Aim: []measure.Limit{
				best(1000, "ns/op", "under 1 µs"),
				best(8.01, "allocs/op", "at most 8 allocations"),
			},
			Open: contenders(inMemory, repeat(read, 1)),
		},
		{
			Name: "change one value, memory",
			Key:  "ns/op",
			Aim: []measure.Limit{
				best(2000, "ns/op", "under 2 µs"),
				best(14.01, "allocs/op", "at most 14 allocations"),
			},
			Open: contenders(inMemory, repeat(change, 1)),
		},
		{
			Name: "ten values, read one, memory",
			Key:  "ns/op",
			Aim: []measure.Limit{
				most(1.3, "within 1.3 times of one value", func(s measure.Summary) float64 {
					return s.Ratio(measure.Pillbox, oneValue, "ns/op")
				}),
			},
			Open: ofTen,
		},
		{
			Name: "new session, memory",
			Note: "All sessions of a pass are kept.",
			Key:  "ns/op",
			Aim:  []measure.Limit{best(2000, "ns/op", "under 2 µs")},
			Open: contenders(inMemory, func(s site) (func() error, error) {
				s.job().work = create
				return func() error { return s.call(nil) }, nil
			}),
		},
		{
			Name: "read one value, on disk",
			Note: onDiskNote,
			Key:  "ns/op",
			Open: contenders(onDisk, repeat(read, 1)),
		},
		{
			Name: "change one value, on disk",
			Note: onDiskNote,
			Key:  "ns/op",
			Open: contenders(onDisk, repeat(change, 1)),
		},
	}
}

const (
	oneValue = measure.Pillbox + ", of one value"

	onDiskNote = "Pillbox and scs in SQLite, both on modernc.org/sqlite with journal_mode WAL and synchronous FULL, where a change that was answered survives a power cut; " +
		"gorilla in files, which it does not force to the disk. Pillbox compares before it writes; scs and gorilla overwrite."
)

// ofTen has beside those that read one of ten values Pillbox that reads one of
// one.
func ofTen() ([]measure.Contender, error) {
	list, err := contenders(inMemory, repeat(read, 10))()
	if err != nil {
		return nil, err
	}
	one, err := contenders([]implementation{{oneValue, openPillbox}}, repeat(read, 1))()
	return append(list, one...), err
}
