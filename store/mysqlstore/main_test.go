package mysqlstore_test

import (
	"os"
	"testing"

	"github.com/pillboxgo/pillbox/internal/servers"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }
