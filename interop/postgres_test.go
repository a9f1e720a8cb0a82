package interop_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

func TestPostgres(t *testing.T) {
	t.Parallel()
	server := servers.Shared(t, servers.Postgres)
	b := &postgresBackend{url: server.URL}
	b.pool = b.connect(t, server.URL)
	newHouse(t, b, server, 24*time.Hour).test()
}

type postgresBackend struct {
	url  string
	pool *pgxpool.Pool
}

func (b *postgresBackend) connect(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func (b *postgresBackend) express(url, place string) map[string]any {
	return map[string]any{"kind": "postgres", "url": url, "tableName": place}
}

func (b *postgresBackend) open(t *testing.T, url, place string) session.Store {
	store := pgstore.New(b.connect(t, url), pgstore.Options{Table: place})
	t.Cleanup(func() { store.Close() })
	migrate(t, store)
	return store
}

func (b *postgresBackend) read(ctx context.Context, place, id string) (r row, err error) {
	rows, err := b.pool.Query(ctx, `SELECT sess::text, expire AT TIME ZONE current_setting('TimeZone'), t.* FROM `+place+` t WHERE sid = $1`, id)
	if err != nil {
		return row{}, err
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return row{}, err
		}
		r.data, r.expires = values[0].(string), values[1].(time.Time)
		for i, column := range rows.FieldDescriptions()[2:] {
			if name := column.Name; name != "sid" && name != "sess" && name != "expire" {
				r.rest += fmt.Sprintf("%s=%v ", name, values[i+2])
			}
		}
	}
	return r, rows.Err()
}

func (b *postgresBackend) age(ctx context.Context, place, id string, d time.Duration) error {
	_, err := b.pool.Exec(ctx, `UPDATE `+place+` SET expire = now() + $1 WHERE sid = $2`, d, id)
	return err
}

// tap has a trigger note each change. It runs while the row is locked, so that
// the notes are in the order of the changes.
func (b *postgresBackend) tap(t *testing.T, place string) tap {
	return tap{
		url: b.url,
		begin: func(string) {
			_, err := b.pool.Exec(t.Context(), fmt.Sprintf(`
				CREATE TABLE IF NOT EXISTS %[1]s_notes (n bigserial, sess text);
				TRUNCATE %[1]s_notes;
				CREATE OR REPLACE FUNCTION %[1]s_note() RETURNS trigger LANGUAGE plpgsql AS
					$$ BEGIN INSERT INTO %[1]s_notes (sess) VALUES (NEW.sess); RETURN NULL; END $$;
				CREATE OR REPLACE TRIGGER note AFTER UPDATE ON %[1]s FOR EACH ROW
					WHEN (OLD.sess::text <> NEW.sess::text) EXECUTE FUNCTION %[1]s_note()`, place))
			if err != nil {
				t.Fatal(err)
			}
		},
		states: func() []string {
			rows, err := b.pool.Query(t.Context(), `SELECT sess FROM `+place+`_notes ORDER BY n`)
			if err != nil {
				t.Fatal(err)
			}
			states, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			return states
		},
	}
}
