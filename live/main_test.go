package live_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/pillboxgo/pillbox/internal/servers"
)

// The test binary is also a server in a process of its own: run with childVar
// set, it serves instead of testing.
const childVar = "LIVE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) == "" {
		os.Exit(servers.Main(m))
	}
	if err := serveChild(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
