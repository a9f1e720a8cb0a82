package dynamostore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	smithy "github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// What an operator can do about a failure.
const (
	remedyTable = "there is no such table here: check the region and the endpoint, or let Migrate create it"

	remedyThrottled = "raise the table's capacity, or let it be paid by request (PAY_PER_REQUEST)"

	remedyAccess = "allow dynamodb:GetItem, PutItem, UpdateItem, DeleteItem, BatchGetItem, BatchWriteItem and Scan on the table; " +
		"Migrate needs CreateTable, DescribeTable, DescribeTimeToLive and UpdateTimeToLive as well"

	remedyCredentials = "check the access key, that it has not expired, and this machine's clock"

	remedyNoCredentials = "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role"

	remedyRegion = "set the region: AWS_REGION, or Region in the client's configuration"

	remedySize = "an item of DynamoDB has no more than 400 KB, with all that others have added to it"

	remedyKey = "the table has another key: set Options.HashKey"

	remedyReach = "DynamoDB does not answer: check the region, the endpoint and the network"
)

func remedy(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		message := strings.ToLower(e.ErrorMessage())
		switch e.ErrorCode() {
		case "ResourceNotFoundException":
			return remedyTable
		case "ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException", "Throttling":
			return "DynamoDB throttles: " + remedyThrottled
		case "AccessDeniedException":
			return remedyAccess
		case "ItemCollectionSizeLimitExceededException":
			return remedySize
		case "ValidationException":
			switch {
			case strings.Contains(message, "item size"):
				return remedySize
			case strings.Contains(message, "key element does not match") || strings.Contains(message, "missing the key"):
				return remedyKey
			}
		}
		if aboutCredentials(e) {
			return remedyCredentials
		}
		return ""
	}
	if _, ok := errors.AsType[*smithyhttp.RequestSendError](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return remedyReach
	}
	// The SDK has no types for these.
	switch message := err.Error(); {
	case strings.Contains(message, "Missing Region"), strings.Contains(message, "region was not a valid"):
		return remedyRegion
	case strings.Contains(message, "credentials"):
		return remedyNoCredentials
	}
	return ""
}

// aboutCredentials reports whether the server does not accept who is asking. Its
// messages may repeat what was signed, which includes a session token.
func aboutCredentials(e smithy.APIError) bool {
	switch e.ErrorCode() {
	case "UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature",
		"IncompleteSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
		"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId":
		return true
	}
	return false
}

// fail names the operation and the cause, and where an operator can do something
// about it, the table, the server and the remedy. DynamoDB's messages name
// attributes but no values, so neither id nor data gets into them.
func (s *Store) fail(operation string, err error) error {
	if err == nil {
		return nil
	}
	if contract.Answers(err) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("pillbox: dynamodb %s: %w", operation, err)
	}
	hint := remedy(err)
	if hint == "" {
		return fmt.Errorf("pillbox: dynamodb %s: %w", operation, err)
	}
	if e, ok := errors.AsType[smithy.APIError](err); ok && aboutCredentials(e) {
		return fmt.Errorf("pillbox: dynamodb %s: table %s %s: %s: %s", operation, s.table, s.where(), hint, e.ErrorCode())
	}
	return fmt.Errorf("pillbox: dynamodb %s: table %s %s: %s: %w", operation, s.table, s.where(), hint, err)
}

// where says which server the client talks to.
func (s *Store) where() string {
	options := s.client.Options()
	if u, err := url.Parse(aws.ToString(options.BaseEndpoint)); err == nil && u.Host != "" {
		return "at " + u.Host
	}
	if options.Region == "" {
		return "in no region"
	}
	return "in " + options.Region
}
