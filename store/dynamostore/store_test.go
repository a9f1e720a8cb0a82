package dynamostore_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/session/storetest"
	"github.com/pillboxgo/pillbox/store/dynamostore"
)

// kinds are the servers that most tests run against.
var kinds = []servers.Kind{servers.DynamoDB, servers.DynamoDBMoto}

// onEach runs a test on each kind of server, at the same time.
func onEach(t *testing.T, test func(t *testing.T, l *lab)) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(t, newLab(t, servers.Shared(t, kind)))
		})
	}
}

// A lab is a table of a test's own on a server.
type lab struct {
	server  *servers.Server
	gateway *gateway // in front of an emulator; nil for Amazon's own
	client  *dynamodb.Client
	table   string
	store   *dynamostore.Store
}

// newLab creates a table with Migrate.
func newLab(t testing.TB, server *servers.Server) *lab {
	t.Helper()
	l := &lab{server: server, table: "pillbox-" + rand.Text()}
	if len(server.Addrs) > 0 {
		l.gateway = newGateway(t, server)
	}
	l.client = l.dial(t, l.address(t))
	l.store = l.open(t, l.client, dynamostore.Options{Logger: slog.New(slog.DiscardHandler)}) // dynalite has no Time to Live
	if err := l.store.Migrate(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		// Of a server that the test has killed this fails.
		_, _ = l.client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &l.table})
	})
	return l
}

// open returns another store on the table.
func (l *lab) open(t testing.TB, client *dynamodb.Client, opts dynamostore.Options) *dynamostore.Store {
	t.Helper()
	if opts.Table == "" {
		opts.Table = l.table
	}
	s := dynamostore.New(client, opts)
	t.Cleanup(func() { s.Close() })
	return s
}

// address is where the server is for clients.
func (l *lab) address(t testing.TB) string {
	t.Helper()
	if l.gateway != nil {
		return l.gateway.addr
	}
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return "dynamodb." + cfg.Region + ".amazonaws.com:443"
}

// dial returns a client with connections of its own, which all go to an address
// whatever the endpoint. It retries as often as others do, but sooner.
func (l *lab) dial(t testing.TB, addr string, options ...func(*dynamodb.Options)) *dynamodb.Client {
	t.Helper()
	transport := &http.Transport{
		MaxIdleConnsPerHost: 64,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	cfg, err := settings(l.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg.HTTPClient = &http.Client{Transport: transport}
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 50 * time.Millisecond })
	}
	return dynamodb.NewFromConfig(cfg, options...)
}

// settings are for the server at a URL, or for Amazon's own.
func settings(url string) (aws.Config, error) {
	if url == "aws" {
		return config.LoadDefaultConfig(context.Background())
	}
	return aws.Config{
		Region:       "eu-central-1",
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		BaseEndpoint: &url,
	}, nil
}

// A linked store has a way to its server that can be made to fail.
type linked struct {
	*dynamostore.Store
	lab  *lab
	link *servers.Link
}

// The contract is examined on dynalite, and with PILLBOX_TEST_MOTO=1 in the
// environment on moto as well. That takes minutes, at a hundred commands a second,
// and says less: moto's conditional writes are not atomic, so that the gateway
// makes them take turns.
func TestContract(t *testing.T) {
	contract := kinds[:1]
	if os.Getenv("PILLBOX_TEST_MOTO") == "1" {
		contract = kinds
	}
	for _, kind := range contract {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			server := servers.Shared(t, kind)
			again := func(t *testing.T, s session.Store) session.Store {
				l := s.(linked)
				return linked{l.lab.open(t, l.lab.dial(t, l.lab.address(t)), dynamostore.Options{}), l.lab, l.link}
			}
			storetest.RunConfig(t, storetest.Config{
				Open: func(t *testing.T) session.Store {
					lab := newLab(t, server)
					link := servers.Proxy(t, lab.address(t))
					return linked{lab.open(t, lab.dial(t, link.Addr), dynamostore.Options{}), lab, link}
				},
				Peer:   again,
				Reopen: again,
				Stall: func(t *testing.T, s session.Store) func() {
					s.(linked).link.BlackHole()
					return s.(linked).link.Up
				},
				Break:    func(t *testing.T, s session.Store) { s.(linked).link.Down() },
				MaxBytes: dynamostore.MaxBytes,
			})
		})
	}
}

// in returns the moment d from now, in whole milliseconds as the Manager passes
// it.
func in(d time.Duration) time.Time { return time.Now().Add(d).Truncate(time.Millisecond) }

// record returns a record that lives for an hour.
func record(data string) session.Record {
	return session.Record{Data: []byte(data), Deadline: in(time.Hour)}
}

func second[T any](_ T, err error) error { return err }

// object returns a JSON object of so many bytes.
func object(size int) string {
	return `{"a":"` + strings.Repeat("a", size-len(`{"a":""}`)) + `"}`
}

// sharedDynalite is for what only one kind of server is needed.
func sharedDynalite(t testing.TB) *servers.Server {
	t.Helper()
	return servers.Shared(t, servers.DynamoDB)
}

var noSlide session.Slide

// isAnswer reports whether an error is one of the contract's answers.
func isAnswer(err error) bool {
	for _, answer := range []error{
		session.ErrNotFound, session.ErrConflict, session.ErrExists, session.ErrDamaged, session.ErrRevoked, session.ErrTooManySessions,
	} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}

// eventually waits until what holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waiting for %s took longer than 20 s", what)
		}
	}
}
