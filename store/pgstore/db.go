package pgstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// A db lends connections. What both kinds lend is a connection of pgx, whose
// pipelines and notifications database/sql has no words for.
type db interface {
	// with calls work with a connection, and takes it back afterwards,
	// whatever state it is in.
	with(ctx context.Context, work func(*pgx.Conn) error) error

	// keep is with for work that does not end soon, and that leaves the
	// connection unfit for others.
	keep(ctx context.Context, work func(*pgx.Conn) error) error

	// crowded says how many connections there may be if all are in use,
	// else zero.
	crowded() int
}

type poolDB struct{ *pgxpool.Pool }

func (p poolDB) with(ctx context.Context, work func(*pgx.Conn) error) error {
	c, err := p.Acquire(ctx)
	if err != nil {
		return &connectError{err}
	}
	defer c.Release()
	return work(c.Conn())
}

// keep makes the connection leave the pool, so that it takes up no place there.
func (p poolDB) keep(ctx context.Context, work func(*pgx.Conn) error) error {
	c, err := p.Acquire(ctx)
	if err != nil {
		return &connectError{err}
	}
	conn := c.Hijack()
	defer hangUp(conn)
	return work(conn)
}

func (p poolDB) crowded() int {
	if stat := p.Stat(); stat.AcquiredConns() >= stat.MaxConns() {
		return int(stat.MaxConns())
	}
	return 0
}

type sqlDB struct{ *sql.DB }

var errDriver = errors.New("the *sql.DB does not use the driver of github.com/jackc/pgx/v5/stdlib")

func (d sqlDB) with(ctx context.Context, work func(*pgx.Conn) error) error {
	c, err := d.Conn(ctx)
	if err != nil {
		return &connectError{err}
	}
	defer c.Close()
	return c.Raw(func(raw any) error {
		c, ok := raw.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("%w, but %T", errDriver, raw)
		}
		return work(c.Conn())
	})
}

// keep closes the connection afterwards, which the pool then finds out.
func (d sqlDB) keep(ctx context.Context, work func(*pgx.Conn) error) error {
	return d.with(ctx, func(c *pgx.Conn) error {
		defer hangUp(c)
		return work(c)
	})
}

func (d sqlDB) crowded() int {
	if stat := d.Stats(); stat.MaxOpenConnections > 0 && stat.InUse >= stat.MaxOpenConnections {
		return stat.MaxOpenConnections
	}
	return 0
}

// hangUp closes a connection without waiting for the server to hear of it.
func hangUp(c *pgx.Conn) {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.Close(done) // there is nothing to be done about one that does not close
}

// A connectError is the failure to get a connection at all.
type connectError struct{ cause error }

func (e *connectError) Error() string { return e.cause.Error() }
func (e *connectError) Unwrap() error { return e.cause }
