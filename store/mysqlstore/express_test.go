package mysqlstore_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// An express uses a table with the statements of express-mysql-session 3.0.3.
type express struct {
	t                         testing.TB
	db                        *sql.DB
	table, id, expires, datum string
}

func newExpress(t testing.TB, db *sql.DB, table string) express {
	return express{t, db, table, "session_id", "expires", "data"}
}

func (e express) run(text string, args ...any) int64 {
	e.t.Helper()
	text = strings.NewReplacer("sessions", e.table, "session_id", e.id, "expires", e.expires, "data", e.datum).Replace(text)
	result, err := e.db.ExecContext(e.t.Context(), text, args...)
	if err != nil {
		e.t.Fatal(err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		e.t.Fatal(err)
	}
	return n
}

// create makes the table as createDatabaseTable does.
func (e express) create() {
	e.t.Helper()
	e.run("CREATE TABLE IF NOT EXISTS `sessions` (" +
		"`session_id` varchar(128) COLLATE utf8mb4_bin NOT NULL," +
		"`expires` int(11) unsigned NOT NULL," +
		"`data` mediumtext COLLATE utf8mb4_bin," +
		"PRIMARY KEY (`session_id`)) ENGINE=InnoDB")
}

// seconds is how it rounds.
func seconds(at time.Time) int64 { return int64(math.Round(float64(at.UnixMilli()) / 1000)) }

func (e express) set(sid, data string, expires time.Time) {
	e.t.Helper()
	e.run("INSERT INTO `sessions` (`session_id`, `expires`, `data`) VALUES (?, ?, ?)"+
		" ON DUPLICATE KEY UPDATE `expires` = VALUES(`expires`), `data` = VALUES(`data`)", sid, seconds(expires), data)
}

// get returns a session as it is now, or "".
func (e express) get(sid string, now time.Time) (data string) {
	e.t.Helper()
	var expires int64
	err := e.db.QueryRowContext(e.t.Context(), fmt.Sprintf("SELECT `%s` AS data, `%s` as expires FROM `%s` WHERE `%s` = ? LIMIT 1",
		e.datum, e.expires, e.table, e.id), sid).Scan(&data, &expires)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		e.t.Fatal(err)
	}
	if expires < seconds(now) {
		return ""
	}
	return data
}

func (e express) touch(sid string, expires time.Time) {
	e.t.Helper()
	e.run("UPDATE `sessions` SET `expires` = ? WHERE `session_id` = ?", seconds(expires), sid)
}

func (e express) destroy(sid string) {
	e.t.Helper()
	e.run("DELETE FROM `sessions` WHERE `session_id` = ? LIMIT 1", sid)
}

const written = `{"cookie":{"originalMaxAge":60000,"expires":"2026-11-23T03:52:27.118Z","secure":true,"httpOnly":true,"domain":"example.com","path":"/","sameSite":"lax"},"user":"bob","n":9007199254740993,"e":"ä😀\u0000"}`

// A session made by either side is read, changed, prolonged and destroyed by the
// other.
func TestExpressSharesTheTable(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		for name, columns := range map[string]mysqlstore.Columns{
			"its columns":   {},
			"other columns": {ID: "Sid", Expires: "valid until", Data: "json"},
		} {
			ctx, cfg, table := t.Context(), config(t, servers.Shared(t, k), ""), tableName()
			e := newExpress(t, pool(t, cfg), table)
			if columns.ID != "" {
				e.id, e.expires, e.datum = columns.ID, columns.Expires, columns.Data
			}
			e.create()
			s := open(t, cfg, mysqlstore.Options{Table: table, Columns: columns})

			for _, migrated := range []bool{false, true} {
				if migrated {
					if err := s.Migrate(ctx); err != nil {
						t.Fatal(err)
					}
				}
				what := fmt.Sprintf("%s, migrated: %t", name, migrated)
				e.set("theirs", written, time.Now().Add(time.Minute))
				rec, err := s.Load(ctx, "theirs", session.Slide{})
				if err != nil || string(rec.Data) != written {
					t.Fatalf("%s: Load of Express's session = %s, %v; want %s", what, rec.Data, err, written)
				}
				changed := bytes.Replace(rec.Data, []byte("bob"), []byte("eve"), 1)
				if err := s.Update(ctx, "theirs", rec.Data, changed, in(time.Hour)); err != nil {
					t.Fatalf("%s: Update of Express's session: %v", what, err)
				}
				if got := e.get("theirs", time.Now()); got != string(changed) {
					t.Errorf("%s: Express reads %s; want %s", what, got, changed)
				}
				e.set("theirs", written, time.Now().Add(time.Hour))
				if err := s.Update(ctx, "theirs", changed, changed, in(time.Hour)); !errors.Is(err, session.ErrConflict) {
					t.Errorf("%s: Update after Express wrote = %v; want %v", what, err, session.ErrConflict)
				}
				if err := s.Delete(ctx, "theirs", []byte(written)); err != nil {
					t.Errorf("%s: Delete of Express's session: %v", what, err)
				}
				if got := e.get("theirs", time.Now()); got != "" {
					t.Errorf("%s: Express reads %s after Delete; want nothing", what, got)
				}

				deadline := time.UnixMilli(time.Now().Add(time.Hour).UnixMilli()/1000*1000 + 1) // a little over a whole second
				if err := s.Create(ctx, "ours", session.Record{Data: []byte(written), Deadline: deadline}); err != nil {
					t.Fatalf("%s: Create: %v", what, err)
				}
				if got := e.get("ours", deadline); got != written {
					t.Errorf("%s: Express reads %q just before the deadline; want %s", what, got, written)
				}
				later := deadline.Add(time.Hour)
				e.touch("ours", later)
				if rec, err := s.Load(ctx, "ours", session.Slide{}); err != nil || rec.Deadline.Unix() != seconds(later) {
					t.Errorf("%s: Load after Express's touch has the deadline %v, %v; want %v", what, rec.Deadline, err, later)
				}
				e.destroy("ours")
				if err := s.Touch(ctx, "ours", later); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: Touch after Express's destroy = %v; want %v", what, err, session.ErrNotFound)
				}
			}
		}
	})
}

