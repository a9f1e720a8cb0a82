package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// signIn returns a record of alice's.
func signIn(bound int) session.Record {
	return session.Record{
		Data:     []byte(bob),
		Deadline: time.Now().Add(time.Hour),
		Owner:    session.Owner{User: "alice", AsOf: time.Now(), Max: bound},
	}
}

// On a table without the index of users the store says so wherever one would
// rely on it, and works from the moment that another process has migrated.
func TestWithoutMigrate(t *testing.T) {
	to, name := shared(t), table()
	expressTable(t, to, name)
	s := pgstore.New(connect(t, to), pgstore.Options{Table: name, PruneEvery: -1})
	defer s.Close()
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping = %v; want nil", err)
	}
	if err := s.Create(t.Context(), "before", signIn(0)); err != nil {
		t.Errorf("Create with an owner = %v; want nil", err)
	}
	for what, err := range map[string]error{
		"UserIDs":             second(s.UserIDs(t.Context(), "alice")),
		"RevokeUser":          second(s.RevokeUser(t.Context(), "alice", time.Now())),
		"Create with a bound": s.Create(t.Context(), "bounded", signIn(1)),
	} {
		if err == nil || !strings.Contains(err.Error(), "Migrate") || errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s = %v; want an error that names Migrate", what, err)
		}
	}
	if _, err := s.Prune(t.Context(), 10); err != nil {
		t.Errorf("Prune = %v; want nil", err)
	}

	other := open(t, connect(t, to), pgstore.Options{Table: name})
	if err := s.Create(t.Context(), "after", signIn(1)); err != nil {
		t.Errorf("Create with an owner after another process has migrated = %v; want nil", err)
	}
	if ids, err := other.UserIDs(t.Context(), "alice"); err != nil || fmt.Sprint(ids) != "[after]" {
		t.Errorf("UserIDs = %q, %v; want the session that began after the migration", ids, err)
	}
	holds(t, other, "before", bob, time.Time{})
}

func second[T any](_ T, err error) error { return err }

// Processes that start together migrate together.
func TestMigrateAtOnce(t *testing.T) {
	for _, express := range []bool{false, true} {
		to, name := shared(t), table()
		if express {
			expressTable(t, to, name)
		}
		pool := connect(t, with(t, to, "pool_max_conns", "8"))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				s := pgstore.New(pool, pgstore.Options{Table: name, PruneEvery: -1})
				defer s.Close()
				if err := s.Migrate(t.Context()); err != nil {
					t.Errorf("Migrate = %v", err)
				}
			})
		}
		wg.Wait()
	}
}

// Names are taken literally, and what belongs to a table has a name of its own.
func TestNames(t *testing.T) {
	to := database(t, "UTC")
	execute(t, to, `CREATE SCHEMA "my app"`)
	pool := connect(t, to)
	for _, opts := range []pgstore.Options{
		{},
		{Table: "Session"},
		{Table: `se"ss'ion; --`},
		{Table: "select"},
		{Table: "sessions of the year", Schema: "my app"},
		{Schema: "my app"},
		{Table: strings.Repeat("x", 51)},
		{Table: strings.Repeat("x", 50)},
		{Table: "sitzungen_für_ärzte"},
	} {
		s := open(t, pool, opts)
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("%q %q: Ping = %v", opts.Schema, opts.Table, err)
		}
		if err := s.Create(t.Context(), "id", signIn(1)); err != nil {
			t.Errorf("%q %q: Create = %v", opts.Schema, opts.Table, err)
		}
		if n, err := s.Count(t.Context()); n != 1 || err != nil {
			t.Errorf("%q %q: Count = %d, %v; want 1", opts.Schema, opts.Table, n, err)
		}
	}
	for _, opts := range []pgstore.Options{
		{Table: strings.Repeat("x", 52)}, {Table: "a\x00b"}, {Schema: strings.Repeat("x", 64)},
	} {
		opts.PruneEvery = -1
		s := pgstore.New(pool, opts)
		for what, err := range map[string]error{
			"Ping": s.Ping(t.Context()), "Migrate": s.Migrate(t.Context()), "Load": second(s.Load(t.Context(), "id", session.Slide{})),
			"Watch": s.Watch(t.Context(), nil),
		} {
			if err == nil || errors.Is(err, session.ErrNotFound) {
				t.Errorf("%s with a name that cannot be one = %v; want an error", what, err)
			}
		}
	}
}

