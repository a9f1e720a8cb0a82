package inprocess

import (
	"slices"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

// Rows returns the rows of this package, in the order of the report.
func Rows() []measure.Row { return rows(1_000_000) }

// rows returns the rows with this many sessions where a million are meant.
func rows(million int) []measure.Row {
	return slices.Concat(costRows(), storedRows(million), expiryRows(million), hostileRows())
}
