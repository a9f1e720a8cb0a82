package session_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

const (
	testSecret = "a secret of the tests, 32 bytes!!"

	pills session.Key[[]int] = "pills"
)

// newManager returns a manager with the configuration that the tests share.
func newManager(t testing.TB, config session.Config) *session.Manager {
	t.Helper()
	config.Secrets = []string{testSecret}
	m, err := session.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// openSQLite opens the store in this file, and closes it when the test ends.
func openSQLite(t testing.TB, path string) session.Store {
	t.Helper()
	store, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// eachStore runs a test on each store that needs no server.
func eachStore(t *testing.T, test func(t *testing.T, store session.Store)) {
	t.Run("memory", func(t *testing.T) { test(t, memstore.New(memstore.Options{})) })
	t.Run("sqlite", func(t *testing.T) { test(t, openSQLite(t, filepath.Join(t.TempDir(), "sessions.db"))) })
}

// serve sends a request with this cookie through the manager to a handler, and
// returns the cookie that the visitor has afterwards.
func serve(m *session.Manager, cookie string, handler func(s *session.Session)) string {
	r := httptest.NewRequest(http.MethodPost, "http://localhost/", nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		handler(session.From(r.Context()))
	})).ServeHTTP(w, r)
	for _, line := range w.Header()["Set-Cookie"] {
		cookie, _, _ = strings.Cut(line, ";")
	}
	return cookie
}

// begin returns the cookie of a visitor whose session is not empty.
func begin(t testing.TB, m *session.Manager) string {
	t.Helper()
	var err error
	cookie := serve(m, "", func(s *session.Session) { err = pills.Set(s, nil) })
	if err != nil || cookie == "" {
		t.Fatalf("a new visitor got the cookie %q, %v; want one", cookie, err)
	}
	return cookie
}

// appendPills appends the numbers from first on in as many parallel requests.
func appendPills(m *session.Manager, cookie string, first, n int) error {
	errs := make(chan error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			serve(m, cookie, func(s *session.Session) {
				list, err := pills.Update(s, func(list []int) []int { return append(list, first+i) })
				if err == nil && (len(list) == 0 || list[len(list)-1] != first+i) {
					err = fmt.Errorf("Update returned %d numbers that do not end with %d", len(list), first+i)
				}
				errs <- err
			})
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkPills checks that the session has each of the numbers from 0 to n-1 once.
func checkPills(t *testing.T, m *session.Manager, cookie string, n int) {
	t.Helper()
	serve(m, cookie, func(s *session.Session) {
		list, err := pills.Get(s)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[int]bool{}
		for _, v := range list {
			seen[v] = true
		}
		if len(list) != n || len(seen) != n {
			t.Errorf("session keeps %d numbers, %d of them different; want %d", len(list), len(seen), n)
		}
	})
}

// Invariant 1: no update is lost, however many requests change one key at once.
func TestParallelUpdatesAreKept(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, session.Config{Store: store, MaxBytes: 1 << 20})
		cookie := begin(t, m)
		const n = 1000
		if err := appendPills(m, cookie, 0, n); err != nil {
			t.Fatal(err)
		}
		checkPills(t, m, cookie, n)
	})
}

// Invariant 1 across processes: the test binary starts itself four times.
func TestParallelUpdatesOfFourProcessesAreKept(t *testing.T) {
	const processes, each = 4, 250
	if cookie := os.Getenv("PILLBOX_TEST_COOKIE"); cookie != "" {
		first, err := strconv.Atoi(os.Getenv("PILLBOX_TEST_FIRST"))
		if err != nil {
			t.Fatal(err)
		}
		m := newManager(t, session.Config{Store: openSQLite(t, os.Getenv("PILLBOX_TEST_FILE"))})
		if err := appendPills(m, cookie, first, each); err != nil {
			t.Fatal(err)
		}
		return
	}

	file := filepath.Join(t.TempDir(), "sessions.db")
	m := newManager(t, session.Config{Store: openSQLite(t, file)})
	cookie := begin(t, m)
	var wg sync.WaitGroup
	for i := range processes {
		wg.Go(func() {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
			child.Env = append(os.Environ(), "PILLBOX_TEST_COOKIE="+cookie,
				"PILLBOX_TEST_FILE="+file, "PILLBOX_TEST_FIRST="+strconv.Itoa(i*each))
			if out, err := child.CombinedOutput(); err != nil {
				t.Errorf("process %d: %v\n%s", i, err, out)
			}
		})
	}
	wg.Wait()
	checkPills(t, m, cookie, processes*each)
}

// Invariant 1 for Set: parallel requests that set different keys keep all.
func TestParallelSetsOfDifferentKeysAreKept(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, session.Config{Store: store})
		cookie := begin(t, m)
		const n = 200
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				serve(m, cookie, func(s *session.Session) {
					if err := session.Key[int](fmt.Sprint("key", i)).Set(s, i); err != nil {
						t.Error(err)
					}
				})
			})
		}
		wg.Wait()
		serve(m, cookie, func(s *session.Session) {
			for i := range n {
				if v, err := session.Key[int](fmt.Sprint("key", i)).Get(s); v != i || err != nil {
					t.Errorf("key%d = %d, %v; want %d", i, v, err, i)
				}
			}
		})
	})
}
