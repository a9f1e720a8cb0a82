package users_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/internal/storeurl"
	"github.com/pillboxgo/pillbox/medicine/users"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// places returns a URL of a database of the test's own for each dialect; on the
// servers a process has one table.
func places(t *testing.T) map[string]func(t *testing.T) string {
	shared := func(kind servers.Kind) func(*testing.T) string {
		return func(t *testing.T) string { return servers.Shared(t, kind).URL }
	}
	return map[string]func(*testing.T) string{
		"SQLite":     func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "users.db") },
		"PostgreSQL": shared(servers.Postgres),
		"MariaDB":    shared(servers.MariaDB),
	}
}

func openDatabase(t *testing.T, url string) *storeurl.Database {
	t.Helper()
	db, err := storeurl.OpenDatabase(t.Context(), url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func open(t *testing.T, url string) users.Table {
	t.Helper()
	db := openDatabase(t, url)
	table, err := users.New(t.Context(), db.DB, users.Dialect(db.Kind))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// tables runs a test on each kind of table.
func tables(t *testing.T, test func(t *testing.T, table users.Table)) {
	t.Run("Memory", func(t *testing.T) { test(t, new(users.Memory)) })
	for name, url := range places(t) {
		t.Run(name, func(t *testing.T) { test(t, open(t, url(t))) })
	}
}

// unused returns a name that no other test has.
func unused(name string) string { return fmt.Sprintf("%s%d", name, rand.Uint32()) }

func TestAccount(t *testing.T) {
	tables(t, func(t *testing.T, table users.Table) {
		name := unused("Zoë.Ilmer")
		before := time.Now().Truncate(time.Millisecond)
		made, err := table.Create(t.Context(), name, "hash 1")
		if err != nil || made.Name != name || made.Hash != "hash 1" || len(made.ID) != 26 {
			t.Fatalf("Create(%q) = %+v, %v; want an account of this name with an id of 26 characters", name, made, err)
		}
		if made.Created.Before(before) || time.Since(made.Created) < 0 {
			t.Errorf("Create: created at %v; want from %v till now", made.Created, before)
		}
		for _, typed := range []string{name, strings.ToLower(name), strings.ToUpper(name), strings.Replace(name, "ë", "e\u0308", 1)} {
			if got, err := table.ByName(t.Context(), typed); err != nil || !same(got, made) {
				t.Errorf("ByName(%q) = %+v, %v; want %+v", typed, got, err, made)
			}
			if _, err := table.Create(t.Context(), typed, "hash 2"); !errors.Is(err, users.ErrTaken) {
				t.Errorf("Create(%q) once there is %q = %v; want ErrTaken", typed, name, err)
			}
		}
		if got, err := table.ByID(t.Context(), made.ID); err != nil || !same(got, made) {
			t.Errorf("ByID = %+v, %v; want %+v", got, err, made)
		}

		if err := table.UpdateHash(t.Context(), made.ID, "another", "hash 3"); err != nil {
			t.Errorf("UpdateHash of another hash = %v; want nil, and nothing done", err)
		}
		if got, _ := table.ByID(t.Context(), made.ID); got.Hash != "hash 1" {
			t.Errorf("the hash is %q after the UpdateHash of another; want hash 1", got.Hash)
		}
		if err := table.UpdateHash(t.Context(), made.ID, "hash 1", "hash 3"); err != nil {
			t.Error(err)
		}
		if got, _ := table.ByName(t.Context(), name); got.Hash != "hash 3" {
			t.Errorf("the hash is %q after UpdateHash; want hash 3", got.Hash)
		}

		for range 2 {
			if err := table.Delete(t.Context(), made.ID); err != nil {
				t.Errorf("Delete = %v; want nil, also the second time", err)
			}
		}
		if _, err := table.ByID(t.Context(), made.ID); !errors.Is(err, users.ErrNotFound) {
			t.Errorf("ByID after Delete = %v; want ErrNotFound", err)
		}
		if _, err := table.ByName(t.Context(), name); !errors.Is(err, users.ErrNotFound) {
			t.Errorf("ByName after Delete = %v; want ErrNotFound", err)
		}
		again, err := table.Create(t.Context(), name, "hash 4")
		if err != nil || again.ID == made.ID {
			t.Errorf("Create of a deleted name = %+v, %v; want an account with another id", again, err)
		}
	})
}

func same(a, b users.User) bool {
	return a.ID == b.ID && a.Name == b.Name && a.Hash == b.Hash && a.Created.Equal(b.Created)
}

// A collation that knows about accents, case and space at the end takes names for
// one that are not.
func TestNamesThatCollationsTakeForOne(t *testing.T) {
	tables(t, func(t *testing.T, table users.Table) {
		for _, name := range []string{unused("strasse"), unused("straße"), unused("cafe"), unused("café"), unused("имя"), unused("名"), unused("𐐨")} {
			if _, err := table.Create(t.Context(), name, "h"); err != nil {
				t.Errorf("Create(%q) = %v; want an account", name, err)
			}
			if got, err := table.ByName(t.Context(), name); err != nil || got.Name != name {
				t.Errorf("ByName(%q) = %q, %v; want the same", name, got.Name, err)
			}
		}
		base := unused("resume")
		for _, name := range []string{base, strings.Replace(base, "e", "é", 1), strings.Replace(base, "u", "ü", 1)} {
			if _, err := table.Create(t.Context(), name, "h"); err != nil {
				t.Errorf("Create(%q) = %v; want it to differ from names with other accents", name, err)
			}
		}
	})
}

func TestNoSuchUser(t *testing.T) {
	tables(t, func(t *testing.T, table users.Table) {
		for _, name := range []string{"", "nobody", "two words", "\x00", "\xff", strings.Repeat("x", 1<<20), "' OR 1=1 --"} {
			if _, err := table.ByName(t.Context(), name); !errors.Is(err, users.ErrNotFound) {
				t.Errorf("ByName(%.20q) = %v; want ErrNotFound", name, err)
			}
		}
		for _, id := range []string{"", "nobody", "' OR 1=1 --", strings.Repeat("x", 255)} {
			if _, err := table.ByID(t.Context(), id); !errors.Is(err, users.ErrNotFound) {
				t.Errorf("ByID(%.20q) = %v; want ErrNotFound", id, err)
			}
		}
		if err := table.UpdateHash(t.Context(), "nobody", "a", "b"); err != nil {
			t.Errorf("UpdateHash of nobody = %v; want nil", err)
		}
	})
}

// The name can be written by its longest form, with four bytes for each letter.
func TestLongestAccount(t *testing.T) {
	tables(t, func(t *testing.T, table users.Table) {
		name := strings.Repeat("𐐨", users.MaxName)
		hash := "$argon2id$v=19$m=65536,t=10,p=4$" + strings.Repeat("A", 86) + "$" + strings.Repeat("A", 86)
		made, err := table.Create(t.Context(), name, hash)
		if err != nil {
			t.Fatalf("Create of a name of %d bytes: %v", len(name), err)
		}
		if got, err := table.ByName(t.Context(), name); err != nil || !same(got, made) {
			t.Errorf("ByName = %+v, %v; want %+v", got, err, made)
		}
		if err := table.Delete(t.Context(), made.ID); err != nil { // the name is the same in each run on a server
			t.Error(err)
		}
	})
}

// Of those who want a name at the same time, through tables that open at the same
// time, one gets it.
func TestOneOfManyGetsAName(t *testing.T) {
	const parallel = 12
	for where, url := range places(t) {
		t.Run(where, func(t *testing.T) {
			url, name := url(t), unused("wanted")
			dropTable(t, url)
			var mu sync.Mutex
			var got, taken int
			var wg sync.WaitGroup
			for range parallel {
				db := openDatabase(t, url)
				wg.Go(func() {
					table, err := users.New(t.Context(), db.DB, users.Dialect(db.Kind))
					if err != nil {
						t.Error(err)
						return
					}
					_, err = table.Create(t.Context(), name, "h")
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						got++
					case errors.Is(err, users.ErrTaken):
						taken++
					default:
						t.Errorf("Create = %v; want nil or ErrTaken", err)
					}
				})
			}
			wg.Wait()
			if got != 1 || taken != parallel-1 {
				t.Errorf("%d accounts were made and %d refused; want 1 and %d", got, taken, parallel-1)
			}
		})
	}
}

func dropTable(t *testing.T, url string) {
	t.Helper()
	if _, err := openDatabase(t, url).DB.ExecContext(t.Context(), "DROP TABLE IF EXISTS medicine_users"); err != nil {
		t.Fatal(err)
	}
}

func TestAccountsOutliveTheirTable(t *testing.T) {
	for where, url := range places(t) {
		t.Run(where, func(t *testing.T) {
			url := url(t)
			made, err := open(t, url).Create(t.Context(), unused("lasting"), "h")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := open(t, url).ByID(t.Context(), made.ID); err != nil || !same(got, made) {
				t.Errorf("ByID after another process has opened the table = %+v, %v; want %+v", got, err, made)
			}
		})
	}
}

func TestTableOfSomebodyElse(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "users.db")
	db := openDatabase(t, url)
	if _, err := db.DB.ExecContext(t.Context(), "CREATE TABLE medicine_users (mail TEXT)"); err != nil {
		t.Fatal(err)
	}
	if _, err := users.New(t.Context(), db.DB, users.SQLite); err == nil {
		t.Error("New beside a table of this name with other columns = nil; want an error")
	}
	if _, err := users.New(t.Context(), db.DB, "oracle"); err == nil || !strings.Contains(err.Error(), "oracle") {
		t.Errorf("New for oracle = %v; want an error that names it", err)
	}
}

// A visitor may leave at any moment: a Create that fails leaves no account behind.
func TestCreateThatIsGivenUp(t *testing.T) {
	table := open(t, "sqlite:"+filepath.Join(t.TempDir(), "users.db"))
	failed, left := 0, 0
	for failed < 100 {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Duration(rand.IntN(1500))*time.Microsecond, cancel)
		name := unused("ilmer")
		_, err := table.Create(ctx, name, "hash")
		cancel()
		if err == nil {
			continue
		}
		failed++
		if _, err := table.ByName(t.Context(), name); !errors.Is(err, users.ErrNotFound) {
			left++
		}
	}
	if left > 0 {
		t.Errorf("%d of %d Creates that failed left an account", left, failed)
	}
}

func TestDatabaseThatIsGone(t *testing.T) {
	db := openDatabase(t, "sqlite:"+filepath.Join(t.TempDir(), "users.db"))
	table, err := users.New(t.Context(), db.DB, users.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	_, err1 := table.Create(t.Context(), "Ilmer", "the hash")
	_, err2 := table.ByName(t.Context(), "Ilmer")
	_, err3 := table.ByID(t.Context(), "Ilmer")
	for i, err := range []error{err1, err2, err3, table.UpdateHash(t.Context(), "Ilmer", "the hash", "b"), table.Delete(t.Context(), "Ilmer")} {
		if err == nil || errors.Is(err, users.ErrNotFound) || errors.Is(err, users.ErrTaken) {
			t.Errorf("call %d of a closed database = %v; want its error", i, err)
		} else if s := err.Error(); strings.Contains(s, "Ilmer") || strings.Contains(s, "the hash") {
			t.Errorf("call %d of a closed database = %v; want an error without name and hash", i, err)
		}
	}
	if _, err := users.New(t.Context(), db.DB, users.SQLite); !strings.Contains(fmt.Sprint(err), sql.ErrConnDone.Error()) && err == nil {
		t.Errorf("New = %v; want an error", err)
	}
}
