// Package storeurl opens a session store by its URL, as the programs take it on
// their command lines.
package storeurl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

// An Opened is a session store that is open.
type Opened struct {
	// Store is the store itself, with whatever optional powers it has.
	Store session.Store

	// Name is what people call its kind: "sqlite", for one.
	Name string

	// Dir is the directory of a store that is a file, or "".
	Dir string

	close func() error
}

// Close closes the store, and the connections that it has.
func (o *Opened) Close() error { return o.close() }

// A kind of store is known by the schemes of its URLs.
type kind struct {
	schemes []string
	form    string // of the URL
	open    func(ctx context.Context, text string, logger *slog.Logger) (*Opened, error)
}

var kinds = []kind{
	{[]string{"memory"}, "memory:", openMemory},
	{[]string{"sqlite"}, "sqlite:PATH", openSQLite},
	{[]string{"redis", "rediss"}, redisForm, openRedis},
	{[]string{"redis+cluster", "rediss+cluster"}, clusterForm, openRedis},
	{[]string{"redis+sentinel", "rediss+sentinel"}, sentinelForm, openRedis},
	{[]string{"postgres", "postgresql"}, postgresForm, openPostgres},
	{[]string{"mysql", "mariadb"}, mysqlForm, openMySQL},
	{[]string{"mongodb", "mongodb+srv"}, mongoForm, openMongo},
	{[]string{"dynamodb"}, dynamoForm, openDynamo},
}

// Forms returns the form of each URL that Open takes.
func Forms() []string {
	var forms []string
	for _, k := range kinds {
		forms = append(forms, k.form)
	}
	return forms
}

// openTime bounds how long Open waits for a server.
const openTime = 10 * time.Second

// Open opens the store with this URL. It fails if the store's server cannot be
// used at the time. Its errors quote no password.
func Open(ctx context.Context, url string, logger *slog.Logger) (*Opened, error) {
	scheme, _, ok := strings.Cut(url, ":")
	if !ok {
		if strings.ContainsAny(url, "=@ ") {
			url = "store" // it may be a connection string, with a password
		} else {
			url = fmt.Sprintf("store %q", url)
		}
		return nil, fmt.Errorf("%s has no scheme: want %s", url, oneOf(Forms()))
	}
	ctx, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	for _, k := range kinds {
		for _, s := range k.schemes {
			if s == scheme {
				return k.open(ctx, url, logger)
			}
		}
	}
	return nil, fmt.Errorf("store has the unknown scheme %q: want %s", scheme, oneOf(Forms()))
}

func oneOf(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func openMemory(_ context.Context, text string, logger *slog.Logger) (*Opened, error) {
	if text != "memory:" {
		return nil, fmt.Errorf("store memory: takes nothing after the colon")
	}
	store := memstore.New(memstore.Options{Logger: logger})
	return &Opened{Store: store, Name: "memory", close: store.Close}, nil
}

func openSQLite(ctx context.Context, text string, logger *slog.Logger) (*Opened, error) {
	path := strings.TrimPrefix(text, "sqlite:")
	if path == "" {
		return nil, errNoFile()
	}
	store, err := sqlitestore.Open(ctx, path, sqlitestore.Options{Logger: logger})
	if err != nil {
		return nil, err
	}
	return &Opened{Store: store, Name: "sqlite", Dir: filepath.Dir(path), close: store.Close}, nil
}

func errNoFile() error {
	return errors.New("store sqlite: names no file: want sqlite:PATH, such as sqlite:medicine.db")
}

// A remote store is on a server.
type remote interface {
	session.Store
	Ping(context.Context) error
	Close() error
}

// A migrater can make what it needs on its server.
type migrater interface {
	Migrate(context.Context) error
}

// ready returns the store if its server can be used, having made there what the
// store needs if it is to. Otherwise it closes the store, and what lies below.
func ready(ctx context.Context, store remote, name string, migrate bool, below func() error) (*Opened, error) {
	shut := func() error { return errors.Join(store.Close(), below()) }
	var err error
	if m, ok := store.(migrater); ok && migrate {
		err = m.Migrate(ctx)
	}
	if err == nil {
		err = store.Ping(ctx)
	}
	if err != nil {
		_ = shut() // what went wrong before says more
		if !migrate && strings.Contains(err.Error(), "Migrate") {
			err = fmt.Errorf("%w: to have it made, add the option migrate=true to the store's URL", err)
		}
		return nil, err
	}
	return &Opened{Store: store, Name: name, close: shut}, nil
}
