// Medicine runs the application that shows what Pillbox is for: a pharmacy whose
// visitors' pills live in their sessions.
//
//	go run ./cmd/medicine
//
// With nothing set it serves http://localhost:8080, keeps the sessions in
// medicine.db in the working directory and signs their cookies with a secret
// that it makes once and keeps in medicine.secret beside it. "medicine -help"
// lists the flags and the environment variables that they go by.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pillboxgo/pillbox/internal/storeurl"
	"github.com/pillboxgo/pillbox/medicine"
	"github.com/pillboxgo/pillbox/session"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "medicine:", err)
		os.Exit(1)
	}
}

// shutdownTime is how long requests that are under way may take to finish.
const shutdownTime = 10 * time.Second

// run serves the application until ctx is done.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	opts, err := parseOptions(args, getenv, stderr)
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))

	store, err := storeurl.Open(ctx, opts.store, logger)
	if err != nil {
		return fmt.Errorf("%w (the store is chosen by -store or SESSION_STORE)", err)
	}
	accounts, closeUsers, err := openUsers(ctx, opts.users, logger)
	defer func() {
		// What the sessions name is there for as long as they are.
		if err := errors.Join(store.Close(), closeUsers()); err != nil {
			logger.Error("closing the store", "error", err)
		}
	}()
	if err != nil {
		return fmt.Errorf("%w (where accounts are kept is chosen by -users or USERS_STORE)", err)
	}
	secrets, err := opts.secrets(store.Dir)
	if err != nil {
		return err
	}
	app, err := medicine.New(medicine.Config{
		Session: session.Config{
			Store:           store.Store,
			Secrets:         secrets,
			Cookie:          session.Cookie{Name: opts.cookieName, Secure: opts.secure()},
			IdleTimeout:     opts.idle,
			AbsoluteTimeout: opts.absolute,
			TrustedProxies:  opts.proxies,
			Logger:          logger,
		},
		Users:     accounts,
		Origins:   opts.origins,
		StoreName: store.Name,
	})
	if err != nil {
		return opts.explain(err)
	}
	defer app.Close() // before the store

	listener, err := net.Listen("tcp", opts.addr)
	if err != nil {
		return fmt.Errorf("%w: choose another address with -addr or PORT", err)
	}
	server := &http.Server{
		Handler:           app.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute, // or a client that reads nothing keeps its goroutine
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	server.RegisterOnShutdown(app.Close) // open pages would hold it up
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(stdout, "Medicine is open at %s (sessions: %s)\n", address(listener.Addr()), store.Name)

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	fmt.Fprintln(stdout, "Medicine is closing.")
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		return fmt.Errorf("requests still under way after %v were cut off: %w", shutdownTime, errors.Join(err, server.Close()))
	}
	return nil
}

// address returns what to type into a browser on this machine.
func address(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return a.String()
	}
	if tcp.IP.IsUnspecified() || tcp.IP.IsLoopback() {
		// Browsers keep a Secure cookie from http://localhost.
		return fmt.Sprintf("http://localhost:%d", tcp.Port)
	}
	return "http://" + tcp.String()
}
