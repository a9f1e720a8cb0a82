package wire

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
	"github.com/pillboxgo/pillbox/store/nearcache"
	"github.com/pillboxgo/pillbox/store/pgstore"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

const (
	user   session.Key[string] = "user"
	visits session.Key[int]    = "visits"
	values session.Key[[]int]  = "list"
)

// openPillbox opens Pillbox as its documentation says, with its defaults.
func openPillbox(ctx context.Context, s setting) (*site, error) {
	store, close, err := pillboxStore(ctx, s)
	if err != nil {
		return nil, err
	}
	return pillboxSite(s, store, close)
}

// near is the contender that reads through a near cache.
const near = measure.Pillbox + " with near cache"

// openNear opens Pillbox with the near cache before its store. A deadline that
// moves in each request would be a command in each, so here it is moved as the
// default has it, once a minute at most.
func openNear(ctx context.Context, s setting) (*site, error) {
	below, end, err := pillboxStore(ctx, s)
	if err != nil {
		return nil, err
	}
	store, err := nearcache.New(below, nearcache.Options{})
	if err != nil {
		end()
		return nil, err
	}
	s.slide = false
	return pillboxSite(s, store, func() { _ = store.Close(); end() })
}

// connections is how many a pool may have.
const connections = 16

func pillboxStore(ctx context.Context, s setting) (session.Store, func(), error) {
	switch s.store {
	case "redis":
		client, err := rueidisClient(s.url)
		if err != nil {
			return nil, nil, err
		}
		store := redisstore.New(client, redisstore.Options{})
		return store, func() { _ = store.Close(); client.Close() }, nil
	case "postgres":
		pool, err := pool(ctx, s.url)
		if err != nil {
			return nil, nil, err
		}
		store := pgstore.New(pool, pgstore.Options{})
		close := func() { _ = store.Close(); pool.Close() }
		if err := store.Migrate(ctx); err != nil {
			close()
			return nil, nil, err
		}
		return store, close, nil
	}
	store := memstore.New(memstore.Options{})
	return store, func() { _ = store.Close() }, nil
}

// rueidisClient returns a client with the options that package redisstore shows.
func rueidisClient(text string) (rueidis.Client, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	return rueidis.NewClient(rueidis.ClientOption{
		InitAddress:  []string{u.Host},
		DisableCache: true,
	})
}

// pool returns a pool of connections for any peer that uses PostgreSQL.
func pool(ctx context.Context, text string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, err
	}
	config.MaxConns, config.MinConns = connections, connections
	return pgxpool.NewWithConfig(ctx, config)
}

func pillboxSite(s setting, store session.Store, close func()) (*site, error) {
	config := session.Config{Store: store, Secrets: []string{secret}, IdleTimeout: idle}
	if s.slide {
		config.TouchEvery = -1
	}
	sessions, err := session.New(config)
	if err != nil {
		close()
		return nil, err
	}
	failed := func(w http.ResponseWriter, err error) { http.Error(w, err.Error(), session.Status(err)) }
	return routes{
		start: func(w http.ResponseWriter, r *http.Request) {
			s := session.From(r.Context())
			err := user.Set(s, "visitor")
			if err == nil {
				err = visits.Set(s, 0)
			}
			if err == nil {
				err = values.Set(s, []int{})
			}
			if err != nil {
				failed(w, err)
				return
			}
			say(w, "started")
		},
		read: func(w http.ResponseWriter, r *http.Request) {
			name, err := user.Get(session.From(r.Context()))
			if err != nil {
				failed(w, err)
				return
			}
			say(w, name)
		},
		write: func(w http.ResponseWriter, r *http.Request) {
			n, err := visits.Update(session.From(r.Context()), func(n int) int { return n + 1 })
			if err != nil {
				failed(w, err)
				return
			}
			say(w, fmt.Sprint(n))
		},
		append: func(w http.ResponseWriter, r *http.Request) {
			s := session.From(r.Context())
			_, err := values.Get(s)
			time.Sleep(work)
			if err == nil {
				v := number(r)
				_, err = values.Update(s, func(list []int) []int { return append(list, v) })
			}
			if err != nil {
				failed(w, err)
				return
			}
			say(w, "appended")
		},
		list: func(w http.ResponseWriter, r *http.Request) {
			list, err := values.Get(session.From(r.Context()))
			if err != nil {
				failed(w, err)
				return
			}
			say(w, text(list))
		},
		more: map[string]http.HandlerFunc{
			// The work depends on the list as it is when it is changed.
			"/append-inside": func(w http.ResponseWriter, r *http.Request) {
				v := number(r)
				_, err := values.Update(session.From(r.Context()), func(list []int) []int {
					time.Sleep(work)
					return append(list, v)
				})
				if err != nil {
					failed(w, err)
					return
				}
				say(w, "appended")
			},
		},
	}.site(sessions.Handler, close), nil
}
