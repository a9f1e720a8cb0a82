package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/pillboxgo/pillbox/internal/storeurl"
	"github.com/pillboxgo/pillbox/medicine/users"
)

// openUsers opens the accounts at a URL. The function that closes them is never
// nil.
func openUsers(ctx context.Context, url string, logger *slog.Logger) (table users.Table, shut func() error, err error) {
	shut = func() error { return nil }
	if url == memory {
		return new(users.Memory), shut, nil
	}
	db, err := storeurl.OpenDatabase(ctx, url, logger)
	if err != nil {
		return nil, shut, err
	}
	table, err = users.New(ctx, db.DB, users.Dialect(db.Kind))
	if err != nil {
		return nil, shut, errors.Join(err, db.Close())
	}
	return table, db.Close, nil
}
