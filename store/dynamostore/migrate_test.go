package dynamostore_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/store/dynamostore"
)

// Migrate made the table of each test. Here it does so again, and several at the
// same time do.
func TestMigrate(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		table, err := l.client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &l.table})
		if err != nil {
			t.Fatal(err)
		}
		if mode := table.Table.BillingModeSummary; mode == nil || mode.BillingMode != types.BillingModePayPerRequest {
			t.Errorf("billing mode %v; want %v", mode, types.BillingModePayPerRequest)
		}
		if err := l.store.Create(t.Context(), "id", record(bob)); err != nil {
			t.Fatal(err)
		}
		if err := l.store.Migrate(t.Context()); err != nil {
			t.Errorf("Migrate of what is migrated = %v", err)
		}
		if n, err := l.store.Count(t.Context()); n != 1 || err != nil {
			t.Errorf("Count after another Migrate = %d, %v; want 1", n, err)
		}
		fresh := newTable(t, l)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				s := l.open(t, l.client, dynamostore.Options{Table: fresh, Logger: slog.New(slog.DiscardHandler)})
				if err := s.Migrate(t.Context()); err != nil {
					t.Errorf("Migrate beside others = %v", err)
				}
				if err := s.Ping(t.Context()); err != nil {
					t.Errorf("Ping after Migrate = %v", err)
				}
			})
		}
		wg.Wait()
	})
}

// newTable returns the name of a table that is not there.
func newTable(t *testing.T, l *lab) string {
	t.Helper()
	name := l.table + "-other"
	t.Cleanup(func() {
		_, _ = l.client.DeleteTable(context.WithoutCancel(t.Context()), &dynamodb.DeleteTableInput{TableName: &name})
	})
	return name
}

// moto has Time to Live, though nothing comes of it; dynalite has none.
func TestMigrateTimeToLive(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		var log bytes.Buffer
		s := l.open(t, l.client, dynamostore.Options{Table: newTable(t, l), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if l.server.Kind == servers.DynamoDB && l.gateway != nil {
			if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "Time to Live") {
				t.Errorf("log = %q; want a warning that there is no Time to Live", log.String())
			}
			return
		}
		ttl, err := l.client.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &l.table})
		if err != nil {
			t.Fatal(err)
		}
		if got := ttl.TimeToLiveDescription; got.TimeToLiveStatus != types.TimeToLiveStatusEnabled || aws.ToString(got.AttributeName) != "expires" {
			t.Errorf("Time to Live is %s for %q; want it enabled for expires", got.TimeToLiveStatus, aws.ToString(got.AttributeName))
		}
		if log.Len() > 0 {
			t.Errorf("log = %q; want nothing", log.String())
		}
	})
}

// A table that is not ours is left as it is.
func TestMigrateRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		s := l.open(t, l.client, dynamostore.Options{HashKey: "sid"})
		if err := s.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "Options.HashKey") {
			t.Errorf("Migrate of a table with another key = %v; want an error with a remedy", err)
		}
		name := newTable(t, l)
		_, err := l.client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
			TableName:   &name,
			BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{
				{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeN},
			},
			KeySchema: []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		})
		if err != nil {
			t.Fatal(err)
		}
		s = l.open(t, l.client, dynamostore.Options{Table: name})
		if err := s.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "key") {
			t.Errorf("Migrate of a table whose key is a number = %v; want an error", err)
		}
	})
}

// A Time to Live by another attribute removes what is not dead, or nothing.
func TestMigrateWithAnotherTimeToLive(t *testing.T) {
	l := newLab(t, servers.Shared(t, servers.DynamoDBMoto))
	name := newTable(t, l)
	_, err := l.client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            &name,
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.client.UpdateTimeToLive(t.Context(), &dynamodb.UpdateTimeToLiveInput{
		TableName:               &name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("created"), Enabled: aws.Bool(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = l.open(t, l.client, dynamostore.Options{Table: name}).Migrate(t.Context())
	if err == nil || !strings.Contains(err.Error(), `"created"`) {
		t.Errorf("Migrate of a table whose Time to Live goes by another attribute = %v; want an error that names it", err)
	}
}

// New neither creates a table nor asks for one.
func TestNewCallsNothing(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	if l.gateway == nil {
		return // Amazon's own does not say
	}
	got := l.gateway.count(func() {
		s := dynamostore.New(l.client, dynamostore.Options{Table: "missing"})
		if err := s.Close(); err != nil {
			t.Errorf("Close = %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close once more = %v", err)
		}
	})
	if len(got) > 0 {
		t.Errorf("New and Close sent %v; want nothing", got)
	}
}
