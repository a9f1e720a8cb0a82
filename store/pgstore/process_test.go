package pgstore_test

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pillboxgo/pillbox/internal/processes"
	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

func TestMain(m *testing.M) {
	processes.Run(openShared, nil)
	os.Exit(servers.Main(m, servers.Postgres))
}

// openShared opens a store as another process does: where is the URL of the
// database, and the table, which may not be there yet.
func openShared(ctx context.Context, where []string) (session.Store, func() error, error) {
	pool, err := pgxpool.New(ctx, where[0])
	if err != nil {
		return nil, nil, err
	}
	s := pgstore.New(pool, pgstore.Options{Table: where[1]})
	closed := func() error {
		defer pool.Close()
		return s.Close()
	}
	if err := s.Migrate(ctx); err != nil {
		return nil, nil, errors.Join(err, closed())
	}
	return s, closed, nil
}

func TestProcessesShareATable(t *testing.T) {
	to, name := shared(t), table()
	processes.KeepEveryAppend(t, open(t, connect(t, to), pgstore.Options{Table: name}), to, name)
}

func TestEndedIsFinalAcrossProcesses(t *testing.T) {
	processes.EndedIsFinal(t, func(t *testing.T) (session.Store, []string) {
		to, name := shared(t), table()
		return open(t, connect(t, to), pgstore.Options{Table: name}), []string{to, name}
	})
}
