package sqlitestore_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/need"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

// database makes a database that is not a store's.
func database(t *testing.T, path, script string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(script); err != nil {
		t.Fatal(err)
	}
}

// used makes a store's database with 100 records of 1 kB, and closes it.
func used(t *testing.T, path string) {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := s.Create(t.Context(), fmt.Sprint(i), record(strings.Repeat("a", 1000), time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path string, offset int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, offset); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	garbage := bytes.Repeat([]byte("garbage "), 512)
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, path string)
		want    string
	}{
		{
			name:    "a text file",
			prepare: func(t *testing.T, path string) { os.WriteFile(path, garbage, 0o600) },
			want:    "this is not a SQLite database",
		},
		{
			name:    "a short text file",
			prepare: func(t *testing.T, path string) { os.WriteFile(path, []byte("a\n"), 0o600) },
			want:    "this is not a SQLite database",
		},
		{
			name:    "a database with tables of its own",
			prepare: func(t *testing.T, path string) { database(t, path, "CREATE TABLE sessions (sid)") },
			want:    "the database of another application",
		},
		{
			name:    "a database with an application_id of its own",
			prepare: func(t *testing.T, path string) { database(t, path, "PRAGMA application_id = 1") },
			want:    "the database of another application",
		},
		{
			name:    "a database with a user_version of its own",
			prepare: func(t *testing.T, path string) { database(t, path, "PRAGMA user_version = 1") },
			want:    "the database of another application",
		},
		{
			name: "a newer version",
			prepare: func(t *testing.T, path string) {
				used(t, path)
				database(t, path, fmt.Sprintf("PRAGMA user_version = %d", sqlitestore.SchemaVersion+1))
			},
			want: "run the newer program",
		},
		{
			name: "a database that lacks a table",
			prepare: func(t *testing.T, path string) {
				used(t, path)
				database(t, path, "DROP TABLE revocations")
			},
			want: "damaged",
		},
		{
			name: "a damaged header",
			prepare: func(t *testing.T, path string) {
				used(t, path)
				overwrite(t, path, 0, garbage[:100])
			},
			want: "this is not a SQLite database",
		},
		{
			name: "a damaged schema",
			prepare: func(t *testing.T, path string) {
				used(t, path)
				overwrite(t, path, 100, garbage[:3996])
			},
			want: "damaged",
		},
		{
			name: "a damaged page",
			prepare: func(t *testing.T, path string) {
				used(t, path)
				overwrite(t, path, 10*4096, garbage)
			},
			want: "damaged",
		},
		{
			name: "a truncated file",
			prepare: func(t *testing.T, path string) {
				used(t, path)
				if err := os.Truncate(path, 20*4096); err != nil {
					t.Fatal(err)
				}
			},
			want: "damaged",
		},
		{
			name:    "a directory",
			prepare: func(t *testing.T, path string) { os.Mkdir(path, 0o700) },
			want:    "not a regular file",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := temp(t)
			test.prepare(t, path)
			before, _ := os.ReadFile(path)
			s, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{})
			if err == nil {
				s.Close()
				t.Fatal("Open = nil; want an error")
			}
			if got := err.Error(); !strings.HasPrefix(got, "pillbox: sqlite open "+path+": ") || !strings.Contains(got, test.want) {
				t.Errorf("Open = %v; want an error that names the path and says %q", err, test.want)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("Open has changed the file that it refused")
			}
			if _, err := os.Stat(path + "-wal"); err == nil {
				t.Error("Open has left a -wal beside the file that it refused")
			}
		})
	}
}

func TestOpenRefusesNames(t *testing.T) {
	for _, path := range []string{"", ":memory:", "file:sessions.db", filepath.Join(t.TempDir(), "absent", "sessions.db")} {
		if s, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{}); err == nil {
			s.Close()
			t.Errorf("Open(%q) = nil; want an error", path)
		}
	}
}

func TestOpenOddNames(t *testing.T) {
	if runtime.GOOS == "windows" {
		need.Missing(t, "a system that allows these file names")
	}
	for _, name := range []string{"a b", "a?b", "a#b", "a%41b", "a%", "a&b=c", "ä", "a'b", `a"b`, "a;b", "a?mode=memory", "-a"} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		s, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{})
		if err != nil {
			t.Errorf("Open(%q) = %v; want nil", name, err)
			continue
		}
		if err := s.Create(t.Context(), "id", record("a", time.Hour)); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		files, err := os.ReadDir(dir)
		if err != nil || len(files) != 1 || files[0].Name() != name {
			t.Errorf("Open(%q) has left %v, %v; want that file only", name, files, err)
		}
	}
}

func TestOpenRelativeName(t *testing.T) {
	t.Chdir(t.TempDir())
	s := open(t, "sessions.db")
	if err := s.Create(t.Context(), "id", record("a", time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("sessions.db"); err != nil {
		t.Error(err)
	}
}

// What other accounts of the machine must not read, they cannot open.
func TestFilesAreTheOwnersOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		need.Missing(t, "a system whose files have permissions of their own")
	}
	path := temp(t)
	s := open(t, path)
	if err := s.Create(t.Context(), "id", record("a", time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		info, err := os.Stat(path + suffix)
		if err != nil {
			t.Error(err)
		} else if mode := info.Mode(); mode != fs.FileMode(0o600) {
			t.Errorf("the mode of the database%s is %v; want -rw-------", suffix, mode)
		}
	}
}

func TestOpenWaitsForALock(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, path string)
	}{
		{"a new database", func(t *testing.T, path string) { os.WriteFile(path, nil, 0o600) }},
		{"a database in use", used},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := temp(t)
			test.prepare(t, path)
			db, err := sql.Open("sqlite", path+"?_txlock=exclusive&_pragma=locking_mode(exclusive)")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			tx, err := db.Begin()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if _, err := sqlitestore.Open(ctx, path, sqlitestore.Options{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Open of a locked database = %v; want %v", err, context.DeadlineExceeded)
			}
			time.AfterFunc(100*time.Millisecond, func() {
				tx.Rollback()
				db.Close()
			})
			open(t, path)
		})
	}
}

// Whose database it is must be read in one transaction: between two, another
// process may have created the tables.
func TestOpenWhileOthersCreate(t *testing.T) {
	for range 50 {
		path := temp(t)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				s, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// The application's tables lie in the same file and are left alone.
func TestDB(t *testing.T) {
	path := temp(t)
	s := withRecord(t, path)
	if _, err := s.DB().Exec("CREATE TABLE users (name TEXT PRIMARY KEY) STRICT; INSERT INTO users VALUES ('alice')"); err != nil {
		t.Fatal(err)
	}
	if err := s.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context(), "id", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load after Clear = %v; want %v", err, session.ErrNotFound)
	}
	var name string
	if err := open(t, path).DB().QueryRow("SELECT name FROM users").Scan(&name); err != nil || name != "alice" {
		t.Errorf("the application's table holds %q, %v; want alice", name, err)
	}
}
