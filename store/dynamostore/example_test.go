package dynamostore_test

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/dynamostore"
)

func ExampleNew() {
	ctx := context.Background()
	cfg, err := settings(servers.ForExample(servers.DynamoDB).URL) // config.LoadDefaultConfig(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	client := dynamodb.NewFromConfig(cfg)

	store := dynamostore.New(client, dynamostore.Options{Table: "example"})
	defer store.Close()
	if err := store.Migrate(ctx); err != nil {
		fmt.Println(err)
		return
	}

	err = store.Create(ctx, "an-id", session.Record{
		Data:     []byte(`{"pills":3}`),
		Deadline: time.Now().Add(30 * time.Minute),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	// This is all that an Express application with connect-dynamodb needs.
	table := "example"
	out, err := client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &table,
		Key:       map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "sess:an-id"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out.Item["sess"].(*types.AttributeValueMemberS).Value)
	// Output: {"pills":3}
}
