package medicine

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pillboxgo/pillbox/medicine/password"
	"github.com/pillboxgo/pillbox/medicine/throttle"
	"github.com/pillboxgo/pillbox/medicine/users"
	"github.com/pillboxgo/pillbox/session"
)

// maxSessions is how many sessions a user is signed in to at a time. One more,
// and the oldest ends.
const maxSessions = 20

// queueTime is how long a sign-in waits for its turn to compute a hash.
const queueTime = 10 * time.Second

// signIn signs the request's visitor in to the account of this name, under a new
// session id, and has saved the session when it returns. What the visitor
// collected before is kept, unless another user was signed in.
//
// Its error is a [*problem], the same for a name that nobody has and for a wrong
// password, after the same work; or one of the session, for [refuse].
func (a *App) signIn(r *http.Request, name, pass string) (users.User, error) {
	switch {
	case name == "":
		return users.User{}, invalid("username", "Enter your user name.")
	case pass == "":
		return users.User{}, invalid("password", "Enter your password.")
	}
	folded, err := users.Fold(name)
	if err != nil {
		folded = "" // nobody has such a name
	}
	from := addressKey(a.address(r))
	attempt, err := a.throttles.beginSignIn(r.Context(), folded, from)
	if err != nil {
		return users.User{}, err
	}
	u, err := a.authenticate(r.Context(), name, pass)
	if errors.Is(err, errWrong) {
		attempt.Failed()
		return users.User{}, &problem{
			status: http.StatusUnauthorized, Code: "wrong_credentials",
			Message: "User name and password do not match. Check both and try again.",
		}
	}
	attempt.Dropped()
	if err != nil {
		return users.User{}, err
	}
	a.throttles.known.Add(pairKey(folded, from))
	return u, a.enter(r, u)
}

// errWrong: there is no account of this name, or it has another password.
var errWrong = errors.New("wrong user name or password")

// authenticate returns the account that has this name and password, or errWrong.
func (a *App) authenticate(ctx context.Context, name, pass string) (users.User, error) {
	u, err := a.users.ByName(ctx, name)
	if err != nil && !errors.Is(err, users.ErrNotFound) {
		return users.User{}, a.usersFailed(ctx, err)
	}
	turn, cancel := context.WithTimeout(ctx, queueTime)
	defer cancel()
	// Without an account the hash is empty, and checked as long as any other.
	ok, outdated, err := a.passwords.Check(turn, u.Hash, pass)
	if err != nil && !errors.Is(err, password.ErrBusy) {
		// Nobody can sign in to this account, which is not for a guesser to know.
		a.log.Error("medicine: check a password", "error", err)
		ok, outdated, err = a.passwords.Check(turn, "", pass)
	}
	switch {
	case err != nil:
		return users.User{}, busy()
	case !ok:
		return users.User{}, errWrong
	}
	if outdated {
		a.rehash(turn, u, pass)
	}
	return u, nil
}

// rehash makes the hash of an account anew at today's cost. If that fails the old
// one still works.
func (a *App) rehash(ctx context.Context, u users.User, pass string) {
	prepared, err := password.Prepare(pass)
	if err != nil {
		return
	}
	hash, err := a.passwords.Hash(ctx, prepared)
	if err == nil {
		err = a.users.UpdateHash(ctx, u.ID, u.Hash, hash)
	}
	if err != nil {
		a.log.Warn("medicine: renew the hash of a password", "error", err)
	}
}

// register makes an account and signs the request's visitor in to it, as signIn
// does. Its error is a [*problem], or one of the session, for [refuse]; then
// there is no new account.
func (a *App) register(r *http.Request, name, pass string) (users.User, error) {
	folded, err := users.Fold(name)
	var badName *users.NameError
	if errors.As(err, &badName) {
		return users.User{}, invalid("username", badName.Reason)
	}
	prepared, err := password.Prepare(pass)
	var badPassword *password.Error
	if errors.As(err, &badPassword) {
		return users.User{}, invalid("password", badPassword.Reason)
	}
	if same, err := users.Fold(prepared); err == nil && same == folded {
		return users.User{}, invalid("password", "The password is the user name. Choose another one.")
	}
	from := addressKey(a.address(r))
	attempt := new(throttle.Attempt)
	if !a.lab.Sent(r) { // which has its own limit, and the address of whoever is at the machine
		if attempt, err = a.throttles.beginRegistration(r.Context(), from); err != nil {
			return users.User{}, err
		}
	}
	u, counts, err := a.create(r.Context(), name, prepared)
	if counts {
		attempt.Failed()
	} else {
		attempt.Dropped()
	}
	if err != nil {
		return users.User{}, err
	}
	if err := a.enter(r, u); err != nil {
		// Or the name would be taken when its owner tries again.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), queueTime)
		defer cancel()
		if err := a.users.Delete(ctx, u.ID); err != nil {
			a.log.Error("medicine: take back an account whose session was not saved", "error", err)
		}
		return users.User{}, err
	}
	a.throttles.known.Add(pairKey(folded, from))
	return u, nil
}

