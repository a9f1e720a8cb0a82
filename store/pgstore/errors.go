package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pillboxgo/pillbox/store/internal/contract"
	"github.com/pillboxgo/pillbox/store/internal/sqltable"
)

// errOwners is what the by-user index answers before Migrate.
var errOwners = errors.New("the table has no index of users: call Migrate once, before the application starts")

// What the server calls its errors:
// https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	codeDeadlock      = "40P01"
	codeSerialization = "40001"
	codeReadOnly      = "25006"
	codeLockTimeout   = "55P03"
)

// remedies say what an operator can do.
var remedies = map[string]string{
	"08P01":         "the server does not understand pgx: with PgBouncer, see QueryExecMode in the documentation of this package",
	"26000":         "a prepared statement is gone: with PgBouncer, see QueryExecMode in the documentation of this package",
	"42P05":         "a prepared statement is there already: with PgBouncer, see QueryExecMode in the documentation of this package",
	codeReadOnly:    "the server is a standby or set to read-only: connect to the primary, for example with target_session_attrs=read-write",
	"28000":         "the server does not let this user in: see its pg_hba.conf",
	"28P01":         "the server refuses user or password",
	"3D000":         "there is no such database: create it, or name another one",
	"42501":         "this user may not do that: GRANT SELECT, INSERT, UPDATE, DELETE on the tables, or let their owner call Migrate",
	"3F000":         "there is no such schema: create it, or name another one",
	"42P01":         "a table is missing: call Migrate",
	"42703":         "a column is missing: call Migrate",
	"42P10":         "sid is not the table's primary key",
	codeLockTimeout: "the table is in use: try again when nobody holds it, such as a backup",
	"53100":         "the server's disk is full",
	"53200":         "the server is out of memory",
	"53300":         "the server has as many connections as it allows: lower the size of the pools, or raise max_connections",
	"57P03":         "the server is starting up or shutting down",
}

// fail names the operation, the cause and, where an operator can do something
// about it, the remedy.
func (s *Store) fail(ctx context.Context, operation string, err error) error {
	if err == nil {
		return nil
	}
	hint := ""
	server, isServer := errors.AsType[*pgconn.PgError](err)
	if isServer {
		hint = remedies[server.Code]
	}
	if server, direct := err.(*pgconn.PgError); direct {
		err = discreet(server)
	}
	if _, ok := errors.AsType[*connectError](err); ok && ctx.Err() != nil {
		if n := s.db.crowded(); n > 0 {
			hint = fmt.Sprintf("all %d connections of the pool are in use: enlarge the pool", n)
		} else {
			hint = "no connection to the server"
		}
	}
	// A connection that was closed because ctx was done may say only that.
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) && !contract.Answers(err) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	if hint != "" {
		return fmt.Errorf("pillbox: postgres %s: %s: %w", operation, hint, err)
	}
	return fmt.Errorf("pillbox: postgres %s: %w", operation, err)
}

// discreet returns the error without what may quote a row.
func discreet(err *pgconn.PgError) *pgconn.PgError {
	return &pgconn.PgError{
		Severity: err.Severity, SeverityUnlocalized: err.SeverityUnlocalized,
		Code: err.Code, Message: err.Message,
		SchemaName: err.SchemaName, TableName: err.TableName, ColumnName: err.ColumnName,
		DataTypeName: err.DataTypeName, ConstraintName: err.ConstraintName,
		File: err.File, Line: err.Line, Routine: err.Routine,
	}
}

// do runs work with a connection, again while it only got in the way of other
// work.
func (s *Store) do(ctx context.Context, work func(*pgx.Conn) error) error {
	if s.bad != nil {
		return s.bad
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return sqltable.Retry(ctx, func() error { return s.once(ctx, work) })
}

// once runs work with a connection. It returns an error that wraps
// [sqltable.ErrAgain] if that got in the way of other work.
func (s *Store) once(ctx context.Context, work func(*pgx.Conn) error) error {
	return s.db.with(ctx, func(c *pgx.Conn) error {
		err := work(c)
		server, ok := errors.AsType[*pgconn.PgError](err)
		switch {
		case !ok:
			return err
		case server.Code == codeDeadlock || server.Code == codeSerialization:
			return fmt.Errorf("%w: %w", sqltable.ErrAgain, discreet(server))
		case server.Code == codeReadOnly:
			// The server was demoted. The pool's next connection may
			// find its successor; this one never will.
			hangUp(c)
		}
		return err
	})
}
