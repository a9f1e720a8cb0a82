package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	smithy "github.com/aws/smithy-go"
)

// Migrate creates the table if there is none, paid by request (PAY_PER_REQUEST),
// waits until it can be used, and switches DynamoDB's Time to Live on, which
// removes dead records within about two days, for nothing. It changes nothing
// else of a table that exists, may be called at every start and by several
// processes, and does not return before the table is there or ctx is done.
//
// A table with another key, or whose Time to Live goes by another attribute, is
// an error. Where the server has no Time to Live at all, as some emulators have
// none, Migrate tells the logger and succeeds: use [Options.PruneEvery] there.
//
// It needs the permissions dynamodb:CreateTable, DescribeTable,
// DescribeTimeToLive and UpdateTimeToLive, which the store's other methods do
// without.
func (s *Store) Migrate(ctx context.Context) error {
	err := s.createTable(ctx)
	if err == nil {
		err = s.expire(ctx)
	}
	return s.fail("migrate", err)
}

func (s *Store) createTable(ctx context.Context) error {
	for turn := 0; ; turn++ {
		table, err := s.describe(ctx)
		if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing && turn == 0 {
			_, err = s.call(ctx, func(opt func(*dynamodb.Options)) error {
				_, err := s.client.CreateTable(ctx, &dynamodb.CreateTableInput{
					TableName:   &s.table,
					BillingMode: types.BillingModePayPerRequest,
					AttributeDefinitions: []types.AttributeDefinition{
						{AttributeName: &s.hashKey, AttributeType: types.ScalarAttributeTypeS},
					},
					KeySchema: []types.KeySchemaElement{
						{AttributeName: &s.hashKey, KeyType: types.KeyTypeHash},
					},
				}, opt)
				return err
			})
			if _, raced := errors.AsType[*types.ResourceInUseException](err); err != nil && !raced {
				return err
			}
		} else if err != nil && (!missing || turn > 20) { // it may take a moment to be seen
			return err
		}
		if err == nil && table != nil && table.TableStatus != types.TableStatusCreating {
			return s.checkKey(table)
		}
		select {
		case <-time.After(min(10*time.Millisecond<<min(turn, 10), 2*time.Second)):
		case <-ctx.Done():
			return fmt.Errorf("the table is not ready yet: %w", ctx.Err())
		}
	}
}

func (s *Store) describe(ctx context.Context) (*types.TableDescription, error) {
	var out *dynamodb.DescribeTableOutput
	_, err := s.call(ctx, func(opt func(*dynamodb.Options)) (err error) {
		out, err = s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.table}, opt)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out.Table, nil
}

func (s *Store) checkKey(table *types.TableDescription) error {
	fits := len(table.KeySchema) == 1 && aws.ToString(table.KeySchema[0].AttributeName) == s.hashKey
	for _, a := range table.AttributeDefinitions {
		if aws.ToString(a.AttributeName) == s.hashKey && a.AttributeType != types.ScalarAttributeTypeS {
			fits = false
		}
	}
	if !fits {
		return fmt.Errorf("its key is another than the string %q alone: name another table, or set Options.HashKey", s.hashKey)
	}
	return nil
}

// expire switches Time to Live on.
func (s *Store) expire(ctx context.Context) error {
	var out *dynamodb.DescribeTimeToLiveOutput
	_, err := s.call(ctx, func(opt func(*dynamodb.Options)) (err error) {
		out, err = s.client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &s.table}, opt)
		return err
	})
	if err == nil {
		if ttl := out.TimeToLiveDescription; ttl != nil && (ttl.TimeToLiveStatus == types.TimeToLiveStatusEnabled ||
			ttl.TimeToLiveStatus == types.TimeToLiveStatusEnabling) {
			if name := aws.ToString(ttl.AttributeName); name != attrExpires {
				return fmt.Errorf("its Time to Live goes by the attribute %q: it has to be %q", name, attrExpires)
			}
			return nil
		}
		_, err = s.call(ctx, func(opt func(*dynamodb.Options)) error {
			_, err := s.client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
				TableName: &s.table,
				TimeToLiveSpecification: &types.TimeToLiveSpecification{
					AttributeName: aws.String(attrExpires), Enabled: aws.Bool(true),
				},
			}, opt)
			return err
		})
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok && e.ErrorCode() == "UnknownOperationException" {
		s.log.Warn("pillbox: this DynamoDB has no Time to Live: dead sessions stay until Prune removes them", "table", s.table)
		return nil
	}
	return err
}
