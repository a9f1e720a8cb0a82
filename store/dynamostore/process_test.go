package dynamostore_test

import (
	"context"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/pillboxgo/pillbox/internal/processes"
	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/dynamostore"
)

func TestMain(m *testing.M) {
	processes.Run(openShared, nil)
	os.Exit(servers.Main(m, servers.DynamoDB))
}

// openShared opens a store as another process does: where is the endpoint, and
// the table.
func openShared(_ context.Context, where []string) (session.Store, func() error, error) {
	cfg, err := settings(where[0])
	if err != nil {
		return nil, nil, err
	}
	s := dynamostore.New(dynamodb.NewFromConfig(cfg), dynamostore.Options{Table: where[1]})
	return s, s.Close, nil
}

// where is how another process finds the lab's table.
func (l *lab) where() []string {
	if l.gateway != nil {
		return []string{"http://" + l.gateway.addr, l.table}
	}
	return []string{l.server.URL, l.table}
}

// What races for its own sake runs on dynalite only: moto's writes are atomic
// because they go one at a time, which says nothing.
func TestProcessesKeepEveryAppend(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	processes.KeepEveryAppend(t, l.store, l.where()...)
}

func TestEndedIsFinalAcrossProcesses(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	processes.EndedIsFinal(t, func(*testing.T) (session.Store, []string) { return l.store, l.where() })
}
