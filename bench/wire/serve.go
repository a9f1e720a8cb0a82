package wire

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
)

// Serve is the command "serve", as which the rows start the executable again: it
// serves one peer's application on a free port of the loopback interface, prints
// the address, and returns when its standard input ends.
func Serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	name := flags.String("peer", "", "the peer's `name`")
	var s setting
	flags.StringVar(&s.store, "store", "memory", "where its sessions are: memory, redis or postgres")
	flags.StringVar(&s.url, "url", "", "the `URL` of the store's server")
	flags.BoolVar(&s.slide, "slide", false, "let each request move the session's deadline")
	if err := flags.Parse(args); err != nil {
		return err
	}
	p, err := peerNamed(*name)
	if err != nil {
		return err
	}
	site, err := p.start(context.Background(), s)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	failed := make(chan error, 1)
	go func() {
		if site.serve != nil {
			failed <- site.serve(l)
		} else {
			failed <- http.Serve(l, site.handler)
		}
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin) // however it ends
	}()
	select {
	case err := <-failed:
		return errors.Join(errors.New("the server ended"), err)
	case <-ended:
		site.close()
		return nil
	}
}
