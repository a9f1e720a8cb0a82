package dynamostore_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/pillboxgo/pillbox/store/dynamostore"
)

// What an operator reads when something is not set up: the server, the table and
// the remedy, and no secret.
func TestPing(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		if err := l.store.Ping(t.Context()); err != nil {
			t.Errorf("Ping = %v", err)
		}
		const secret = "wJalrXUtnFEMIsecret"
		for _, test := range []struct {
			name   string
			client *dynamodb.Client
			opts   dynamostore.Options
			want   []string
		}{
			{"no table", l.client, dynamostore.Options{Table: "missing"}, []string{"table missing", "Migrate", "region"}},
			{"another key", l.client, dynamostore.Options{HashKey: "sid"}, []string{"Options.HashKey"}},
			{"no server", dynamodb.New(dynamodb.Options{
				Region: "eu-central-1", BaseEndpoint: aws.String("http://127.0.0.1:1"), RetryMaxAttempts: 1,
				Credentials: credentials.NewStaticCredentialsProvider("AKIA", secret, "session-"+secret),
			}), dynamostore.Options{}, []string{"127.0.0.1:1", "endpoint", "connection refused"}},
			{"no region", dynamodb.New(dynamodb.Options{
				Credentials: credentials.NewStaticCredentialsProvider("AKIA", secret, ""),
			}), dynamostore.Options{}, []string{"AWS_REGION"}},
			{"no credentials", dynamodb.New(dynamodb.Options{
				Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("", "", ""),
			}), dynamostore.Options{}, []string{"AWS_ACCESS_KEY_ID", "eu-central-1"}},
		} {
			if test.opts.Table == "" {
				test.opts.Table = l.table
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			err := dynamostore.New(test.client, test.opts).Ping(ctx)
			cancel()
			if err == nil {
				t.Errorf("%s: Ping = nil; want an error", test.name)
				continue
			}
			for _, part := range append(test.want, "pillbox: dynamodb ping: ") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%s: Ping = %v; want %q in it", test.name, err, part)
				}
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: Ping shows a secret: %v", test.name, err)
			}
		}
	})
}

// What DynamoDB answers to those it does not serve, which no emulator does.
func TestRefusedByDynamoDB(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	if l.gateway == nil {
		return // there is nothing between us and Amazon's own
	}
	if err := l.store.Create(t.Context(), "id", record(bob)); err != nil {
		t.Fatal(err)
	}
	const token = "AQoDYXdzsecret"
	for code, want := range map[string]string{
		"AccessDeniedException":                  "allow dynamodb:GetItem",
		"UnrecognizedClientException":            "check the access key",
		"ExpiredTokenException":                  "has not expired",
		"InvalidSignatureException":              "clock",
		"ProvisionedThroughputExceededException": "PAY_PER_REQUEST",
		"RequestLimitExceeded":                   "PAY_PER_REQUEST",
		"ThrottlingException":                    "PAY_PER_REQUEST",
		"InternalServerError":                    "InternalServerError",
	} {
		message := "You may not."
		if strings.Contains(want, "clock") {
			message = "The Canonical String should have been 'x-amz-security-token:" + token + "'"
		}
		l.gateway.refusing(func(string) (int, string) {
			status := http.StatusBadRequest
			if code == "InternalServerError" {
				status = http.StatusInternalServerError
			}
			return status, `{"__type":"com.amazonaws.dynamodb.v20120810#` + code + `","message":"` + message + `"}`
		})
		for name, err := range map[string]error{
			"Load":   second(l.store.Load(t.Context(), "id", noSlide)),
			"Update": l.store.Update(t.Context(), "id", []byte(bob), []byte(bob), in(time.Hour)),
			"Ping":   l.store.Ping(t.Context()),
		} {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), code) {
				t.Errorf("%s where DynamoDB answers %s = %v; want %q in it", name, code, err, want)
				continue
			}
			if isAnswer(err) || strings.Contains(err.Error(), token) {
				t.Errorf("%s where DynamoDB answers %s = %v; want neither an answer of the contract nor a secret", name, code, err)
			}
		}
	}
	l.gateway.refusing(nil)
	if err := l.store.Update(t.Context(), "id", []byte(bob), []byte(bob), in(time.Hour)); err != nil {
		t.Errorf("Update afterwards = %v", err)
	}
}

// DynamoDB throttles for a while, and the client's retries get through.
func TestThrottledForAWhile(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	if l.gateway == nil {
		return // there is nothing between us and Amazon's own
	}
	if err := l.store.Create(t.Context(), "id", record(bob)); err != nil {
		t.Fatal(err)
	}
	patient := l.open(t, l.dial(t, l.address(t), func(o *dynamodb.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 1000, 50*time.Millisecond, unlimited{}
		})
	}), dynamostore.Options{})
	for name, call := range map[string]func(ctx context.Context, s *dynamostore.Store) error{
		"Load": func(ctx context.Context, s *dynamostore.Store) error { return second(s.Load(ctx, "id", noSlide)) },
		"Update": func(ctx context.Context, s *dynamostore.Store) error {
			return s.Update(ctx, "id", []byte(bob), []byte(bob), in(time.Hour))
		},
		"Touch": func(ctx context.Context, s *dynamostore.Store) error { return s.Touch(ctx, "id", in(2*time.Hour)) },
		"Count": func(ctx context.Context, s *dynamostore.Store) error { return second(s.Count(ctx)) },
	} {
		left := 2 // of three attempts
		l.gateway.refusing(func(string) (int, string) {
			if left--; left < 0 {
				return 0, ""
			}
			return http.StatusBadRequest, throttled
		})
		if err := call(t.Context(), l.store); err != nil {
			t.Errorf("%s throttled twice = %v; want nil", name, err)
		}
		// Until the context ends: the error says why, and not only when.
		l.gateway.refusing(func(string) (int, string) { return http.StatusBadRequest, throttled })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := call(ctx, patient)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "PAY_PER_REQUEST") || !errors.Is(err, context.DeadlineExceeded) || isAnswer(err) {
			t.Errorf("%s throttled for long = %v; want an error that says so", name, err)
		}
		l.gateway.refusing(nil)
	}
}

const throttled = `{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"The level of configured provisioned throughput for the table was exceeded."}`
