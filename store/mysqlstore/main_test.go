package mysqlstore_test

import (
	"flag"
	"os"
	"testing"

	"github.com/pillboxgo/pillbox/internal/processes"
	"github.com/pillboxgo/pillbox/internal/servers"
)

func TestMain(m *testing.M) {
	processes.Run(openShared, nil)
	// The suite waits for records to die, which takes whole seconds here.
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		flag.Set("test.parallel", "8")
	}
	os.Exit(servers.Main(m, servers.MariaDB))
}
