package pgstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pillboxgo/pillbox/store/internal/sqltable"
)

// Migrate makes the table if it is missing, or adds to one that is there what
// finding the sessions of a user needs: see the package's documentation. A table
// that has it all is left alone, so that every process may call Migrate when it
// starts. Sessions that are there already belong to no user until their visitors
// sign in again.
//
// Adding to a table needs it to itself for a moment; if others do not let go of it
// for five seconds, such as a backup, Migrate gives up. The user that calls it
// must be the table's owner, or be allowed to create one in the schema.
func (s *Store) Migrate(ctx context.Context) error {
	return s.fail(ctx, "migrate", s.do(ctx, func(c *pgx.Conn) error {
		if known, err := s.look(ctx, c); err == nil && known.owners {
			return nil
		}
		err := pgx.BeginTxFunc(ctx, c, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, func(tx pgx.Tx) error {
			return s.migrate(ctx, tx)
		})
		if err != nil {
			return err
		}
		known, err := s.look(ctx, c)
		if err == nil && !known.owners {
			err = fmt.Errorf("the columns owner and owned_at of %s are of other types than bytea and bigint", s.quoted())
		}
		return err
	}))
}

func (s *Store) migrate(ctx context.Context, tx pgx.Tx) error {
	// Two that create the same table at once fail, IF NOT EXISTS or not.
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1::bigint)", key("migrate"))
	if err != nil {
		return err
	}
	// Whoever waits for a table keeps all others waiting behind it.
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '5s'"); err != nil {
		return err
	}
	var schema *string
	err = tx.QueryRow(ctx, `SELECT coalesce(
	(SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = to_regclass($1::text)),
	nullif($2::text, ''), current_schema())::text`, s.quoted(), s.schema).Scan(&schema)
	if err != nil {
		return err
	}
	if schema == nil {
		return fmt.Errorf("no schema of the search_path is there: set Options.Schema")
	}
	text := strings.NewReplacer(
		"{table}", sqltable.Quote('"', *schema, s.table),
		"{revocations}", sqltable.Quote('"', *schema, s.revocations()),
		"{pkey}", sqltable.Quote('"', s.table+"_pkey"),
		"{index}", sqltable.Quote('"', s.table+"_owner_idx"),
	).Replace
	for _, statement := range []string{
		`CREATE TABLE IF NOT EXISTS {table} (
	sid varchar NOT NULL COLLATE "default",
	sess json NOT NULL,
	expire timestamp(6) NOT NULL,
	owner bytea,
	owned_at bigint,
	CONSTRAINT {pkey} PRIMARY KEY (sid)
) WITH (fillfactor = 70)`,
		`ALTER TABLE {table} ADD COLUMN IF NOT EXISTS owner bytea, ADD COLUMN IF NOT EXISTS owned_at bigint`,
		`CREATE INDEX IF NOT EXISTS {index} ON {table} (owner, owned_at) WHERE owner IS NOT NULL`,
		`CREATE TABLE IF NOT EXISTS {revocations} (owner bytea PRIMARY KEY, at bigint NOT NULL, kept_until bigint NOT NULL)`,
	} {
		if _, err := tx.Exec(ctx, text(statement)); err != nil {
			return err
		}
	}
	return nil
}
