package medicine_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pillboxgo/pillbox/medicine"
	"github.com/pillboxgo/pillbox/medicine/users"
)

// Where the session cannot be saved nobody is signed in, and no account is left
// whose name its owner could not take again.
func TestSignInThatIsNotSaved(t *testing.T) {
	var table users.Memory
	var store *faultyStore
	s := serveAccounts(t, func(c *medicine.Config) {
		store = &faultyStore{Store: c.Session.Store}
		c.Session.Store, c.Users = store, &table
	})
	s.visitor(t).register("ilmer")
	store.failWith(func(method string) error {
		if method == "Create" {
			return errors.New("disk full, password hunter2")
		}
		return nil
	})
	v := s.visitor(t)
	for _, request := range []struct{ path, name string }{{"/login", "ilmer"}, {"/register", "homer"}} {
		r := v.post(request.path, credentials(request.name, pass))
		r.wantError(t, "POST "+request.path, http.StatusServiceUnavailable, "store_unavailable")
		if v.cookie != "" || strings.Contains(r.body, "hunter2") || strings.Contains(r.body, "data") {
			t.Errorf("POST %s = %s, cookie %q; want the error only", request.path, r.body, v.cookie)
		}
	}
	if _, err := table.ByName(t.Context(), "homer"); !errors.Is(err, users.ErrNotFound) {
		t.Errorf("the account whose session was not saved: %v; want ErrNotFound", err)
	}
	store.failWith(func(string) error { return nil })
	v.register("homer")
	v.wantUser("homer")
}

// An account that is deleted signs nobody in, and whoever is signed in to it is
// nobody.
func TestDeletedAccount(t *testing.T) {
	var table users.Memory
	s := serveAccounts(t, func(c *medicine.Config) { c.Users = &table })
	v := s.visitor(t)
	v.register("ilmer")
	u, err := table.ByName(t.Context(), "ilmer")
	if err != nil {
		t.Fatal(err)
	}
	if err := table.Delete(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	v.wantUser("")
	if r := v.do("GET", "/session", ""); r.status != 200 || strings.Contains(r.body, `"user"`) {
		t.Errorf("GET /session of a deleted account = %d %s; want 200 without a user", r.status, r.body)
	}
	s.visitor(t).post("/login", credentials("ilmer", pass)).wantError(t, "sign in to a deleted account", 401, "wrong_credentials")
	// Who takes the name is somebody else, with sessions of their own.
	v.add(`{"name":"of the old ilmer"}`)
	other := s.visitor(t)
	other.register("ilmer")
	v.wantUser("")
	v.post("/login", credentials("ilmer", pass))
	v.wantUser("ilmer")
	v.wantPills("[]")
}

// Being signed out everywhere beats a sign-in whose password was right already.
func TestSignInThatIsRevokedMeanwhile(t *testing.T) {
	table := &hookedTable{Table: new(users.Memory)}
	s, app := serveApp(t, func(c *medicine.Config) { c.Users = table })
	first := s.visitor(t)
	first.register("ilmer")
	table.found.Store(func(u users.User) {
		if _, err := app.Sessions().RevokeUser(context.Background(), u.ID); err != nil {
			t.Error(err)
		}
	})
	v := s.visitor(t)
	v.post("/login", credentials("ilmer", pass)).wantError(t, "sign in while all are signed out", http.StatusConflict, "sign_in_revoked")
	table.found.Store(func(users.User) {})
	if n := s.sessions(t); n != 0 || v.cookie != "" {
		t.Errorf("%d sessions, cookie %q; want none", n, v.cookie)
	}
	v.post("/login", credentials("ilmer", pass))
	v.wantUser("ilmer")
}

// A hookedTable calls found with the account that it is about to return.
type hookedTable struct {
	users.Table
	found atomic.Value // of func(users.User)
}

func (h *hookedTable) ByName(ctx context.Context, name string) (users.User, error) {
	u, err := h.Table.ByName(ctx, name)
	if found, ok := h.found.Load().(func(users.User)); ok && err == nil {
		found(u)
	}
	return u, err
}

// Of many who want a name at once one gets it, and is signed in.
func TestOneNameAtOnce(t *testing.T) {
	s := serveAccounts(t, nil)
	const parallel = 10
	statuses := make([]int, parallel)
	var wg sync.WaitGroup
	for i := range parallel {
		wg.Go(func() { statuses[i] = s.visitor(t).post("/register", credentials("wanted", pass)).status })
	}
	wg.Wait()
	count := make(map[int]int)
	for _, status := range statuses {
		count[status]++
	}
	if count[201] != 1 || count[409] != parallel-1 {
		t.Errorf("the statuses are %v; want one 201 and %d 409", count, parallel-1)
	}
	if n := s.sessions(t); n != 1 {
		t.Errorf("%d sessions; want 1", n)
	}
}
