package mysqlstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// A table that would not keep records as they are is refused before anything is
// lost in it, with what to do about it.
func TestTablesThatAreRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		cfg := config(t, servers.Shared(t, k), "")
		db := pool(t, cfg)
		const id, expires, data = "session_id varchar(128) COLLATE utf8mb4_bin NOT NULL PRIMARY KEY", "expires int unsigned NOT NULL", "data mediumtext COLLATE utf8mb4_bin"
		join := func(columns ...string) string { return strings.Join(columns, ", ") }
		for _, test := range []struct{ name, columns, options, want string }{
			{"id by a collation without case", join("session_id varchar(128) COLLATE utf8mb4_general_ci PRIMARY KEY", expires, data), "", "COLLATE utf8mb4_bin"},
			{"id too short", join("session_id varchar(32) COLLATE utf8mb4_bin PRIMARY KEY", expires, data), "", "varchar(128)"},
			{"id without a key", join("session_id varchar(128) COLLATE utf8mb4_bin NOT NULL", expires, data), "", "PRIMARY KEY"},
			{"deadline as a date", join(id, "expires datetime", data), "", "int unsigned"},
			{"data in latin1", join(id, expires, "data mediumtext CHARACTER SET latin1"), "", "utf8mb4"},
			{"data in utf8mb3", join(id, expires, "data mediumtext CHARACTER SET utf8mb3"), "", "utf8mb4"},
			{"data as a number", join(id, expires, "data int"), "", "mediumtext"},
			{"no data", join(id, expires), "", `no column "data"`},
			{"no transactions", join(id, expires, data), "ENGINE=MyISAM", "ENGINE=InnoDB"},
		} {
			table := tableName()
			do(t, db, fmt.Sprintf("CREATE TABLE %s (%s) %s", table, test.columns, test.options))
			s := open(t, cfg, mysqlstore.Options{Table: table})
			for name, err := range map[string]error{
				"Ping":    s.Ping(t.Context()),
				"Load":    second(s.Load(t.Context(), "id", session.Slide{})),
				"Create":  s.Create(t.Context(), "id", session.Record{Data: []byte("a"), Deadline: in(time.Hour)}),
				"Migrate": s.Migrate(t.Context()),
			} {
				if err == nil || errors.Is(err, session.ErrNotFound) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: %s = %v; want an error with %q", test.name, name, err, test.want)
				}
			}
		}
	})
}

// MySQL's own JSON type puts keys in order and rounds numbers. MariaDB's is text
// that was checked.
func TestJSONColumn(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		ctx, cfg, table := t.Context(), config(t, servers.Shared(t, k), ""), tableName()
		do(t, pool(t, cfg), "CREATE TABLE "+table+
			" (session_id varchar(128) COLLATE utf8mb4_bin PRIMARY KEY, expires int unsigned NOT NULL, data json)")
		s := open(t, cfg, mysqlstore.Options{Table: table})
		err := s.Create(ctx, "id", session.Record{Data: []byte(written), Deadline: in(time.Hour)})
		if k == servers.MySQL {
			if err == nil || !strings.Contains(err.Error(), "MODIFY `data` mediumtext") {
				t.Errorf("Create with data of type json = %v; want an error that says what to do", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if rec, err := s.Load(ctx, "id", session.Slide{}); err != nil || string(rec.Data) != written {
			t.Errorf("Load = %s, %v; want %s", rec.Data, err, written)
		}
	})
}

// Tables that applications have made another way, and that do.
func TestTablesThatWillDo(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		ctx, cfg := t.Context(), config(t, servers.Shared(t, k), "")
		db := pool(t, cfg)
		far := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
		for name, test := range map[string]struct {
			columns string
			last    int64 // the last deadline that it keeps
		}{
			"bytes":           {"session_id varbinary(200) PRIMARY KEY, expires bigint NOT NULL, data longblob", 1<<32 - 1},
			"signed":          {"session_id varchar(128) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, expires int NOT NULL, data longtext CHARACTER SET utf8mb4", 1<<31 - 1},
			"as Express does": {"session_id varchar(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PRIMARY KEY, expires int unsigned NOT NULL, data mediumtext CHARACTER SET utf8mb4", 1<<32 - 1},
		} {
			table := tableName()
			do(t, db, fmt.Sprintf("CREATE TABLE %s (%s)", table, test.columns))
			s := migrated(t, cfg, mysqlstore.Options{Table: table})
			if err := s.Ping(ctx); err != nil {
				t.Errorf("%s: Ping after Migrate: %v", name, err)
			}
			err := s.Create(ctx, "id", session.Record{Data: []byte(written), Deadline: far, Owner: session.Owner{User: "ä", AsOf: time.Now()}})
			if err != nil {
				t.Errorf("%s: Create: %v", name, err)
			}
			rec, err := s.Load(ctx, "id", session.Slide{To: far.Add(time.Hour)})
			if err != nil || string(rec.Data) != written || rec.Deadline.Unix() != test.last {
				t.Errorf("%s: Load = %s until %v, %v; want the deadline %v, the last that fits", name, rec.Data, rec.Deadline, err, time.Unix(test.last, 0))
			}
			if err := s.Update(ctx, "id", rec.Data, []byte("{}"), in(time.Hour)); err != nil {
				t.Errorf("%s: Update: %v", name, err)
			}
			if ids, err := s.UserIDs(ctx, "ä"); err != nil || len(ids) != 1 {
				t.Errorf("%s: UserIDs = %q, %v; want one", name, ids, err)
			}
		}
	})
}

