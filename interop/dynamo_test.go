package interop_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/dynamostore"
)

func TestDynamo(t *testing.T) {
	t.Parallel()
	server := servers.Shared(t, servers.DynamoDB)
	b := &dynamoBackend{url: server.URL}
	b.client = b.connect(server.URL)
	newHouse(t, b, server, 24*time.Hour).test()
}

type dynamoBackend struct {
	url    string
	client *dynamodb.Client
}

func (b *dynamoBackend) connect(url string) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint: &url,
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

func (b *dynamoBackend) express(url, place string) map[string]any {
	return map[string]any{"kind": "dynamo", "url": url, "table": "interop-" + place}
}

func (b *dynamoBackend) open(t *testing.T, url, place string) session.Store {
	store := dynamostore.New(b.connect(url), dynamostore.Options{Table: "interop-" + place})
	t.Cleanup(func() { store.Close() })
	migrate(t, store)
	return store
}

func (b *dynamoBackend) key(id string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "sess:" + id}}
}

func (b *dynamoBackend) read(ctx context.Context, place, id string) (r row, err error) {
	out, err := b.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: aws.String("interop-" + place), Key: b.key(id), ConsistentRead: aws.Bool(true),
	})
	if err != nil || out.Item == nil {
		return row{}, err
	}
	var rest []string
	for name, value := range out.Item {
		switch value := value.(type) {
		case *types.AttributeValueMemberS:
			switch name {
			case "sess":
				r.data = value.Value
				continue
			case "id", "change": // the latter is Pillbox's own: it tells its writes apart
				continue
			}
			rest = append(rest, name+"="+value.Value)
		case *types.AttributeValueMemberN:
			if name == "expires" {
				seconds, err := strconv.ParseFloat(value.Value, 64)
				if err != nil {
					return row{}, err
				}
				r.expires = time.UnixMilli(int64(seconds * 1000))
				continue
			}
			rest = append(rest, name+"="+value.Value)
		default:
			rest = append(rest, fmt.Sprintf("%s: %T", name, value))
		}
	}
	slices.Sort(rest)
	r.rest = strings.Join(rest, " ")
	return r, nil
}

func (b *dynamoBackend) age(ctx context.Context, place, id string, d time.Duration) error {
	_, err := b.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: aws.String("interop-" + place), Key: b.key(id),
		UpdateExpression: aws.String("SET expires = :e"),
		ExpressionAttributeValues: map[string]types.AttributeValue{
			":e": &types.AttributeValueMemberN{Value: strconv.FormatInt(time.Now().Add(d).Unix(), 10)},
		},
	})
	return err
}

// tap lets calls that write to the server one at a time, and looks at the row
// after each.
func (b *dynamoBackend) tap(t *testing.T, place string) tap {
	n := &notes{backend: b, place: place}
	target, err := url.Parse(b.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, call, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		switch call {
		case "GetItem", "BatchGetItem", "Query", "Scan", "DescribeTable":
			proxy.ServeHTTP(w, r)
		default:
			n.enter()
			defer n.leave(t)
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return n.tap(t, server.URL)
}