// What Migrate adds is not disturbed by Express, and goes with the row.
func TestExpressLeavesTheOwnerAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		ctx, cfg, table := t.Context(), config(t, servers.Shared(t, k), ""), tableName()
		e := newExpress(t, pool(t, cfg), table)
		e.create()
		s := migrated(t, cfg, mysqlstore.Options{Table: table})
		rec := session.Record{Data: []byte(written), Deadline: in(time.Hour), Owner: session.Owner{User: "alice", AsOf: time.Now()}}
		for _, id := range []string{"a", "b"} {
			if err := s.Create(ctx, id, rec); err != nil {
				t.Fatal(err)
			}
		}
		e.set("a", `{"cookie":{}}`, time.Now().Add(time.Hour))
		e.touch("a", time.Now().Add(2*time.Hour))
		e.destroy("b")
		e.set("b", written, time.Now().Add(time.Hour)) // another session
		if ids, err := s.UserIDs(ctx, "alice"); err != nil || len(ids) != 1 || ids[0] != "a" {
			t.Errorf("UserIDs after Express wrote a and made b anew = %q, %v; want a alone", ids, err)
		}
		if n, err := s.RevokeUser(ctx, "alice", time.Now()); n != 1 || err != nil {
			t.Errorf("RevokeUser = %d, %v; want 1", n, err)
		}
		if e.get("a", time.Now()) != "" || e.get("b", time.Now()) == "" {
			t.Error("after RevokeUser a is there, or b is not")
		}
	})
}

// Where Migrate was not called, what needs it says so, and the rest works.
func TestExpressTableWithoutMigrate(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		ctx, cfg, table := t.Context(), config(t, servers.Shared(t, k), ""), tableName()
		newExpress(t, pool(t, cfg), table).create()
		s := open(t, cfg, mysqlstore.Options{Table: table})
		owned := session.Record{Data: []byte("a"), Deadline: in(time.Hour), Owner: session.Owner{User: "alice", AsOf: time.Now()}}
		for name, err := range map[string]error{
			"Ping":       s.Ping(ctx),
			"Create":     s.Create(ctx, "id", owned),
			"UserIDs":    second(s.UserIDs(ctx, "alice")),
			"RevokeUser": second(s.RevokeUser(ctx, "alice", time.Now())),
		} {
			if err == nil || !strings.Contains(err.Error(), "Migrate") {
				t.Errorf("%s on a table without an index of users = %v; want an error that names Migrate", name, err)
			}
		}
		if _, err := s.Load(ctx, "id", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Load after a Create that failed = %v; want %v", err, session.ErrNotFound)
		}
		if n, err := s.Prune(ctx, 10); n != 0 || err != nil {
			t.Errorf("Prune = %d, %v; want 0", n, err)
		}
		if n, err := s.Count(ctx); n != 0 || err != nil {
			t.Errorf("Count = %d, %v; want 0", n, err)
		}
	})
}

// Ids that the collation takes for the same are not.
func TestForeignIDs(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		ctx, cfg, table := t.Context(), config(t, servers.Shared(t, k), ""), tableName()
		e := newExpress(t, pool(t, cfg), table)
		e.create()
		s := migrated(t, cfg, mysqlstore.Options{Table: table})
		e.set("padded  ", written, time.Now().Add(time.Hour))
		e.set("Case", written, time.Now().Add(time.Hour))
		for _, id := range []string{"padded", "padded ", "case", "CASE"} {
			for name, err := range map[string]error{
				"Load":         second(s.Load(ctx, id, session.Slide{To: in(3 * time.Hour)})),
				"Update":       s.Update(ctx, id, []byte(written), []byte("a"), in(time.Hour)),
				"Touch":        s.Touch(ctx, id, in(3*time.Hour)),
				"Delete(data)": s.Delete(ctx, id, []byte(written)),
			} {
				if !errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s(%q) beside another id = %v; want %v", name, id, err, session.ErrNotFound)
				}
			}
			if err := s.Delete(ctx, id, nil); err != nil {
				t.Errorf("Delete(%q) = %v", id, err)
			}
		}
		if err := s.Create(ctx, "padded", session.Record{Data: []byte("a"), Deadline: in(time.Hour)}); !errors.Is(err, session.ErrExists) {
			t.Errorf("Create under an id for which the key has no room = %v; want %v", err, session.ErrExists)
		}
		for _, id := range []string{"padded  ", "Case"} {
			rec, err := s.Load(ctx, id, session.Slide{})
			if err != nil || string(rec.Data) != written || time.Until(rec.Deadline) > 61*time.Minute {
				t.Errorf("Load(%q) = %q until %v, %v; want it untouched", id, rec.Data, rec.Deadline, err)
			}
		}
	})
}
