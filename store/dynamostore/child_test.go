package dynamostore_test

import (
	"os"
)

const childVar = "DYNAMOSTORE_TEST_CHILD"

func child(role string) { os.Exit(1) }
