package storeurl_test

import (
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/internal/storeurl"
)

// The options of a store stay out of the way of other tables.
func TestOpenDatabase(t *testing.T) {
	for name, test := range map[string]struct {
		url  func(t *testing.T) string
		kind string
	}{
		"sqlite":   {func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "a.db") }, "sqlite"},
		"postgres": {func(t *testing.T) string { return servers.Shared(t, servers.Postgres).URL }, "postgres"},
		"postgres with options": {func(t *testing.T) string {
			return servers.Shared(t, servers.Postgres).URL + "&table=s&schema=public&watch=true&prune=5m&migrate=true&pool_max_conns=3&application_name=test"
		}, "postgres"},
		"mariadb": {func(t *testing.T) string { return servers.Shared(t, servers.MariaDB).URL }, "mysql"},
		"mariadb with options": {func(t *testing.T) string {
			return servers.Shared(t, servers.MariaDB).URL + "?table=s&column_id=i&column_expires=e&column_data=d&max_conns=3&prune=5m&migrate=true&timeout=5s"
		}, "mysql"},
	} {
		t.Run(name, func(t *testing.T) {
			db, err := storeurl.OpenDatabase(t.Context(), test.url(t), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			var one int
			if err := db.DB.QueryRowContext(t.Context(), "SELECT 1").Scan(&one); err != nil || one != 1 || db.Kind != test.kind {
				t.Errorf("SELECT 1 on %s = %d, %v; want 1 on %s", db.Kind, one, err, test.kind)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			if err := db.DB.PingContext(t.Context()); err == nil {
				t.Error("the pool is usable after Close")
			}
		})
	}
}

// Tables go where the sessions are.
func TestOpenDatabaseInASchema(t *testing.T) {
	server := servers.Shared(t, servers.Postgres)
	plain, err := storeurl.OpenDatabase(t.Context(), server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := plain.DB.ExecContext(t.Context(), `DROP SCHEMA IF EXISTS "my ""own""" CASCADE; CREATE SCHEMA "my ""own"""`); err != nil {
		t.Fatal(err)
	}
	db, err := storeurl.OpenDatabase(t.Context(), server.URL+"&schema="+url.QueryEscape(`my "own"`), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var schema string
	if err := db.DB.QueryRowContext(t.Context(), "SELECT current_schema()").Scan(&schema); err != nil || schema != `my "own"` {
		t.Errorf("the schema is %q, %v; want my \"own\"", schema, err)
	}
}

// Of the sessions and the other tables of a file either may come first.
func TestDatabaseAndStoreInOneFile(t *testing.T) {
	for _, first := range []string{"database", "store"} {
		t.Run(first, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			openDatabase := func() {
				db, err := storeurl.OpenDatabase(t.Context(), "sqlite:"+path, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { db.Close() })
				if _, err := db.DB.ExecContext(t.Context(), "CREATE TABLE mine (a TEXT)"); err != nil {
					t.Error(err)
				}
				if db.Dir != filepath.Dir(path) {
					t.Errorf("Dir = %q; want %q", db.Dir, filepath.Dir(path))
				}
			}
			if first == "database" {
				openDatabase()
			}
			opened, err := storeurl.Open(t.Context(), "sqlite:"+path, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { opened.Close() })
			if first == "store" {
				openDatabase()
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("the file: mode %v, %v; want 0600", info.Mode(), err)
			}
		})
	}
}

func TestIsDatabase(t *testing.T) {
	for url, want := range map[string]bool{
		"sqlite:a.db": true, "postgres://h/d": true, "postgresql://h/d": true, "mysql://h/d": true, "mariadb://h/d": true,
		"memory:": false, "redis://h": false, "mongodb://h/d": false, "dynamodb://r/t": false, "a.db": false, "": false,
	} {
		if got := storeurl.IsDatabase(url); got != want {
			t.Errorf("IsDatabase(%q) = %v; want %v", url, got, want)
		}
	}
}

func TestOpenDatabaseErrors(t *testing.T) {
	const password = "hunter2"
	for url, want := range map[string]string{
		"":                                      "no scheme",
		"user:" + password + "@h/d":             "unknown scheme",
		"a=b password=" + password:              "no scheme",
		"memory:":                               "sqlite:PATH",
		"postgres:" + password:                  "postgres://USER",
		"postgres://u:" + password + "#@h/d":    "%XX",
		"postgres://u:" + password + "@h/d?x=%": "options",
		"mysql://u:" + password + "@h,i/d":      "2 hosts",
		"mysql://u:" + password + "@h/d?tls=x":  "unknown config",
	} {
		db, err := storeurl.OpenDatabase(t.Context(), url, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), password) {
			t.Errorf("OpenDatabase(%q) = %v, %v; want an error with %q and without the password", url, db, err, want)
		}
	}
	server := servers.Shared(t, servers.MariaDB)
	if _, err := storeurl.OpenDatabase(t.Context(), server.URL+"?colour=red", nil); err == nil || !strings.Contains(err.Error(), "colour") {
		t.Errorf("OpenDatabase with the option colour = %v; want an error that names it", err)
	}
}