// A record that does not fit is refused, not cut.
func TestRecordsThatDoNotFit(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		ctx, cfg := t.Context(), config(t, servers.Shared(t, k), "sql_mode=''")
		db := pool(t, cfg)
		for _, test := range []struct {
			name, kind string
			fits       int
			too        []byte
		}{
			{"64 KiB column", "text", 1<<16 - 1, bytes.Repeat([]byte("x"), 1<<16)},
			{"16 MiB column", "mediumtext", 4 << 20, bytes.Repeat([]byte("x"), 1<<24)},
			{"not UTF-8", "mediumtext", 10, []byte("abc\xff")},
			{"nothing", "mediumtext", 10, nil},
		} {
			table := tableName()
			do(t, db, "CREATE TABLE "+table+
				" (session_id varchar(128) COLLATE utf8mb4_bin PRIMARY KEY, expires int unsigned NOT NULL, data "+test.kind+" CHARACTER SET utf8mb4)")
			s := mysqlstore.New(db, mysqlstore.Options{Table: table, PruneEvery: -1})
			defer s.Close()
			fits := bytes.Repeat([]byte("x"), test.fits)
			if err := s.Create(ctx, "id", session.Record{Data: fits, Deadline: in(time.Hour)}); err != nil {
				t.Errorf("%s: Create of %d bytes: %v", test.name, test.fits, err)
			}
			if err := s.Update(ctx, "id", fits, test.too, in(time.Hour)); err == nil {
				t.Errorf("%s: Update to what does not fit = nil; want an error", test.name)
			}
			if err := s.Create(ctx, "too", session.Record{Data: test.too, Deadline: in(time.Hour)}); err == nil {
				t.Errorf("%s: Create of what does not fit = nil; want an error", test.name)
			}
			if rec, err := s.Load(ctx, "id", session.Slide{}); err != nil || !bytes.Equal(rec.Data, fits) {
				t.Errorf("%s: Load = %d bytes, %v; want the %d that fit", test.name, len(rec.Data), err, test.fits)
			}
			if n, err := s.Count(ctx); n != 1 || err != nil {
				t.Errorf("%s: Count = %d, %v; want 1", test.name, n, err)
			}
		}
	})
}

// Several processes call Migrate when they start, on no table and on Express's.
func TestMigrateAtTheSameTime(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		cfg := config(t, servers.Shared(t, k), "")
		for _, express := range []bool{false, true} {
			table := tableName()
			if express {
				newExpress(t, pool(t, cfg), table).create()
			}
			const processes = 6
			outcomes := make(chan error, processes)
			for range processes {
				s := open(t, cfg, mysqlstore.Options{Table: table})
				go func() {
					for range 2 {
						if err := s.Migrate(t.Context()); err != nil {
							outcomes <- err
							return
						}
					}
					outcomes <- s.Ping(t.Context())
				}()
			}
			for range processes {
				if err := <-outcomes; err != nil {
					t.Errorf("Express's table: %t: Migrate, twice, and Ping: %v", express, err)
				}
			}
		}
	})
}

// A column of the application's under the name of one of ours stays what it is.
func TestMigrateLeavesForeignColumnsAlone(t *testing.T) {
	cfg, table := config(t, servers.Shared(t, servers.MariaDB), ""), tableName()
	newExpress(t, pool(t, cfg), table).create()
	do(t, pool(t, cfg), "ALTER TABLE "+table+" ADD COLUMN owner int")
	err := open(t, cfg, mysqlstore.Options{Table: table}).Migrate(t.Context())
	if err == nil || !strings.Contains(err.Error(), "owner") {
		t.Errorf("Migrate of a table that has another column owner = %v; want an error that names it", err)
	}
}

func TestPruneInTheBackground(t *testing.T) {
	cfg, table := config(t, servers.Shared(t, servers.MariaDB), ""), tableName()
	s := migrated(t, cfg, mysqlstore.Options{Table: table, PruneEvery: 50 * time.Millisecond})
	db := pool(t, cfg)
	do(t, db,
		"INSERT INTO "+table+" (session_id, expires) VALUES ('a', 1), ('b', 2)",
		"INSERT INTO "+table+"_revocations VALUES ('alice', 1, 1)")
	if err := s.Create(t.Context(), "live", session.Record{Data: []byte("a"), Deadline: in(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "only the live record is left, and no revocation", func() bool {
		var left, revocations int
		err := db.QueryRow("SELECT (SELECT COUNT(*) FROM "+table+"), (SELECT COUNT(*) FROM "+table+"_revocations)").Scan(&left, &revocations)
		if err != nil {
			t.Fatal(err)
		}
		return left == 1 && revocations == 0
	})
}

// Pruners in several processes share the work.
func TestPrunersAtTheSameTime(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		cfg, table := config(t, servers.Shared(t, k), ""), tableName()
		s := migrated(t, cfg, mysqlstore.Options{Table: table})
		var rows []string
		const dead = 1000
		for i := range dead {
			rows = append(rows, fmt.Sprintf("('id%d', 1)", i))
		}
		do(t, pool(t, cfg), "INSERT INTO "+table+" (session_id, expires) VALUES "+strings.Join(rows, ","))
		type outcome struct {
			n   int
			err error
		}
		const pruners = 4
		outcomes := make(chan outcome, pruners)
		for range pruners {
			go func() {
				n, err := s.Prune(context.Background(), 10*dead)
				outcomes <- outcome{n, err}
			}()
		}
		sum := 0
		for range pruners {
			o := <-outcomes
			if o.err != nil {
				t.Error(o.err)
			}
			sum += o.n
		}
		if sum != dead {
			t.Errorf("%d pruners removed %d records together; want %d", pruners, sum, dead)
		}
	})
}
