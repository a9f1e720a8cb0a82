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
func TestHistoriesAreLinearizable(t *testing.T) {
	history.Run(t, history.Config{
		Open: func(t *testing.T) []history.Handle {
			l := newLab(t, sharedDynalite(t))
			other := l.open(t, l.dial(t, l.address(t)), dynamostore.Options{})
			return []history.Handle{l.store, other}
		},
		Operations: 2000, // an emulator is slow
	})
}
