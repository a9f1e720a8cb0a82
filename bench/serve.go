package main

import "github.com/pillboxgo/pillbox/bench/wire"

// serve is the command "serve", for the rows that measure other processes.
func serve(args []string) error { return wire.Serve(args) }
