package storeurl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pillboxgo/pillbox/store/mysqlstore"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

const (
	postgresForm = "postgres://USER:PASSWORD@HOST:PORT/DATABASE"
	mysqlForm    = "mysql://USER:PASSWORD@HOST:PORT/DATABASE"
)

// unknownVariable is MySQL's error for an option that is not even one of its own
// variables.
const unknownVariable = 1193

// openPostgres leaves to the driver the options that are not the store's, such
// as sslmode.
func openPostgres(ctx context.Context, text string, logger *slog.Logger) (*Opened, error) {
	a, err := parseAddress(text, postgresForm)
	if err != nil {
		return nil, err
	}
	opts := pgstore.Options{
		Table:      a.text("table", ""),
		Schema:     a.text("schema", ""),
		Watch:      a.flag("watch", true),
		PruneEvery: a.duration("prune"),
		Logger:     logger,
	}
	migrate := a.flag("migrate", false)
	if err := a.wrongs(); err != nil {
		return nil, err
	}
	base, _, _ := strings.Cut(text, "?")
	config, err := pgxpool.ParseConfig(base + "?" + a.rest().Encode())
	if err != nil {
		return nil, a.refused(err)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config) // does not connect
	if err != nil {
		return nil, a.refused(err)
	}
	return ready(ctx, pgstore.New(pool, opts), "postgres", migrate, func() error {
		pool.Close()
		return nil
	})
}

// openMySQL leaves to the driver the options that are not the store's, such as
// tls.
func openMySQL(ctx context.Context, text string, logger *slog.Logger) (*Opened, error) {
	a, err := parseAddress(text, mysqlForm)
	if err != nil {
		return nil, err
	}
	a.single()
	opts := mysqlstore.Options{
		Table: a.text("table", ""),
		Columns: mysqlstore.Columns{
			ID:      a.text("column_id", ""),
			Expires: a.text("column_expires", ""),
			Data:    a.text("column_data", ""),
		},
		MaxConns:   a.number("max_conns"),
		PruneEvery: a.duration("prune"),
		Logger:     logger,
	}
	migrate := a.flag("migrate", false)
	if err := a.wrongs(); err != nil {
		return nil, err
	}
	if a.path == "" {
		return nil, fmt.Errorf("store %s: names no database: want %s", a.scheme, mysqlForm)
	}
	// User and password are set afterwards, so that no error can quote them.
	config, err := mysql.ParseDSN("tcp(" + a.addrs("3306")[0] + ")/" + url.PathEscape(a.path) + "?" + a.rest().Encode())
	if err != nil {
		return nil, a.refused(err)
	}
	config.User, config.Passwd = a.user, a.password
	store, err := mysqlstore.OpenConfig(ctx, config, opts)
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok && e.Number == unknownVariable {
		for _, name := range slices.Sorted(maps.Keys(config.Params)) {
			a.unknown(name)
		}
		return nil, a.wrongs()
	}
	if err != nil {
		return nil, err
	}
	return ready(ctx, store, "mysql", migrate, func() error { return nil })
}
