// Package wire measures sessions over sockets: HTTP on the loopback interface with
// each peer in a process of its own, and the servers of Redis and PostgreSQL that
// it starts for each row.
//
// Every peer serves the same small application, written as its documentation has
// it. Before a peer is measured it must show that it keeps what is written and
// gives it to nobody else, and while it is measured every answer is checked: one
// that fails would otherwise look fast.
package wire

import (
	"slices"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

// Rows returns the rows of this package. What they start ends with them. A row
// that lacks a program fails with an error that says so.
func Rows() []measure.Row {
	return slices.Concat(loopbackRows(), commandRows(), redisRows(), appendRows(), postgresRows())
}
