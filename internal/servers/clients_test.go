package servers_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/pillboxgo/pillbox/internal/servers"
)

func init() { logging.Disable() } // failovers are what is tested

// keep writes a value, so that it is acknowledged.
func keep(ctx context.Context, s *servers.Server) error {
	switch s.Kind {
	case servers.Postgres:
		return withPostgres(ctx, s, func(conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "CREATE TABLE kept AS SELECT 'yes' AS v")
			return err
		})
	case servers.MariaDB, servers.MySQL:
		return withMySQL(s, func(db *sql.DB) error {
			_, err := db.ExecContext(ctx, "CREATE TABLE kept (v TEXT)")
			if err == nil {
				_, err = db.ExecContext(ctx, "INSERT INTO kept VALUES ('yes')")
			}
			return err
		})
	case servers.MongoDB:
		return withMongoDB(ctx, s, func(db *mongo.Database) error {
			_, err := db.Collection("kept").InsertOne(ctx, bson.M{"_id": "v", "v": "yes"})
			return err
		})
	case servers.DynamoDB, servers.DynamoDBMoto:
		_, err := dynamo(ctx, s, "CreateTable", `{"TableName":"kept","BillingMode":"PAY_PER_REQUEST",
			"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}]}`)
		return err
	}
	return keepInRedis(ctx, s)
}

// keepInRedis writes through the master and waits for its replicas: what they
// do not have yet may be lost with the master, by design.
func keepInRedis(ctx context.Context, s *servers.Server) error {
	replicas := map[servers.Kind]int{servers.RedisCluster: 1, servers.RedisSentinel: 2}[s.Kind]
	addr := s.Addrs[0]
	for _, a := range s.Addrs {
		c := redis.NewClient(&redis.Options{Addr: a})
		if c.Set(ctx, "probe{kept}", "", 0).Err() == nil {
			addr = a
		}
		c.Close()
	}
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	conn := client.Conn()
	defer conn.Close()
	if err := conn.Set(ctx, "kept", "yes", 0).Err(); err != nil {
		return err
	}
	n, err := conn.Wait(ctx, replicas, 5*time.Second).Result()
	if err == nil && int(n) < replicas {
		err = fmt.Errorf("%d replicas have it; want %d", n, replicas)
	}
	return err
}

// kept reads what keep wrote.
func kept(ctx context.Context, s *servers.Server) (v string, err error) {
	switch s.Kind {
	case servers.Postgres:
		err = withPostgres(ctx, s, func(conn *pgx.Conn) error {
			return conn.QueryRow(ctx, "SELECT v FROM kept").Scan(&v)
		})
	case servers.MariaDB, servers.MySQL:
		err = withMySQL(s, func(db *sql.DB) error { return db.QueryRowContext(ctx, "SELECT v FROM kept").Scan(&v) })
	case servers.MongoDB:
		err = withMongoDB(ctx, s, func(db *mongo.Database) error {
			var doc struct{ V string }
			err := db.Collection("kept").FindOne(ctx, bson.M{"_id": "v"}).Decode(&doc)
			v = doc.V
			return err
		})
	case servers.DynamoDB, servers.DynamoDBMoto:
		v, err = dynamo(ctx, s, "ListTables", "{}")
		if strings.Contains(v, `"kept"`) {
			v = "yes"
		}
	default:
		err = withRedis(s, func(c redis.UniversalClient) error {
			v, err = c.Get(ctx, "kept").Result()
			return err
		})
	}
	return v, err
}

func withPostgres(ctx context.Context, s *servers.Server, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return do(conn)
}

func withMySQL(s *servers.Server, do func(*sql.DB) error) error {
	db, err := sql.Open("mysql", "root@tcp("+s.Addrs[0]+")/test")
	if err != nil {
		return err
	}
	defer db.Close()
	return do(db)
}

func withMongoDB(ctx context.Context, s *servers.Server, do func(*mongo.Database) error) error {
	client, err := mongo.Connect(options.Client().ApplyURI(s.URL))
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(ctx) }() // nothing hangs on it
	return do(client.Database("test"))
}

func withRedis(s *servers.Server, do func(redis.UniversalClient) error) error {
	o := &redis.UniversalOptions{Addrs: s.Addrs}
	if s.Kind == servers.RedisSentinel {
		o.Addrs, o.MasterName = s.Addrs[:3], s.MasterName
	}
	client := redis.NewUniversalClient(o)
	defer client.Close()
	return do(client)
}

// dynamo sends a request as the emulators want it, whose signature they do not
// check.
func dynamo(ctx context.Context, s *servers.Server, action, body string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("X-Amz-Target", "DynamoDB_20120810."+action)
	request.Header.Set("Content-Type", "application/x-amz-json-1.0")
	request.Header.Set("X-Amz-Date", "20260101T000000Z")
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=none/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var text strings.Builder
	err = response.Write(&text)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", action, text.String())
	}
	return text.String(), err
}
