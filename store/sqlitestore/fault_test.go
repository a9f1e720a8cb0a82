package sqlitestore_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/pillboxgo/pillbox/session"
)

const (
	secretID   = "id-that-no-error-may-name"
	secretData = "data-that-no-error-may-name"
)

// checkError looks at what an error says.
func checkError(t *testing.T, err error, code int, path string) {
	t.Helper()
	if e, ok := errors.AsType[*sqlite.Error](err); !ok || e.Code()&0xff != code {
		t.Errorf("error %v; want SQLite's code %d", err, code)
		return
	}
	if got := err.Error(); !strings.HasPrefix(got, "pillbox: sqlite ") || !strings.Contains(got, path) {
		t.Errorf("error %q; want one that names the operation and the file", got)
	}
	if got := err.Error(); strings.Contains(got, secretID) || strings.Contains(got, secretData) {
		t.Errorf("error %q names the id or the data", got)
	}
}

func TestFull(t *testing.T) {
	path := temp(t)
	s := open(t, path)
	s.SetMaxPages(50)
	data := secretData + strings.Repeat("x", 4000)
	kept := 0
	var err error
	for ; kept < 1000 && err == nil; kept++ {
		err = s.Create(t.Context(), fmt.Sprint(secretID, kept), record(data, time.Hour))
	}
	kept--
	checkError(t, err, sqlite3.SQLITE_FULL, path)
	if kept < 10 {
		t.Fatalf("%d records fitted", kept)
	}
	checkError(t, s.Update(t.Context(), secretID+"0", []byte(data), []byte(data+data+data), time.Now().Add(time.Hour)),
		sqlite3.SQLITE_FULL, path)

	check := func(when string) {
		t.Helper()
		for i := range kept {
			rec, err := s.Load(t.Context(), fmt.Sprint(secretID, i), session.Slide{})
			if err != nil || string(rec.Data) != data {
				t.Errorf("record %d %s: %v; want what was stored", i, when, err)
			}
		}
	}
	check("while the database is full")
	if n, err := s.Count(t.Context()); n != kept || err != nil {
		t.Errorf("Count = %d, %v; want %d", n, err, kept)
	}

	s.SetMaxPages(1000)
	if err := s.Create(t.Context(), secretID, record(data, time.Hour)); err != nil {
		t.Errorf("Create when there is room again = %v; want nil", err)
	}
	check("when there is room again")
}

// Writes that share a transaction do not share the failure of one of them.
func TestOneWriteTooLarge(t *testing.T) {
	path := temp(t)
	s := open(t, path)
	s.SetMaxPages(100)
	release := lock(t, path)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if i == 25 {
				err := s.Create(t.Context(), secretID, record(secretData+strings.Repeat("x", 1<<20), time.Hour))
				checkError(t, err, sqlite3.SQLITE_FULL, path)
			} else if err := s.Create(t.Context(), fmt.Sprint(i), record("a", time.Hour)); err != nil {
				t.Errorf("Create of a small record beside a large one = %v; want nil", err)
			}
		})
	}
	time.Sleep(100 * time.Millisecond) // until they wait together
	release()
	wg.Wait()
	if n, err := s.Count(t.Context()); n != 49 || err != nil {
		t.Errorf("Count = %d, %v; want 49", n, err)
	}
}

// A call that cannot be right fails alone, and changes nothing.
func TestDeadlineInThePastBesideOthers(t *testing.T) {
	path := temp(t)
	s := withRecord(t, path)
	release := lock(t, path)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			lifetime := time.Hour
			if i == 25 {
				lifetime = -time.Hour
			}
			err := s.Create(t.Context(), fmt.Sprint(i), record("a", lifetime))
			if (err == nil) != (lifetime > 0) {
				t.Errorf("Create with a lifetime of %v = %v", lifetime, err)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	release()
	wg.Wait()
	if n, err := s.Count(t.Context()); n != 50 || err != nil {
		t.Errorf("Count = %d, %v; want 50", n, err)
	}
}

// What ends or changes a session is forced to the disk, also where it shares a
// transaction with what is not.
func TestSynchronous(t *testing.T) {
	const normal, full = int64(1), int64(2)
	for name, want := range map[string]int64{
		"Create": full, "Update": full, "Delete": full, "RevokeUser": full, "Clear": full,
		"Touch": normal, "Load with a slide": normal, "Prune": normal,
	} {
		s := withRecord(t, temp(t))
		if err := writes[name](t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got := s.Synchronous(); got != want {
			t.Errorf("%s: synchronous = %v; want %d", name, got, want)
		}
	}

	path := temp(t)
	s := withRecord(t, path)
	release := lock(t, path)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { writes["Touch"](t.Context(), s) })
		time.Sleep(5 * time.Millisecond)
	}
	wg.Go(func() { writes["Delete"](t.Context(), s) })
	time.Sleep(50 * time.Millisecond)
	release()
	wg.Wait()
	if got := s.Synchronous(); got != full {
		t.Errorf("Touch and Delete: synchronous = %v at last; want %d", got, full)
	}
}

func TestOddUsers(t *testing.T) {
	s := open(t, temp(t))
	users := []string{
		"a", "A", "a ", " a", "a\x00", "a\x00b", "\x00", "a%", "a_", "a'", `a"`, "a;--", "ä", "a\u0308", "\xff\xfe",
		"\u202e", "1", "1.0", "NULL", "\n", strings.Repeat("u", 255), strings.Repeat("u", 254),
	}
	for i, user := range users {
		rec := record("a", time.Hour)
		rec.Owner = session.Owner{User: user, AsOf: time.Now()}
		if err := s.Create(t.Context(), fmt.Sprint(i), rec); err != nil {
			t.Errorf("Create for %q = %v; want nil", user, err)
		}
	}
	for i, user := range users {
		if ids, err := s.UserIDs(t.Context(), user); err != nil || len(ids) != 1 || ids[0] != fmt.Sprint(i) {
			t.Errorf("UserIDs(%q) = %q, %v; want %d", user, ids, err, i)
		}
	}
	for i, user := range users {
		if n, err := s.RevokeUser(t.Context(), user, time.Now()); n != 1 || err != nil {
			t.Errorf("RevokeUser(%q) = %d, %v; want 1", user, n, err)
		}
		if n, err := s.Count(t.Context()); n != len(users)-i-1 || err != nil {
			t.Errorf("Count after RevokeUser(%q) = %d, %v; want %d", user, n, err, len(users)-i-1)
		}
	}
}

func TestNoUser(t *testing.T) {
	s := open(t, temp(t))
	if err := s.Create(t.Context(), "id", record("a", time.Hour)); err != nil {
		t.Fatal(err)
	}
	if ids, err := s.UserIDs(t.Context(), ""); len(ids) != 0 || err != nil {
		t.Errorf("UserIDs of nobody = %q, %v; want none", ids, err)
	}
	if n, err := s.RevokeUser(t.Context(), "", time.Now()); n != 0 || err != nil {
		t.Errorf("RevokeUser of nobody = %d, %v; want 0", n, err)
	}
	if _, err := s.Load(t.Context(), "id", session.Slide{}); err != nil {
		t.Errorf("Load after RevokeUser of nobody = %v; want nil", err)
	}
}
