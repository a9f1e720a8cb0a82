package inprocess

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

// secret signs cookies wherever an implementation signs them: 32 bytes, as all
// of their documentations ask for.
const secret = "a secret of the bench, 32 bytes."

const (
	countKey session.Key[int]      = "count"
	pillsKey session.Key[[]string] = "pills"
)

var pillboxOps = ops[request]{
	get: func(c request) (int, bool, error) {
		// Zero where there is none: the values that are read begin at one.
		n, err := countKey.Get(session.From(c.r.Context()))
		return n, n != 0, err
	},
	set: func(c request, n int) error {
		return countKey.Set(session.From(c.r.Context()), n)
	},
	put: func(c request, values map[string]any) error {
		s := session.From(c.r.Context())
		var errs []error
		for key, v := range values {
			switch v := v.(type) {
			case int:
				errs = append(errs, session.Key[int](key).Set(s, v))
			case string:
				errs = append(errs, session.Key[string](key).Set(s, v))
			case []string:
				errs = append(errs, pillsKey.Set(s, v))
			}
		}
		return errors.Join(errs...)
	},
}

// pillboxOn returns the site of Pillbox with this store.
func pillboxOn(store session.Store, closing func() error) (site, error) {
	m, err := session.New(session.Config{Store: store, Secrets: []string{secret}})
	if err != nil {
		return nil, err
	}
	j := new(job)
	return newWebSite(j, m.Handler(serve(j, pillboxOps)), closing), nil
}

// openPillbox keeps sessions in memory. The bounds are off: peers have none, and
// a million sessions are the bound.
func openPillbox() (site, error) {
	store := memstore.New(memstore.Options{MaxSessions: -1, MaxBytes: -1})
	return pillboxOn(store, store.Close)
}

// pillboxInSQLite keeps sessions in a database in a folder of its own.
func pillboxInSQLite() (site, error) {
	folder, remove, err := temporary()
	if err != nil {
		return nil, err
	}
	store, err := sqlitestore.Open(context.Background(), filepath.Join(folder, "sessions.db"), sqlitestore.Options{})
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	return pillboxOn(store, func() error { return errors.Join(store.Close(), remove()) })
}

// openBare is the same handler without sessions.
func openBare() (site, error) {
	j := new(job)
	return newWebSite(j, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	}), nil), nil
}
