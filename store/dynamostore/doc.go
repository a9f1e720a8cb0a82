// Package dynamostore keeps sessions in a DynamoDB table.
package dynamostore
