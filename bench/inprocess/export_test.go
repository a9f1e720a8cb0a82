package inprocess

import "github.com/pillboxgo/pillbox/bench/internal/measure"

// SmallRows returns the rows, with a thousand sessions for a million.
func SmallRows() []measure.Row { return rows(1000) }
