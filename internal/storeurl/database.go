package storeurl

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

// A Database is open for an application's own tables, beside sessions or alone.
type Database struct {
	// DB is the pool of connections. Close closes it.
	DB *sql.DB

	// Kind is the dialect of its SQL: "sqlite", "postgres" or "mysql".
	Kind string

	// Dir is the directory of a database that is a file, or "".
	Dir string

	close func() error
}

// Close closes the database, and the connections that it has.
func (d *Database) Close() error { return d.close() }

var databases = []struct {
	schemes []string
	form    string
	open    func(ctx context.Context, text string, logger *slog.Logger) (*Database, error)
}{
	{[]string{"sqlite"}, "sqlite:PATH", sqliteDatabase},
	{[]string{"postgres", "postgresql"}, postgresForm, postgresDatabase},
	{[]string{"mysql", "mariadb"}, mysqlForm, mysqlDatabase},
}

// DatabaseForms returns the form of each URL that OpenDatabase takes.
func DatabaseForms() []string {
	var forms []string
	for _, d := range databases {
		forms = append(forms, d.form)
	}
	return forms
}

// IsDatabase reports whether a store's URL is that of a database in SQL, so that
// OpenDatabase takes it as well.
func IsDatabase(url string) bool {
	scheme, _, _ := strings.Cut(url, ":")
	for _, d := range databases {
		if slices.Contains(d.schemes, scheme) {
			return true
		}
	}
	return false
}

// maxDatabaseConns bounds the connections of a Database, which has little to do
// beside a store of sessions.
const maxDatabaseConns = 8

// OpenDatabase opens the database of a store's URL without the store, whose
// options in it play no part, but for the schema in PostgreSQL. It fails if the
// database cannot be used at the time. Its errors quote no password.
//
// A file of SQLite is opened, and made, as the store of sessions does: either may
// come first.
func OpenDatabase(ctx context.Context, url string, logger *slog.Logger) (*Database, error) {
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	scheme, _, ok := strings.Cut(url, ":")
	for _, d := range databases {
		if ok && slices.Contains(d.schemes, scheme) {
			return d.open(ctx, url, logger)
		}
	}
	if !ok {
		return nil, fmt.Errorf("the database has no scheme: want %s", oneOf(DatabaseForms()))
	}
	return nil, fmt.Errorf("the database has the unknown scheme %q: want %s", scheme, oneOf(DatabaseForms()))
}

func sqliteDatabase(ctx context.Context, text string, logger *slog.Logger) (*Database, error) {
	path := strings.TrimPrefix(text, "sqlite:")
	if path == "" {
		return nil, errNoFile()
	}
	store, err := sqlitestore.Open(ctx, path, sqlitestore.Options{PruneEvery: -1, Logger: logger})
	if err != nil {
		return nil, err
	}
	store.DB().SetMaxOpenConns(maxDatabaseConns)
	return &Database{DB: store.DB(), Kind: "sqlite", Dir: filepath.Dir(path), close: store.Close}, nil
}

// leave takes out of an address the options that are the store's.
func (a *address) leave(names ...string) {
	for _, name := range names {
		a.text(name, "")
	}
}

func postgresDatabase(ctx context.Context, text string, _ *slog.Logger) (*Database, error) {
	a, err := parseAddress(text, postgresForm)
	if err != nil {
		return nil, err
	}
	schema := a.text("schema", "")
	a.leave("table", "watch", "prune", "migrate")
	if err := a.wrongs(); err != nil {
		return nil, err
	}
	base, _, _ := strings.Cut(text, "?")
	config, err := pgxpool.ParseConfig(base + "?" + a.rest().Encode()) // the pool has options, too
	if err != nil {
		return nil, a.refused(err)
	}
	if schema != "" {
		config.ConnConfig.RuntimeParams["search_path"] = pgx.Identifier{schema}.Sanitize()
	}
	return reachable(ctx, a, stdlib.OpenDB(*config.ConnConfig), "postgres")
}

func mysqlDatabase(ctx context.Context, text string, _ *slog.Logger) (*Database, error) {
	a, err := parseAddress(text, mysqlForm)
	if err != nil {
		return nil, err
	}
	a.single()
	a.leave("table", "column_id", "column_expires", "column_data", "max_conns", "prune", "migrate")
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
	config.Logger = &mysql.NopLogger{} // what matters is in the errors of the calls, too
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, a.refused(err)
	}
	return reachable(ctx, a, sql.OpenDB(connector), "mysql")
}

// reachable returns a database that answers, or closes it.
func reachable(ctx context.Context, a *address, db *sql.DB, kind string) (*Database, error) {
	db.SetMaxOpenConns(maxDatabaseConns)
	db.SetMaxIdleConns(maxDatabaseConns)
	db.SetConnMaxIdleTime(time.Minute)
	// So that a name that has come to mean another server is asked for again.
	db.SetConnMaxLifetime(30 * time.Minute)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close() // what went wrong before says more
		return nil, a.refused(err)
	}
	return &Database{DB: db, Kind: kind, close: db.Close}, nil
}
