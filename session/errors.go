package session

import (
	"errors"
	"net/http"
)

// What a session answers beside the store's own errors. They may be wrapped;
// test with [errors.Is].
var (
	// ErrEnded: the session was destroyed, revoked or expired while this
	// request was under way, so nothing of it can be changed any more.
	ErrEnded = errors.New("session has ended")

	// ErrReadOnly: the session's id was renewed by another request, and this
	// one still carries the old id. See Config.RenewGrace.
	ErrReadOnly = errors.New("session id was renewed; this request may only read")

	// ErrTooLate: no cookie can be sent, since the response has begun, or since
	// the session was opened outside of a request.
	ErrTooLate = errors.New("a new session id cannot be sent: the response has begun, or there is none")

	// ErrInsecureRequest: the session cookie is Secure, and the request came
	// over plain HTTP from somewhere other than localhost.
	ErrInsecureRequest = errors.New("session cookie is Secure but the request is plain HTTP: " +
		"use https, list the proxy that ends TLS in TrustedProxies, or choose another Cookie.Secure")

	// ErrCrossSite: a page of another site sent this request without the
	// visitor's session; a new session would replace the visitor's own.
	ErrCrossSite = errors.New("a request from another site may not begin a session")

	// ErrOutsidePath: the request is for a path that Config.Cookie.Path does
	// not cover.
	ErrOutsidePath = errors.New("request path is outside of the session cookie's path")

	// ErrRequestOver: the request that the session belongs to is over. See
	// [Manager.Open].
	ErrRequestOver = errors.New("the session's request is over; open the session with Manager.Open")

	// ErrManyCookies: the request carries so many well-signed session cookies
	// that a new one could not be told from them.
	ErrManyCookies = errors.New("request carries too many session cookies")

	// ErrTooLarge: the session exceeds Config.MaxBytes.
	ErrTooLarge = errors.New("session is too large")

	// ErrReservedKey: the key's name has a meaning of its own in a stored
	// session, or express-session would drop it.
	ErrReservedKey = errors.New("session key is reserved")

	// ErrSignedOut: the session has no signed-in user.
	ErrSignedOut = errors.New("nobody is signed in")

	// ErrStale: the user signed in longer ago than the handler accepts.
	ErrStale = errors.New("sign-in is not recent enough")
)

// Status returns the HTTP status code that answers a request whose session
// could not be used because of err: 400 for too many cookies, 409 where the session ended under it, 413
// for a session that is too large, 403 for a cross-site request, 401 where a
// fresh sign-in is needed, 429 for too many sessions, 500 for a mistake in the
// program or its configuration, and 503 where the store failed.
func Status(err error) int {
	for _, s := range []struct {
		code int
		errs []error
	}{
		{http.StatusBadRequest, []error{ErrManyCookies}},
		{http.StatusConflict, []error{ErrEnded, ErrReadOnly, ErrConflict}},
		{http.StatusRequestEntityTooLarge, []error{ErrTooLarge}},
		{http.StatusForbidden, []error{ErrCrossSite}},
		{http.StatusUnauthorized, []error{ErrSignedOut, ErrStale, ErrRevoked}},
		{http.StatusTooManyRequests, []error{ErrTooManySessions}},
		{http.StatusInternalServerError, []error{
			ErrTooLate, ErrInsecureRequest, ErrOutsidePath, ErrRequestOver, ErrReservedKey,
			errors.ErrUnsupported,
		}},
	} {
		for _, target := range s.errs {
			if errors.Is(err, target) {
				return s.code
			}
		}
	}
	return http.StatusServiceUnavailable
}

// explain returns the one sentence that a visitor may read about err.
func explain(err error) string {
	switch Status(err) {
	case http.StatusBadRequest:
		return "Your browser sent too many session cookies. Delete the cookies of this site and try again."
	case http.StatusConflict:
		return "Your session has ended or changed meanwhile. Load the page again."
	case http.StatusRequestEntityTooLarge:
		return "Your session is full."
	case http.StatusForbidden:
		return "This request came from another site and was refused."
	case http.StatusUnauthorized:
		return "Sign in and try again."
	case http.StatusTooManyRequests:
		return "You are signed in too many times. Sign out elsewhere and try again."
	case http.StatusInternalServerError:
		return "The session could not be saved. The server's log says why."
	}
	return "Your session is not available at the moment, and nothing was saved. Try again."
}
