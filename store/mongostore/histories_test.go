package mongostore_test

import (
	"testing"

	"github.com/pillboxgo/pillbox/internal/history"
	"github.com/pillboxgo/pillbox/internal/servers"
)

// Whatever parallel clients on two connections do, there is an order of their
// calls that explains all answers, and in it nothing comes back that has ended.
// The store changes one document at a time, so the records of a RevokeUser end
// one after the other before it returns.
//
// These are 5,000 operations in each form, since 100,000 take FerretDB
// some minutes: "make histories" has them all.
func TestHistoriesAreLinearizable(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			history.Run(t, history.Config{
				Open: func(t *testing.T) []history.Handle {
					db := database(t)
					other := connect(t, servers.Shared(t, servers.MongoDB).URL).Database(db.Name())
					return []history.Handle{open(t, db, form.Options), open(t, other, form.Options)}
				},
				Operations: 5_000,
			})
		})
	}
}
