package nearcache

import (
	"context"
	"errors"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// What a store can do beside the verbs of every store is found by type assertion, so
// each set of powers that a store may have is a type here.
type (
	indexed struct {
		*cache
		users
	}
	administered struct {
		*cache
		users
		session.Lister
		session.Counter
		clearer
	}
	pruned struct {
		administered
		session.Pruner
	}
	watched struct {
		*cache
		watcher
	}
	indexedWatched struct {
		indexed
		watcher
	}
	administeredWatched struct {
		administered
		watcher
	}
	prunedWatched struct {
		pruned
		watcher
	}
)

var errPowers = errors.New("pillbox: new near cache: the store implements a set of optional interfaces that is not supported: see nearcache.New")

// withPowers gives the cache the powers of its store.
func withPowers(c *cache) (Store, error) {
	index, hasIndex := c.store.(session.UserIndex)
	lister, hasLister := c.store.(session.Lister)
	counter, hasCounter := c.store.(session.Counter)
	clears, hasClearer := c.store.(session.Clearer)
	pruner, hasPruner := c.store.(session.Pruner)
	watches, hasWatcher := c.store.(session.Watcher)

	some := hasLister || hasCounter || hasClearer
	all := hasLister && hasCounter && hasClearer && hasIndex
	if some && !all || hasPruner && !all {
		return nil, errPowers
	}
	i := indexed{c, users{c, index}}
	a := administered{c, i.users, lister, counter, clearer{c, clears}}
	p := pruned{a, pruner}
	w := watcher{c, watches}
	switch {
	case hasPruner && hasWatcher:
		return prunedWatched{p, w}, nil
	case hasPruner:
		return p, nil
	case all && hasWatcher:
		return administeredWatched{a, w}, nil
	case all:
		return a, nil
	case hasIndex && hasWatcher:
		return indexedWatched{i, w}, nil
	case hasIndex:
		return i, nil
	case hasWatcher:
		return watched{c, w}, nil
	}
	return c, nil
}

// users is the [session.UserIndex] of a cache.
type users struct {
	of    *cache
	index session.UserIndex
}

// UserIDs implements [session.UserIndex].
func (u users) UserIDs(ctx context.Context, user string) ([]string, error) {
	return u.index.UserIDs(ctx, user)
}

// RevokeUser implements [session.UserIndex]. Whose the cached records are is not
// known, so all of them are dropped.
func (u users) RevokeUser(ctx context.Context, user string, at time.Time, except ...string) (int, error) {
	u.of.beginAll()
	n, err := u.index.RevokeUser(ctx, user, at, except...)
	u.of.endAll()
	if err == nil {
		err = u.of.settle(ctx, "revoke user")
	}
	return n, err
}

// clearer is the [session.Clearer] of a cache.
type clearer struct {
	of    *cache
	store session.Clearer
}

// Clear implements [session.Clearer].
func (c clearer) Clear(ctx context.Context) error {
	c.of.beginAll()
	err := c.store.Clear(ctx)
	c.of.endAll()
	if err == nil {
		err = c.of.settle(ctx, "clear sessions")
	}
	return err
}

// watcher is the [session.Watcher] of a cache.
type watcher struct {
	of    *cache
	store session.Watcher
}

// Watch implements [session.Watcher]. Who is told of a record and then loads it
// gets what the store holds.
func (w watcher) Watch(ctx context.Context, changed func(digest string)) error {
	return w.store.Watch(ctx, func(text string) {
		if key, ok := parseDigest(text); ok {
			w.of.shard(key).forget(w.of, key)
		} else {
			w.of.forgetAll()
		}
		changed(text)
	})
}
