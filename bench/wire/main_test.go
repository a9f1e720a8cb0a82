package wire_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
	"github.com/pillboxgo/pillbox/bench/wire"
	"github.com/pillboxgo/pillbox/internal/need"
	"github.com/pillboxgo/pillbox/internal/servers"
)

// The rows start their executable again as "serve", and here that is the test.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := wire.Serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(servers.Main(m))
}

// Every row opens, every contender does the work for a moment and gives the
// figure that the row is about. How good it is says nothing here: the machine is
// busy with other tests.
func TestRows(t *testing.T) {
	for _, row := range wire.Rows() {
		t.Run(row.Name, func(t *testing.T) {
			sum := row.Run(measure.Options{Passes: 1, Time: 20 * time.Millisecond, Log: t.Logf})
			if sum.Err != nil {
				if what, ok := strings.CutPrefix(sum.Err.Error(), "open: "+wire.Missing); ok {
					need.Missing(t, what)
				}
				t.Fatal(sum.Err)
			}
			if len(sum.Results) < 3 {
				t.Errorf("%d contenders; want at least 3", len(sum.Results))
			}
			for _, r := range sum.Results {
				if _, ok := r.Figures[row.Key]; !ok {
					t.Errorf("%s has no %q, but %v", r.Name, row.Key, r.Figures)
				}
			}
			for _, limit := range row.Aim {
				if value := limit.Value(sum); value != value {
					t.Errorf("the aim %q compares what was not measured", limit.Text)
				}
			}
		})
	}
}
