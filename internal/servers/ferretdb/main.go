// Command ferretdb speaks MongoDB's protocol in front of a PostgreSQL with the
// DocumentDB extension. It is a module of its own, so that what FerretDB
// depends on stays out of the module that users require.
//
//	ferretdb -listen 127.0.0.1:27017 -postgres postgres://… -state FOLDER
//
// FerretDB's own command cannot be built from its module: a file that its
// release process generates is missing there. What it embeds can.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/FerretDB/FerretDB/v2/ferretdb"
)

func main() {
	var cfg ferretdb.Config
	flag.StringVar(&cfg.ListenAddr, "listen", "127.0.0.1:27017", "the `address` to serve")
	flag.StringVar(&cfg.PostgreSQLURL, "postgres", "", "the `URL` of the PostgreSQL database behind")
	flag.StringVar(&cfg.StateDir, "state", "", "the `folder` for FerretDB's own state")
	flag.Parse()
	cfg.LogLevel = slog.LevelWarn
	cfg.LogOutput = os.Stderr
	cfg.Telemetry = new(bool) // no report leaves the machine

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	server, err := ferretdb.New(&cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
	server.Run(ctx)
}
