// Package storeurl opens a session store by its URL, as the programs take it on
// their command lines.
package storeurl

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

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

// Close closes the store.
func (o *Opened) Close() error { return o.close() }

const schemes = "memory: or sqlite:PATH"

// Open opens the store with this URL. Its errors quote no password.
func Open(ctx context.Context, url string, logger *slog.Logger) (*Opened, error) {
	scheme, rest, ok := strings.Cut(url, ":")
	if !ok {
		return nil, fmt.Errorf("store %q has no scheme: want %s", url, schemes)
	}
	switch scheme {
	case "memory":
		if rest != "" {
			return nil, fmt.Errorf("store memory: takes nothing after the colon")
		}
		store := memstore.New(memstore.Options{Logger: logger})
		return &Opened{Store: store, Name: "memory", close: store.Close}, nil
	case "sqlite":
		if rest == "" {
			return nil, fmt.Errorf("store sqlite: names no file: want sqlite:PATH, such as sqlite:medicine.db")
		}
		store, err := sqlitestore.Open(ctx, rest, sqlitestore.Options{Logger: logger})
		if err != nil {
			return nil, err
		}
		return &Opened{Store: store, Name: "sqlite", Dir: filepath.Dir(rest), close: store.Close}, nil
	}
	return nil, fmt.Errorf("store has the unknown scheme %q: want %s", scheme, schemes)
}
