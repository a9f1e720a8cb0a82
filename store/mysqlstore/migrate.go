package mysqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Migrate makes the tables if they are missing. To a table that Express has made
// it adds two columns that may be null, owner and owned_at, an index on them and
// one on the deadline, which Express does not notice. It does so once, and may be
// called at every start and by several processes at the same time. Only where
// there is something to do, the user needs the rights CREATE, ALTER and INDEX.
//
// Adding the indexes reads the whole table, and holds nobody up meanwhile but at
// its beginning and its end, where it waits for the transactions that use the
// table.
//
// Without Migrate the store works on Express's table for sessions that nobody is
// signed in to.
func (s *Store) Migrate(ctx context.Context) error {
	if s.bad != nil {
		return s.fail("migrate", s.bad)
	}
	return s.fail("migrate", s.migrate(ctx))
}

func (s *Store) migrate(ctx context.Context) error {
	columns, _, err := s.columns(ctx)
	if err == nil && len(columns) == 0 {
		err = s.define(ctx, s.createTable())
	}
	if err == nil {
		err = s.revocations(ctx)
	}
	if code(err) == errNoTable {
		err = s.define(ctx, s.createRevocations())
	}
	if err != nil {
		return err
	}
	// Another process may be about it as well.
	for {
		l, err := s.look(ctx)
		if err != nil {
			return err
		}
		if len(l.taken) > 0 {
			return fmt.Errorf("the table has columns of the application's own under the names %s: rename them", strings.Join(l.taken, ", "))
		}
		if len(l.missing) == 0 {
			s.known.Store(l)
			return nil
		}
		if err := s.define(ctx, s.alter(l.missing)); err != nil {
			return err
		}
	}
}

// define runs a statement of which others may have done the work meanwhile.
func (s *Store) define(ctx context.Context, statement string) error {
	_, _, err := exec(ctx, s.db, statement)
	switch code(err) {
	case errTableExists, errColumnExists, errKeyExists:
		return nil
	case errDeadlock, errLockTimeout:
		// The next look finds that there is still work.
		if ctx.Err() == nil {
			return nil
		}
	}
	return err
}

// createTable is what express-mysql-session creates, and what Migrate adds.
func (s *Store) createTable() string {
	t := s.table
	return "CREATE TABLE IF NOT EXISTS " + t.name + " (" +
		t.id + " varchar(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL, " +
		t.expires + " int unsigned NOT NULL, " +
		t.data + " mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, " +
		"PRIMARY KEY (" + t.id + ")) ENGINE=InnoDB"
}

func (s *Store) createRevocations() string {
	return "CREATE TABLE IF NOT EXISTS " + s.table.revocations + " (" +
		"user varbinary(255) NOT NULL, " +
		"revoked_at bigint NULL, " + // in nanoseconds since 1970; null for a row that is only a lock
		"kept_until bigint NOT NULL, " + // in seconds since 1970
		"PRIMARY KEY (user), KEY (kept_until)) ENGINE=InnoDB"
}

// revocations reports whether there is a table for them.
func (s *Store) revocations(ctx context.Context) error {
	return query(ctx, s.db, "SELECT user, revoked_at, kept_until FROM "+s.table.revocations+" LIMIT 0", 3, nil)
}

const indexPrefix = "index on "

func indexOf(name string) string { return indexPrefix + name }

func (s *Store) alter(missing []string) string {
	t := s.table
	var changes []string
	for _, change := range []struct{ missing, clause string }{
		{ownerColumn, "ADD COLUMN " + ownerColumn + " varbinary(255) NULL"},
		{ownedAtColumn, "ADD COLUMN " + ownedAtColumn + " bigint NULL"},
		{indexOf(ownerColumn), "ADD INDEX pillbox_owner (" + ownerColumn + ", " + ownedAtColumn + ")"},
		{indexOf(strings.ToLower(t.columns[1])), "ADD INDEX pillbox_expires (" + t.expires + ")"},
	} {
		if slices.Contains(missing, change.missing) {
			changes = append(changes, change.clause)
		}
	}
	return "ALTER TABLE " + t.name + " " + strings.Join(changes, ", ")
}

// Ping reports whether the store can do its work: whether the server answers and
// is new enough, and whether its tables are there and as they must be. It tells
// the Logger of settings with which a crash may bring ended sessions back. Its
// error names the server, as far as the store knows it, and what to do.
func (s *Store) Ping(ctx context.Context) error {
	return s.fail("ping", s.ping(ctx))
}

func (s *Store) ping(ctx context.Context) error {
	l, err := s.look(ctx)
	if err != nil {
		return err
	}
	if len(l.taken)+len(l.missing) > 0 {
		return errors.New("the table lacks " + strings.Join(append(l.taken, l.missing...), ", ") + ": call Migrate once")
	}
	if err := s.revocations(ctx); err != nil {
		return err
	}
	s.known.Store(l)
	for _, warning := range l.warnings {
		s.log.Warn("pillbox: mysql: "+warning, "server", s.addr)
	}
	return nil
}
