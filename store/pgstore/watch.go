package pgstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pillboxgo/pillbox/store/internal/sqltable"
	"github.com/pillboxgo/pillbox/store/internal/watch"
)

const (
	// quiet is how long nothing may be heard before the connection is tried:
	// one that was cut without a word stays silent for ever.
	quiet = 30 * time.Second

	// pingTimeout is how long that may take.
	pingTimeout = 10 * time.Second

	// The pauses between attempts to connect.
	firstPause, longestPause = 50 * time.Millisecond, 5 * time.Second
)

var errNotWatched = errors.New("Options.Watch is not set")

// Watch implements [session.Watcher]. Each call has a connection of its own for
// as long as it lasts, to which a [*sql.DB] has to grant a place among its
// MaxOpenConns. When the connection breaks it makes another one. Without
// [Options.Watch] it returns an error at once.
//
// It works on the server's own connections only, not through PgBouncer with
// transaction pooling.
func (s *Store) Watch(ctx context.Context, changed func(digest string)) error {
	if s.bad == nil && !s.watch {
		return s.fail(ctx, "watch sessions", errNotWatched)
	}
	if s.bad != nil {
		return s.fail(ctx, "watch sessions", s.bad)
	}
	// The hub is between the two so that somebody slow does not make the
	// server keep what it has to tell.
	var hub watch.Hub
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.listen(ctx, hub.TellDigest)
	}()
	err := hub.Watch(ctx, changed)
	<-ended
	return err
}

// listen tells of changes until ctx is done, over one connection after another.
func (s *Store) listen(ctx context.Context, tell func(digest string)) {
	pause := firstPause
	for ctx.Err() == nil {
		heard := false
		_ = s.db.keep(ctx, func(c *pgx.Conn) error {
			known, err := s.layout(ctx, c)
			if err != nil {
				return err
			}
			if _, err := c.Exec(ctx, "LISTEN "+sqltable.Quote('"', known.channel)); err != nil {
				return err
			}
			heard = true
			tell("") // what was changed before is not told
			return hear(ctx, c, tell)
		})
		if heard {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
		pause = min(2*pause, longestPause)
	}
}

// hear tells of what comes over the connection until that fails.
func hear(ctx context.Context, c *pgx.Conn, tell func(digest string)) error {
	for {
		brief, cancel := context.WithTimeout(ctx, quiet)
		note, err := c.WaitForNotification(brief)
		silent := brief.Err() != nil && ctx.Err() == nil && !c.IsClosed()
		cancel()
		switch {
		case err == nil:
			if digest := note.Payload; digest == "" || len(digest) == 64 {
				tell(digest)
			}
		case silent:
			brief, cancel := context.WithTimeout(ctx, pingTimeout)
			err := c.Ping(brief)
			cancel()
			if err != nil {
				return err
			}
		default:
			return err
		}
	}
}
