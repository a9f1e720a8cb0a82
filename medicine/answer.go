package medicine

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// answer writes {"data":…} with status 200.
func answer(w http.ResponseWriter, data any) {
	writeJSON(w, http.StatusOK, map[string]any{"data": data})
}

// A problem is what a request is refused with.
type problem struct {
	status     int
	retryAfter time.Duration // when to try again; zero: says nothing of it

	Code    string `json:"code"`            // for programs; never changes
	Message string `json:"message"`         // for people
	Field   string `json:"field,omitempty"` // the input at fault, if it is one
}

func (p *problem) Error() string { return p.Code }

// refuse writes {"error":{"code","message","field"}}. Errors that are no problem of the
// request's own come from the session.
func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	var p *problem
	if !errors.As(err, &p) {
		p = sessionProblem(err)
	}
	if p.retryAfter > 0 {
		seconds := int(math.Ceil(p.retryAfter.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	writeJSON(w, p.status, map[string]any{"error": p})
}

// sessionFailed answers a request whose session could not be used.
func sessionFailed(w http.ResponseWriter, r *http.Request, err error) {
	refuse(w, r, sessionProblem(err))
}

// sessionProblem returns what a visitor may know of an error of the session.
func sessionProblem(err error) *problem {
	p := &problem{status: session.Status(err)}
	switch p.status {
	case http.StatusBadRequest:
		p.Code, p.Message = "many_cookies", "Your browser sent too many session cookies. Delete the cookies of this site and try again."
	case http.StatusConflict:
		p.Code, p.Message = "session_ended", "Your session has ended or changed meanwhile. Load the page again."
	case http.StatusRequestEntityTooLarge:
		p.Code, p.Message = "session_full", "Your session is full. Remove some pills first."
	case http.StatusForbidden:
		p.Code, p.Message = "cross_origin", "This request came from another site and was refused."
	case http.StatusUnauthorized:
		p.Code, p.Message = "sign_in", "Sign in and try again."
	case http.StatusTooManyRequests:
		p.Code, p.Message = "too_many_sessions", "You are signed in too many times. Sign out elsewhere and try again."
	case http.StatusInternalServerError:
		p.Code, p.Message = "session_unusable", "Your session could not be saved. The server's log says why."
	default:
		p.Code, p.Message = "store_unavailable", "Your session is not available at the moment, and nothing was saved. Try again."
	}
	return p
}

func notFound(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, &problem{status: http.StatusNotFound, Code: "not_found", Message: "There is nothing at this address."})
}

// onlyMethods refuses every method but those that are routed elsewhere.
func onlyMethods(allow string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		refuse(w, r, &problem{status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Message: "This address does not know the method " + r.Method + ". It knows " + allow + "."})
	}
}

// writeJSON answers byte for byte as Express does, so with no line break at the
// end and with < > & as they are.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // of our own types only, and of JSON that was valid before
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	// The status has gone out; a client that left is nobody to tell.
	_, _ = w.Write(bytes.TrimSuffix(body.Bytes(), []byte("\n")))
}
