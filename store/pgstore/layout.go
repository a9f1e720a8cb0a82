package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pillboxgo/pillbox/store/internal/sqltable"
)

// A layout is what the store has found in the database, and what it says to it
// for that reason.
type layout struct {
	schema string // the one that has the table
	owners bool   // whether Migrate has been there
	statements
}

// findTable finds the columns of a table, named as SQL does, and whether there is
// a table named $2 beside it.
const findTable = `SELECT n.nspname::text, a.attname::text, format_type(a.atttypid, NULL),
	EXISTS (SELECT FROM pg_catalog.pg_class r WHERE r.relnamespace = c.relnamespace AND r.relname = $2::text)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
WHERE c.oid = to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped`

// layout returns what is known of the table, and finds it out where that is not
// yet known. What is wrong is looked at again the next time: an operator may
// have mended it.
func (s *Store) layout(ctx context.Context, c *pgx.Conn) (*layout, error) {
	if known := s.known.Load(); known != nil {
		return known, nil
	}
	return s.look(ctx, c)
}

// withOwners is layout for what needs the table to have been migrated, and
// looks again if it was not: another process may have done it.
func (s *Store) withOwners(ctx context.Context, c *pgx.Conn) (*layout, error) {
	known, err := s.layout(ctx, c)
	if err == nil && !known.owners {
		known, err = s.look(ctx, c)
	}
	if err == nil && !known.owners {
		err = errOwners
	}
	return known, err
}

// look finds the table in the database, and returns an error if it is not one
// that the store can work with.
func (s *Store) look(ctx context.Context, c *pgx.Conn) (*layout, error) {
	rows, err := c.Query(ctx, findTable, s.quoted(), s.revocations())
	if err != nil {
		return nil, err
	}
	found := &layout{}
	types := map[string]string{}
	var beside bool
	var column, typ string
	_, err = pgx.ForEachRow(rows, []any{&found.schema, &column, &typ, &beside}, func() error {
		types[column] = typ
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.suits(types); err != nil {
		return nil, err
	}
	found.owners = beside && types["owner"] == "bytea" && types["owned_at"] == "bigint"
	found.statements = s.compose(found.schema, found.owners)
	s.known.Store(found)
	return found, nil
}

// suits returns an error unless a table with these columns can be worked with.
func (s *Store) suits(types map[string]string) error {
	if len(types) == 0 {
		return fmt.Errorf("there is no table %s: call Migrate, or name another one", s.quoted())
	}
	for _, column := range []struct {
		name  string
		types []string
	}{
		{"sid", []string{"character varying", "text"}},
		{"sess", []string{"json", "text", "character varying"}},
		{"expire", []string{"timestamp without time zone", "timestamp with time zone"}},
	} {
		is, ok := types[column.name]
		if !ok {
			return fmt.Errorf("the table %s has no column %s: it is not one of sessions", s.quoted(), column.name)
		}
		suits := false
		for _, typ := range column.types {
			suits = suits || is == typ
		}
		switch {
		case suits:
		case is == "jsonb":
			return fmt.Errorf("the column sess of %s is jsonb, which does not keep what is stored byte for byte:"+
				" ALTER TABLE %[1]s ALTER COLUMN sess TYPE json", s.quoted())
		default:
			return fmt.Errorf("the column %s of %s is %s; want %s", column.name, s.quoted(), is, column.types[0])
		}
	}
	return nil
}

// quoted returns the table's name for SQL as the options give it.
func (s *Store) quoted() string { return sqltable.Quote('"', s.schema, s.table) }

// revocations returns the name of the table of revocations, unquoted.
func (s *Store) revocations() string { return s.table + "_revocations" }

// Ping returns nil if the server can be reached and has a table that the store
// can work with. Otherwise its error names the server's host and says what to
// do, for the one who has set up the application; it holds no password.
//
// It also compares the rows that Express has written with what they say of
// themselves, and tells the logger if their time zone seems to be another one,
// and that the index by user is missing. Rows tell their time zone only if the
// cookies of Express have a maxAge.
func (s *Store) Ping(ctx context.Context) error {
	host := ""
	err := s.do(ctx, func(c *pgx.Conn) error {
		host = fmt.Sprintf("%s:%d: ", c.Config().Host, c.Config().Port)
		known, err := s.look(ctx, c)
		if err != nil {
			return err
		}
		var readOnly bool
		if err := c.QueryRow(ctx, "SELECT current_setting('transaction_read_only')::bool").Scan(&readOnly); err != nil {
			return err
		}
		if readOnly {
			return &pgconn.PgError{
				Severity: "ERROR", SeverityUnlocalized: "ERROR",
				Code: codeReadOnly, Message: "transactions are read-only",
			}
		}
		if !known.owners {
			s.log.Warn("pillbox: postgres: the table has no index of users, so that the sessions of a user can be neither listed nor ended: call Migrate",
				"table", s.table)
		}
		return s.compareZones(ctx, c, known)
	})
	if _, ok := errors.AsType[*connectError](err); ok {
		host = "" // pgx names it
	}
	return s.fail(ctx, "ping", hosted(host, err))
}

// hosted puts the host before an error.
func hosted(host string, err error) error {
	if err == nil || host == "" {
		return err
	}
	if server, ok := err.(*pgconn.PgError); ok {
		err = discreet(server)
	}
	return fmt.Errorf("%s%w", host, err)
}
