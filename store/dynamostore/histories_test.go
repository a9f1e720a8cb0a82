package dynamostore_test

import (
	"testing"

	"github.com/pillboxgo/pillbox/internal/history"
	"github.com/pillboxgo/pillbox/store/dynamostore"
)

// Whatever parallel clients of two processes do, there is an order of their calls
// that explains all answers, and in it nothing comes back that has ended. DynamoDB
// changes one item at a time, so the records of a RevokeUser end one after the
// other before it returns.
//
// These are 2,000 operations on each emulator and not 100,000, which take dynalite
// a quarter of an hour and moto much longer; PILLBOX_HISTORIES=100000 in the
// environment makes them all.
func TestHistoriesAreLinearizable(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		history.Run(t, history.Config{
			Open: func(t *testing.T) []history.Handle {
				l := newLab(t, l.server)
				other := l.open(t, l.dial(t, l.address(t)), dynamostore.Options{})
				return []history.Handle{l.store, other}
			},
			Operations: 2000,
			Failures:   1, // a server may close a connection as it is used
		})
	})
}
