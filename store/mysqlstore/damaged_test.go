package mysqlstore_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// What a stranger has written into the row of a session is no session and no
// failure for ever: the visitor begins anew.
func TestDamagedRows(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		cfg, table := config(t, servers.Shared(t, k), ""), tableName()
		s := migrated(t, cfg, mysqlstore.Options{Table: table})
		db := pool(t, cfg)
		// MariaDB lets no more than 16 MiB through by default; a connection
		// has the bound that was in force when it began.
		do(t, db, "SET GLOBAL max_allowed_packet = 67108864")
		wide := pool(t, cfg)
		var mu sync.Mutex
		var events []session.Event
		site := newWeb(t, s, session.Config{
			Logger: quiet,
			Observe: func(e session.Event) {
				mu.Lock()
				defer mu.Unlock()
				events = append(events, e)
			},
		})
		take := func() (damaged []session.Event) {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range events {
				if e.Kind == session.EventDamaged {
					damaged = append(damaged, e)
				}
			}
			events = nil
			return damaged
		}
		for name, data := range map[string]any{
			"truncated":            `{"cookie":{"originalMaxAge":null`,
			"not JSON":             "hello",
			"an array":             "[1,2]",
			"a string":             `"x"`,
			"nothing":              nil,
			"empty":                "",
			"no cookie":            `{"note":"x"}`,
			"16 MiB":               `{"cookie":{},"x":"` + strings.Repeat("x", 16<<20-40) + `"}`,
			"of another app":       "a:1:{s:4:\"user\";s:3:\"bob\";}",
			"two objects":          `{"cookie":{}}{"cookie":{}}`,
			"cookie of wrong type": `{"cookie":7,"note":"x"}`,
		} {
			site.cookie = nil
			if status, body := site.get("/set?before"); status != 200 {
				t.Fatalf("%s: a new session: %d %s", name, status, body)
			}
			kept := site.cookie
			take()
			var id string
			if err := db.QueryRow("SELECT session_id FROM " + table).Scan(&id); err != nil {
				t.Fatal(err)
			}
			if _, err := wide.Exec("UPDATE "+table+" SET data = ?", data); err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				site.cookie = kept
				if status, body := site.get("/get"); status != 200 || body != "" {
					t.Errorf("%s: request %d answered %d %.100q; want 200 and no data", name, i, status, body)
				}
				if site.cookie != nil {
					t.Errorf("%s: request %d left the cookie; want it cleared", name, i)
				}
			}
			if damaged := take(); len(damaged) != 1 || damaged[0].PublicID == "" || strings.Contains(fmt.Sprint(damaged), id) {
				t.Errorf("%s: told %v; want one event with the public id", name, damaged)
			}
			if status, body := site.get("/set?after"); status != 200 {
				t.Errorf("%s: a session after the damaged one: %d %s", name, status, body)
			}
			if _, body := site.get("/get"); body != "after" {
				t.Errorf("%s: the session after the damaged one has %q; want \"after\"", name, body)
			}
			if err := s.Delete(t.Context(), id, nil); err != nil {
				t.Errorf("%s: Delete: %v", name, err)
			}
			do(t, db, "DELETE FROM "+table)
		}
	})
}

// Null, which Express never writes, and nothing at all are damaged to the store.
func TestLoadOfNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		cfg, table := config(t, servers.Shared(t, k), ""), tableName()
		s := migrated(t, cfg, mysqlstore.Options{Table: table})
		for _, data := range []string{"NULL", "''"} {
			do(t, pool(t, cfg), fmt.Sprintf("INSERT INTO %s (session_id, expires, data) VALUES ('id', %d, %s)", table, time.Now().Unix()+100, data))
			if _, err := s.Load(t.Context(), "id", session.Slide{}); !errors.Is(err, session.ErrDamaged) {
				t.Errorf("Load of %s = %v; want %v", data, err, session.ErrDamaged)
			}
			if err := s.Update(t.Context(), "id", []byte("a"), []byte("b"), in(time.Hour)); !errors.Is(err, session.ErrConflict) {
				t.Errorf("Update of %s = %v; want %v", data, err, session.ErrConflict)
			}
			if err := s.Delete(t.Context(), "id", []byte("a")); !errors.Is(err, session.ErrConflict) {
				t.Errorf("Delete(old) of %s = %v; want %v", data, err, session.ErrConflict)
			}
			if err := s.Delete(t.Context(), "id", nil); err != nil {
				t.Errorf("Delete of %s = %v", data, err)
			}
		}
	})
}