// Migrate gives up rather than keep everybody waiting behind it.
func TestMigrateDoesNotQueueForLong(t *testing.T) {
	to, name := shared(t), table()
	expressTable(t, to, name)
	release := lock(t, to, name)
	defer release()
	s := pgstore.New(connect(t, to), pgstore.Options{Table: name, PruneEvery: -1})
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	begun := time.Now()
	err := s.Migrate(ctx)
	if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("Migrate of a table that is in use = %v after %v; want an error that says so", err, time.Since(begun))
	}
}

// A column type that loses bytes is refused, in words that name the remedy; one
// that keeps them is taken.
func TestColumnTypes(t *testing.T) {
	to := shared(t)
	for _, test := range []struct{ columns, want string }{
		{"sid varchar PRIMARY KEY, sess jsonb NOT NULL, expire timestamp(6) NOT NULL", "TYPE json"},
		{"sid varchar PRIMARY KEY, sess bytea NOT NULL, expire timestamp(6) NOT NULL", "want json"},
		{"sid varchar PRIMARY KEY, sess json NOT NULL, expire bigint NOT NULL", "want timestamp"},
		{"sid varchar PRIMARY KEY, expire timestamp(6) NOT NULL", "no column sess"},
		{"sid varchar, sess json NOT NULL, expire timestamp(6) NOT NULL", "primary key"},
		{"sid varchar PRIMARY KEY, sess text NOT NULL, expire timestamp(6) NOT NULL", ""},
		{"sid text PRIMARY KEY, sess json, expire timestamptz", ""},
		{"sid varchar(200) PRIMARY KEY, sess varchar, expire timestamp", ""},
	} {
		name := table()
		execute(t, to, "CREATE TABLE "+name+" ("+test.columns+")")
		s := pgstore.New(connect(t, to), pgstore.Options{Table: name, PruneEvery: -1})
		err := s.Create(t.Context(), "id", session.Record{Data: []byte(bob), Deadline: time.Now().Add(time.Hour)})
		if test.want == "" {
			if err != nil {
				t.Errorf("(%s): Create = %v", test.columns, err)
				continue
			}
			if err := s.Update(t.Context(), "id", []byte(bob), []byte(` {"a" : 1}`), time.Now().Add(time.Hour)); err != nil {
				t.Errorf("(%s): Update = %v", test.columns, err)
			}
			holds(t, s, "id", ` {"a" : 1}`, time.Time{})
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("(%s): Create = %v; want an error with %q", test.columns, err, test.want)
		}
		if test.want == "primary key" {
			continue // which Ping does not look for
		}
		if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("(%s): Ping = %v; want an error with %q", test.columns, err, test.want)
		}
	}
}

// A table that somebody else has given the columns in another meaning is left
// alone.
func TestMigrateMeetsOtherColumns(t *testing.T) {
	to, name := shared(t), table()
	expressTable(t, to, name)
	execute(t, to, "ALTER TABLE "+name+" ADD COLUMN owner text")
	s := pgstore.New(connect(t, to), pgstore.Options{Table: name, PruneEvery: -1})
	if err := s.Migrate(t.Context()); err == nil || !strings.Contains(err.Error(), "owner") {
		t.Errorf("Migrate = %v; want an error that names the column", err)
	}
	create(t, s, "id", bob, time.Now().Add(time.Hour))
}

// A record that replaces a dead one is not its owner's.
func TestDeadRecordsLeaveNoOwner(t *testing.T) {
	to, name := shared(t), table()
	s := open(t, connect(t, to), pgstore.Options{Table: name})
	for _, id := range []string{"a", "b"} {
		if err := s.Create(t.Context(), id, signIn(0)); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, to, "UPDATE "+name+" SET expire = now() - interval '1 minute'")
	create(t, s, "a", bob, time.Now().Add(time.Hour))
	if ids, err := s.UserIDs(t.Context(), "alice"); err != nil || len(ids) != 0 {
		t.Errorf("UserIDs = %q, %v; want none", ids, err)
	}
	if n, err := s.RevokeUser(t.Context(), "alice", time.Now()); n != 0 || err != nil {
		t.Errorf("RevokeUser = %d, %v; want none ended", n, err)
	}
	holds(t, s, "a", bob, time.Time{})
}
