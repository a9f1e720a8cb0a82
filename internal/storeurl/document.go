package storeurl

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

	"github.com/pillboxgo/pillbox/store/dynamostore"
	"github.com/pillboxgo/pillbox/store/mongostore"
)

const (
	mongoForm  = "mongodb://USER:PASSWORD@HOST:PORT/DATABASE"
	dynamoForm = "dynamodb://REGION/TABLE"
)

// openMongo leaves to the driver the options that are not the store's, such as
// replicaSet.
func openMongo(ctx context.Context, text string, logger *slog.Logger) (*Opened, error) {
	a, err := parseAddress(text, mongoForm)
	if err != nil {
		return nil, err
	}
	opts := mongostore.Options{
		Collection: a.text("collection", ""),
		Object:     a.flag("object", false),
		PruneEvery: a.duration("prune"),
		Logger:     logger,
	}
	migrate := a.flag("migrate", false)
	if err := a.wrongs(); err != nil {
		return nil, err
	}
	if a.path == "" {
		return nil, fmt.Errorf("store %s: names no database: want %s", a.scheme, mongoForm)
	}
	base, _, _ := strings.Cut(text, "?")
	// The driver passes over what it does not know, so that a slip of the pen
	// would mean another collection.
	if parsed, err := connstring.Parse(base + "?" + a.rest().Encode()); err == nil {
		for name := range a.rest() {
			if slices.ContainsFunc(slices.Collect(maps.Keys(parsed.UnknownOptions)), func(o string) bool { return strings.EqualFold(o, name) }) {
				a.unknown(name)
			}
		}
	}
	if err := a.wrongs(); err != nil {
		return nil, err
	}
	client := options.Client().ApplyURI(base + "?" + a.rest().Encode())
	if err := client.Validate(); err != nil {
		return nil, a.refused(err)
	}
	conn, err := mongo.Connect(client) // does not wait for the server
	if err != nil {
		return nil, a.refused(err)
	}
	return ready(ctx, mongostore.New(conn.Database(a.path), opts), "mongodb", migrate, func() error {
		return conn.Disconnect(context.WithoutCancel(ctx))
	})
}

// openDynamo takes the credentials from where Amazon's own programs do, unless
// the URL has an access key as user and its secret as password.
func openDynamo(ctx context.Context, text string, logger *slog.Logger) (*Opened, error) {
	a, err := parseAddress(text, dynamoForm)
	if err != nil {
		return nil, err
	}
	a.single()
	opts := dynamostore.Options{
		Table:      a.path,
		HashKey:    a.text("hash_key", ""),
		Prefix:     a.text("prefix", ""),
		PruneEvery: a.duration("prune"),
		Logger:     logger,
	}
	opts.NoPrefix = a.options.Has("prefix") && opts.Prefix == ""
	endpoint := a.text("endpoint", "")
	if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		a.wrong("endpoint", "is no URL: want one such as http://localhost:8000")
	}
	migrate := a.flag("migrate", false)
	if err := a.wrongsOrUnknown(); err != nil {
		return nil, err
	}
	load := []func(*config.LoadOptions) error{config.WithRegion(a.hosts[0])}
	if a.user != "" {
		load = append(load, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(a.user, a.password, "")))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, a.refused(err)
	}
	client := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
	})
	return ready(ctx, dynamostore.New(client, opts), "dynamodb", migrate, func() error { return nil })
}
