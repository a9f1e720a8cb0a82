package medicine_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/medicine"
	"github.com/pillboxgo/pillbox/medicine/password"
	"github.com/pillboxgo/pillbox/medicine/users"
)

func retryAfter(t *testing.T, r reply) int {
	t.Helper()
	n, err := strconv.Atoi(r.header.Get("Retry-After"))
	if err != nil || n < 1 || n > 120 {
		t.Errorf("Retry-After = %q; want seconds", r.header.Get("Retry-After"))
	}
	return n
}

// trustingProxy makes a server believe X-Forwarded-For, so that a test can have
// many addresses.
func trustingProxy(c *medicine.Config) { c.Session.TrustedProxies = []string{"127.0.0.1", "::1"} }

func TestGuessesAreThrottled(t *testing.T) {
	s := serveAccounts(t, trustingProxy)
	s.visitor(t).register("ilmer")
	signIn := func(name, pass, from string) reply {
		return s.visitor(t).post("/login", credentials(name, pass), "X-Forwarded-For", from)
	}
	for _, name := range []string{"ilmer", "nobody"} {
		for i := range 5 {
			signIn(name, "a wrong guess", "192.0.2.1").wantError(t, fmt.Sprintf("guess %d at %s", i+1, name), 401, "wrong_credentials")
		}
		r := signIn(strings.ToUpper(name), "a wrong guess", "192.0.2.1")
		r.wantField(t, "guess 6 at "+name, 429, "too_many_attempts", "")
		if n := retryAfter(t, r); n > 30 {
			t.Errorf("Retry-After = %d; want at most 30 s", n)
		}
	}
	signIn("ilmer", pass, "192.0.2.1").wantError(t, "the right password after too many guesses", 429, "too_many_attempts")
	// The owner is elsewhere and knows of nothing.
	signIn("ilmer", pass, "192.0.2.2").want(t, "the owner elsewhere", 200, `{"data":{"username":"ilmer","next":"/dashboard"}}`)
	// Another account from the guesser's address.
	signIn("somebody", pass, "192.0.2.1").wantError(t, "another account", 401, "wrong_credentials")

	// Who has a network of IPv6 has many addresses, and counts as one.
	for i := range 5 {
		signIn("ilmer", "a wrong guess", fmt.Sprintf("2001:db8:1:2::%d", i+1)).wantError(t, "guess over IPv6", 401, "wrong_credentials")
	}
	signIn("ilmer", "a wrong guess", "2001:db8:1:2:ffff::1").wantError(t, "guess from the same /64", 429, "too_many_attempts")
	signIn("ilmer", "a wrong guess", "2001:db8:1:3::1").wantError(t, "guess from another /64", 401, "wrong_credentials")
}

func TestRightPasswordsAreNotCounted(t *testing.T) {
	s := serveAccounts(t, nil)
	s.visitor(t).register("ilmer")
	for range 7 { // two more than wrong ones are let through
		if r := s.visitor(t).post("/login", credentials("ilmer", pass)); r.status != 200 {
			t.Fatalf("sign in = %d %s", r.status, r.body)
		}
	}
}

func TestAddressesAreThrottled(t *testing.T) {
	s, app := serveApp(t, trustingProxy)
	for i := range 29 {
		if err := medicine.FailSignIn(app, fmt.Sprint("user", i), "192.0.2.1"); err != nil {
			t.Fatalf("guess %d: %v", i+1, err)
		}
	}
	guess := func(name string) reply {
		return s.visitor(t).post("/login", credentials(name, pass), "X-Forwarded-For", "192.0.2.1")
	}
	guess("user30").wantError(t, "guess 30", 401, "wrong_credentials")
	last := guess("user31")
	last.wantError(t, "guess 31 from one address", 429, "too_many_attempts")
	retryAfter(t, last)
	// What clients say of themselves moves them nowhere.
	s.visitor(t).post("/login", credentials("x", pass), "X-Forwarded-For", "198.51.100.1, 192.0.2.1").
		wantError(t, "guess with an invented address", 429, "too_many_attempts")
}

