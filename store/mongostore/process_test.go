package mongostore_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pillboxgo/pillbox/internal/processes"
	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mongostore"
)

func TestMain(m *testing.M) {
	processes.Run(openShared, nil)
	os.Exit(servers.Main(m, servers.MongoDB))
}

// openShared opens a store as another process does: where is the URL of the
// server, the database, and whether sessions are subdocuments.
func openShared(ctx context.Context, where []string) (session.Store, func() error, error) {
	client, err := mongo.Connect(options.Client().ApplyURI(where[0]))
	if err != nil {
		return nil, nil, err
	}
	s := mongostore.New(client.Database(where[1]), mongostore.Options{Object: where[2] == "subdocument", PruneEvery: -1})
	return s, func() error { return errors.Join(s.Close(), client.Disconnect(ctx)) }, nil
}

func TestProcessesKeepEveryAppend(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			db := database(t)
			processes.KeepEveryAppend(t, open(t, db, form.Options), servers.Shared(t, servers.MongoDB).URL, db.Name(), form.name)
		})
	}
}

func TestEndedIsFinalAcrossProcesses(t *testing.T) {
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			processes.EndedIsFinal(t, func(t *testing.T) (session.Store, []string) {
				db := database(t)
				return open(t, db, form.Options), []string{servers.Shared(t, servers.MongoDB).URL, db.Name(), form.name}
			})
		})
	}
}