// create makes an account. counts says whether that used up some of what an address
// may do: it cost a hash, or told that a name is taken.
func (a *App) create(ctx context.Context, name, prepared string) (u users.User, counts bool, err error) {
	// A name that is taken is not worth a hash.
	_, err = a.users.ByName(ctx, name)
	switch {
	case err == nil:
		return users.User{}, true, taken()
	case !errors.Is(err, users.ErrNotFound):
		return users.User{}, false, a.usersFailed(ctx, err)
	}
	turn, cancel := context.WithTimeout(ctx, queueTime)
	defer cancel()
	hash, err := a.passwords.Hash(turn, prepared)
	if err != nil {
		return users.User{}, false, busy()
	}
	// A visitor who leaves now leaves no account that nobody was told of.
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), queueTime)
	defer done()
	u, err = a.users.Create(ctx, name, hash)
	switch {
	case errors.Is(err, users.ErrTaken):
		return users.User{}, true, taken()
	case err != nil:
		return users.User{}, true, a.usersFailed(ctx, err)
	}
	return u, true, nil
}

// enter makes u the user of the request's session: a new id, what was collected
// kept, and all of it in the store before anything is answered, so that the
// request after a redirect arrives signed in.
func (a *App) enter(r *http.Request, u users.User) error {
	s := session.From(r.Context())
	err := s.SignIn(u.ID)
	if err == nil {
		d := a.newDevice(r)
		// Who signs in again does so on the device that the session is known by.
		if before, err := deviceKey.Get(s); err == nil && !before.FirstSeen.IsZero() {
			d.FirstSeen = before.FirstSeen
		}
		err = deviceKey.Set(s, d)
	}
	if err == nil {
		err = s.Save()
	}
	if errors.Is(err, session.ErrRevoked) {
		return &problem{
			status: http.StatusConflict, Code: "sign_in_revoked",
			Message: "You were signed out everywhere while you signed in. Sign in again.",
		}
	}
	return err
}

// signOut ends the request's session, if there is one.
func (a *App) signOut(r *http.Request) error {
	return session.From(r.Context()).SignOut()
}

// account returns the account that the request's visitor is signed in to. Nobody
// is signed in where ok is false: also where the session outlives the account.
func (a *App) account(r *http.Request) (u users.User, ok bool, err error) {
	id, err := session.From(r.Context()).User()
	if err != nil || id == "" {
		return users.User{}, false, err
	}
	u, err = a.users.ByID(r.Context(), id)
	switch {
	case errors.Is(err, users.ErrNotFound):
		return users.User{}, false, nil
	case err != nil:
		return users.User{}, false, a.usersFailed(r.Context(), err)
	}
	return u, true, nil
}

// usersFailed logs what went wrong with the accounts and returns what a visitor
// may know of it.
func (a *App) usersFailed(ctx context.Context, err error) error {
	if ctx.Err() == nil { // else the visitor has left
		a.log.Error("medicine: accounts are not available", "error", err)
	}
	return &problem{
		status: http.StatusServiceUnavailable, Code: "accounts_unavailable", retryAfter: 5 * time.Second,
		Message: "The accounts are not available at the moment. Try again.",
	}
}

func invalid(field, message string) error {
	return &problem{status: http.StatusBadRequest, Code: "invalid_" + field, Field: field, Message: message}
}

func taken() error {
	return &problem{
		status: http.StatusConflict, Code: "username_taken", Field: "username",
		Message: "Somebody has this user name already. Choose another one.",
	}
}

func busy() error {
	return &problem{
		status: http.StatusServiceUnavailable, Code: "busy", retryAfter: 5 * time.Second,
		Message: "Many people are signing in at the moment. Try again in a few seconds.",
	}
}
