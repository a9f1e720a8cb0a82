package mysqlstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/pillboxgo/pillbox/internal/processes"
	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// openShared opens a store as another process does: where is the DSN, and the
// table, which may not be there yet.
func openShared(ctx context.Context, where []string) (session.Store, func() error, error) {
	s, err := mysqlstore.Open(ctx, where[0], mysqlstore.Options{Table: where[1], MaxConns: 8})
	if err != nil {
		return nil, nil, err
	}
	if err := s.Migrate(ctx); err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, s.Close, nil
}

func TestProcessesShareATable(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		cfg, name := config(t, servers.Shared(t, k), ""), tableName()
		processes.KeepEveryAppend(t, open(t, cfg, mysqlstore.Options{Table: name}), cfg.FormatDSN(), name)
	})
}

func TestEndedIsFinalAcrossProcesses(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		processes.EndedIsFinal(t, func(t *testing.T) (session.Store, []string) {
			cfg, name := config(t, servers.Shared(t, k), ""), tableName()
			return migrated(t, cfg, mysqlstore.Options{Table: name}), []string{cfg.FormatDSN(), name}
		})
	})
}