// Guesses at one account from everywhere are bounded, too, and do not keep out
// its owner at an address that is known.
func TestLockOutByManyAddresses(t *testing.T) {
	s, app := serveApp(t, trustingProxy)
	s.visitor(t).register("ilmer")
	signIn := func(pass, from string) reply {
		return s.visitor(t).post("/login", credentials("ilmer", pass), "X-Forwarded-For", from)
	}
	if r := signIn(pass, "192.0.2.1"); r.status != 200 {
		t.Fatalf("sign in = %d %s", r.status, r.body)
	}
	for i := range 100 {
		if err := medicine.FailSignIn(app, "ilmer", fmt.Sprint("198.51.100.", i)); err != nil {
			t.Fatalf("guess %d from as many addresses: %v", i+1, err)
		}
	}
	signIn("a wrong guess", "192.0.2.2").wantError(t, "guess 101 from as many addresses", 429, "too_many_attempts")
	if r := signIn(pass, "192.0.2.1"); r.status != 200 {
		t.Errorf("the owner, at an address that is known, = %d %s; want 200", r.status, r.body)
	}
	for range 5 {
		signIn("a wrong guess", "192.0.2.1").wantError(t, "a wrong guess where the owner is", 401, "wrong_credentials")
	}
	signIn(pass, "192.0.2.1").wantError(t, "after 5 wrong guesses where the owner is", 429, "too_many_attempts")
}

// Who has just signed up is known where that was.
func TestLockOutAfterSigningUp(t *testing.T) {
	s, app := serveApp(t, trustingProxy)
	if r := s.visitor(t).post("/register", credentials("ilmer", pass), "X-Forwarded-For", "192.0.2.1"); r.status != 201 {
		t.Fatalf("register = %d %s", r.status, r.body)
	}
	for i := range 100 {
		if err := medicine.FailSignIn(app, "ilmer", fmt.Sprint("198.51.100.", i)); err != nil {
			t.Fatalf("guess %d: %v", i+1, err)
		}
	}
	if r := s.visitor(t).post("/login", credentials("ilmer", pass), "X-Forwarded-For", "192.0.2.1"); r.status != 200 {
		t.Errorf("the owner, where the account was made, = %d %s; want 200", r.status, r.body)
	}
}

// Even right passwords cost a hash each: one address cannot have all processors.
func TestRightPasswordsAreBounded(t *testing.T) {
	s, app := serveApp(t, trustingProxy)
	s.visitor(t).register("ilmer")
	for i := range 100 {
		if err := medicine.PassSignIn(app, "ilmer", "192.0.2.1"); err != nil {
			t.Fatalf("sign-in %d at once: %v", i+1, err)
		}
	}
	r := s.visitor(t).post("/login", credentials("ilmer", pass), "X-Forwarded-For", "192.0.2.1")
	r.wantError(t, "sign-in 101 at once", 429, "too_many_attempts")
	retryAfter(t, r)
	if r := s.visitor(t).post("/login", credentials("ilmer", pass), "X-Forwarded-For", "192.0.2.2"); r.status != 200 {
		t.Errorf("sign-in from another address = %d %s; want 200", r.status, r.body)
	}
}

// A sign-up that is given up has cost a hash and counts, and makes no account
// that nobody was told of.
func TestSignUpsGivenUp(t *testing.T) {
	hasher, table := password.New(), new(users.Memory)
	_, app := serveApp(t, func(c *medicine.Config) { trustingProxy(c); c.Passwords, c.Users = hasher, table })
	handler := app.Handler()
	for i := range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond) // a hash takes longer
		r := httptest.NewRequestWithContext(ctx, "POST", "http://localhost/register", strings.NewReader(credentials(fmt.Sprint("user", i), pass)))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		cancel()
		_, err := table.ByName(t.Context(), fmt.Sprint("user", i))
		if made := err == nil; made != (w.Code == 201) {
			t.Errorf("sign-up %d answers %d; the account is there: %v", i+1, w.Code, made)
		}
	}
	if n := hasher.Count(); n > 20 {
		t.Errorf("40 sign-ups from one address, all given up, cost %d hashes; want 20 at most", n)
	}
}

func TestRegistrationsAreThrottled(t *testing.T) {
	hasher := password.New()
	s := serveAccounts(t, func(c *medicine.Config) { trustingProxy(c); c.Passwords = hasher })
	register := func(name, from string) reply {
		return s.visitor(t).post("/register", credentials(name, pass), "X-Forwarded-For", from)
	}
	for i := range 20 {
		name := fmt.Sprint("user", i/2) // every second one is taken
		if r := register(name, "192.0.2.1"); r.status != 201 && r.status != 409 {
			t.Fatalf("registration %d = %d %s", i+1, r.status, r.body)
		}
	}
	if n := hasher.Count(); n != 10 {
		t.Errorf("%d hashes for 10 accounts and 10 names that were taken; want 10", n)
	}
	r := register("another", "192.0.2.1")
	r.wantError(t, "registration 21", 429, "too_many_attempts")
	retryAfter(t, r)
	if r := register("another", "192.0.2.2"); r.status != 201 {
		t.Errorf("registration from another address = %d %s; want 201", r.status, r.body)
	}
	// What is refused for what it is costs nothing.
	for range 30 {
		register("two words", "192.0.2.3").wantField(t, "a name that is none", 400, "invalid_username", "username")
	}
}
