package users

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// A Dialect is the SQL that a database speaks.
type Dialect string

// The dialects that New knows. MariaDB speaks MySQL's.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
	MySQL    Dialect = "mysql"
)

// A SQL is a [Table] in a database, under the name medicine_users: "users" alone
// is what half of all applications call theirs. Make one with [New].
type SQL struct {
	db *sql.DB
	q  queries
}

var _ Table = (*SQL)(nil)

// Names are kept as bytes, so that no collation of the database takes two names
// for one, and no encoding of its own loses a letter.
type queries struct {
	create               string
	insert, byName, byID string
	updateHash, remove   string
}

const columns = "SELECT id, name, hash, created FROM medicine_users WHERE "

// Of two processes that create an account of one name at once, the second one's
// INSERT does nothing; which it was, a look at the row tells in every dialect,
// whatever its driver counts as an affected row.
var dialects = map[Dialect]queries{
	SQLite: {
		create: `CREATE TABLE IF NOT EXISTS medicine_users (
	id      TEXT NOT NULL PRIMARY KEY,
	folded  BLOB NOT NULL UNIQUE,
	name    BLOB NOT NULL,
	hash    TEXT NOT NULL,
	created INTEGER NOT NULL -- milliseconds since 1970
) STRICT`,
		insert:     "INSERT INTO medicine_users (id, folded, name, hash, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT (folded) DO NOTHING",
		byName:     columns + "folded = ?",
		byID:       columns + "id = ?",
		updateHash: "UPDATE medicine_users SET hash = ? WHERE id = ? AND hash = ?",
		remove:     "DELETE FROM medicine_users WHERE id = ?",
	},
	Postgres: {
		create: `CREATE TABLE IF NOT EXISTS medicine_users (
	id      text NOT NULL PRIMARY KEY,
	folded  bytea NOT NULL UNIQUE,
	name    bytea NOT NULL,
	hash    text NOT NULL,
	created bigint NOT NULL
)`,
		insert:     "INSERT INTO medicine_users (id, folded, name, hash, created) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (folded) DO NOTHING",
		byName:     columns + "folded = $1",
		byID:       columns + "id = $1",
		updateHash: "UPDATE medicine_users SET hash = $1 WHERE id = $2 AND hash = $3",
		remove:     "DELETE FROM medicine_users WHERE id = $1",
	},
	MySQL: {
		create: `CREATE TABLE IF NOT EXISTS medicine_users (
	id      VARCHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
	folded  VARBINARY(256) NOT NULL UNIQUE,
	name    VARBINARY(256) NOT NULL,
	hash    VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
	created BIGINT NOT NULL COMMENT 'milliseconds since 1970'
) ENGINE = InnoDB`,
		// Not INSERT IGNORE, which would cut what is too long.
		insert:     "INSERT INTO medicine_users (id, folded, name, hash, created) VALUES (?, ?, ?, ?, ?) ON DUPLICATE KEY UPDATE folded = folded",
		byName:     columns + "folded = ?",
		byID:       columns + "id = ?",
		updateHash: "UPDATE medicine_users SET hash = ? WHERE id = ? AND hash = ?",
		remove:     "DELETE FROM medicine_users WHERE id = ?",
	},
}

// New returns a table in db, which it makes if it is not there; any number of
// processes may do so at once. The pool stays the caller's to configure and to
// close, and is not used after a call of the Table has returned.
//
// It fails if the database cannot be reached, if a table of this name has other
// columns, and for a dialect that it does not know.
func New(ctx context.Context, db *sql.DB, dialect Dialect) (*SQL, error) {
	q, ok := dialects[dialect]
	if !ok {
		return nil, fmt.Errorf("medicine: open users: no dialect %q", dialect)
	}
	t := &SQL{db: db, q: q}
	// The look first: who may read and write a table may not always make one.
	if t.look(ctx) == nil {
		return t, nil
	}
	err := t.make(ctx, dialect)
	if err == nil {
		err = t.look(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("medicine: open users: %w", err)
	}
	return t, nil
}

// look returns an error if the table cannot be read as the queries do.
func (t *SQL) look(ctx context.Context) error {
	rows, err := t.db.QueryContext(ctx, "SELECT id, folded, name, hash, created FROM medicine_users WHERE 1 = 0")
	if err != nil {
		return err
	}
	return errors.Join(rows.Err(), rows.Close())
}

// createLock is what those who make the table in PostgreSQL wait for.
const createLock = 0x6d656469_75736572 // "mediuser"

func (t *SQL) make(ctx context.Context, dialect Dialect) error {
	tx, err := t.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if dialect == Postgres {
		// Two that create the same table at once fail, IF NOT EXISTS or not.
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", int64(createLock)); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, t.q.create); err != nil {
		return err
	}
	return tx.Commit()
}

// abandonTime bounds the taking back of an account that may have been made.
const abandonTime = 2 * time.Second

// Create implements [Table].
func (t *SQL) Create(ctx context.Context, name, hash string) (User, error) {
	u, folded, err := newUser(name, hash)
	if err != nil {
		return User{}, err
	}
	there := User{}
	_, err = t.db.ExecContext(ctx, t.q.insert, u.ID, []byte(folded), []byte(u.Name), u.Hash, u.Created.UnixMilli())
	if err == nil {
		there, err = t.get(ctx, t.q.byName, []byte(folded))
	}
	switch {
	case err != nil:
		// The row may be there all the same: an answer that was lost says
		// nothing. Nobody knows of the account, so that it can go.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTime)
		defer cancel()
		_ = t.Delete(ctx, u.ID) // the first error says more
		return User{}, failed("create", err)
	case there.ID != u.ID:
		return User{}, ErrTaken
	}
	return u, nil
}

// ByName implements [Table].
func (t *SQL) ByName(ctx context.Context, name string) (User, error) {
	folded, err := Fold(name)
	if err != nil {
		return User{}, ErrNotFound
	}
	u, err := t.get(ctx, t.q.byName, []byte(folded))
	return u, failed("find", err)
}

// ByID implements [Table].
func (t *SQL) ByID(ctx context.Context, id string) (User, error) {
	u, err := t.get(ctx, t.q.byID, id)
	return u, failed("find", err)
}

func (t *SQL) get(ctx context.Context, query string, key any) (User, error) {
	var u User
	var name []byte
	var created int64
	err := t.db.QueryRowContext(ctx, query, key).Scan(&u.ID, &name, &u.Hash, &created)
	if errors.Is(err, sql.ErrNoRows) {
		return User{}, ErrNotFound
	}
	if err != nil {
		return User{}, err
	}
	u.Name, u.Created = string(name), time.UnixMilli(created)
	return u, nil
}

// UpdateHash implements [Table].
func (t *SQL) UpdateHash(ctx context.Context, id, old, hash string) error {
	_, err := t.db.ExecContext(ctx, t.q.updateHash, hash, id, old)
	return failed("update", err)
}

// Delete implements [Table].
func (t *SQL) Delete(ctx context.Context, id string) error {
	_, err := t.db.ExecContext(ctx, t.q.remove, id)
	return failed("delete", err)
}

func failed(verb string, err error) error {
	if err == nil || errors.Is(err, ErrNotFound) {
		return err
	}
	return fmt.Errorf("medicine: %s user: %w", verb, err)
}
