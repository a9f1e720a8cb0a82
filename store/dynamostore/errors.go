package dynamostore

import (
	"errors"
	"fmt"
	"net"
	"strings"

	smithy "github.com/aws/smithy-go"

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

	remedyReach = "the server cannot be reached: check the region, the endpoint and the network"
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
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return remedyReach
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
// about it, the table and the remedy. DynamoDB's messages name attributes but no
// values, so neither id nor data gets into them.
func (s *Store) fail(operation string, err error) error {
	if err == nil {
		return nil
	}
	if contract.Answers(err) {
		return fmt.Errorf("pillbox: dynamodb %s: %w", operation, err)
	}
	hint := remedy(err)
	if e, ok := errors.AsType[smithy.APIError](err); ok && aboutCredentials(e) {
		return fmt.Errorf("pillbox: dynamodb %s: table %s: %s: %s", operation, s.table, hint, e.ErrorCode())
	}
	if hint != "" {
		return fmt.Errorf("pillbox: dynamodb %s: table %s: %s: %w", operation, s.table, hint, err)
	}
	return fmt.Errorf("pillbox: dynamodb %s: %w", operation, err)
}
