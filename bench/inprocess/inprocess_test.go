package inprocess_test

import (
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/bench/inprocess"
	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

// Each contender does its row's work: the rows check it while they run.
func TestRows(t *testing.T) {
	for _, row := range inprocess.SmallRows() {
		t.Run(row.Name, func(t *testing.T) {
			row.Passes = 1
			s := row.Run(measure.Options{Time: time.Millisecond})
			if s.Err != nil {
				t.Fatal(s.Err)
			}
			for _, r := range s.Results {
				if best := s.Best(r.Name, row.Key); !(best > 0) {
					t.Errorf("%s: best %s is %v; want more than 0", r.Name, row.Key, best)
				}
			}
			for _, limit := range row.Aim {
				if value, _ := limit.Check(s); value != value {
					t.Errorf("%q is of a figure that was not measured", limit.Text)
				}
			}
		})
	}
}
