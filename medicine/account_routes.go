package medicine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pillboxgo/pillbox/medicine/users"
	"github.com/pillboxgo/pillbox/session"
)

// accountRoutes registers what signs up, in and out. Plain forms are sent to the
// same addresses.
func (a *App) accountRoutes() {
	a.mux.HandleFunc("POST /register", a.postRegister)
	a.mux.HandleFunc("POST /login", a.postLogin)
	a.mux.HandleFunc("POST /logout", a.postLogout)
	a.mux.HandleFunc("GET /me", a.me)

	a.mux.HandleFunc("/logout", onlyMethods("POST"))
	a.mux.HandleFunc("/me", onlyMethods("GET, HEAD"))
}

func (a *App) postRegister(w http.ResponseWriter, r *http.Request) {
	if isForm(r) {
		a.registerForm(w, r)
		return
	}
	a.withCredentials(w, r, http.StatusCreated, a.register)
}

func (a *App) postLogin(w http.ResponseWriter, r *http.Request) {
	if isForm(r) {
		a.loginForm(w, r)
		return
	}
	a.withCredentials(w, r, http.StatusOK, a.signIn)
}

// withCredentials does with the name and the password in the body what is to be
// done with them.
func (a *App) withCredentials(w http.ResponseWriter, r *http.Request, status int,
	do func(r *http.Request, name, pass string) (users.User, error),
) {
	c, err := readCredentials(w, r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	u, err := do(r, c.username, c.password)
	if err != nil {
		refuse(w, r, err)
		return
	}
	writeJSON(w, status, map[string]any{"data": struct {
		Username string `json:"username"`
		Next     string `json:"next"`
	}{u.Name, localPath(c.next)}})
}

func (a *App) postLogout(w http.ResponseWriter, r *http.Request) {
	if isForm(r) {
		a.logoutForm(w, r)
		return
	}
	if err := a.signOut(r); err != nil {
		refuse(w, r, err)
		return
	}
	answer(w, struct{}{})
}

func (a *App) me(w http.ResponseWriter, r *http.Request) {
	u, ok, err := a.account(r)
	var at time.Time
	if err == nil {
		at, err = session.From(r.Context()).SignedInAt()
	}
	if err == nil && !ok {
		err = signedOut()
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	answer(w, struct {
		Username   string    `json:"username"`
		SignedInAt time.Time `json:"signedInAt"`
	}{u.Name, at.UTC()})
}

// signedOut is what is asked of somebody who is not signed in is refused with.
func signedOut() error {
	return &problem{status: http.StatusUnauthorized, Code: "signed_out", Message: "You are not signed in."}
}

// credentials are the body of a sign-in or a registration.
type credentials struct{ username, password, next string }

// maxCredentials bounds the body: the longest password, each of its bytes
// written as \u00XX, and a name and a path as long as they may be.
const maxCredentials = 16 << 10

// readCredentials reads {"username":…,"password":…,"next":…}. A member that is
// there twice is refused, since who reads the first and who reads the last would
// see different people sign in; members that are not known are left alone.
func readCredentials(w http.ResponseWriter, r *http.Request) (credentials, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return credentials{}, &problem{status: http.StatusUnsupportedMediaType, Code: "encoded", Message: "Send the body without Content-Encoding."}
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return credentials{}, &problem{status: http.StatusUnsupportedMediaType, Code: "not_json", Message: "Send user name and password with Content-Type: application/json, in UTF-8."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCredentials))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return credentials{}, &problem{status: http.StatusRequestEntityTooLarge, Code: "body_too_large", Message: fmt.Sprintf("The body has at most %d bytes.", maxCredentials)}
	case err != nil:
		return credentials{}, &problem{status: http.StatusBadRequest, Code: "body_incomplete", Message: "The body did not arrive whole."}
	}
	members, err := readMembers(body)
	if err != nil {
		return credentials{}, &problem{status: http.StatusBadRequest, Code: "bad_json", Message: `The body is no JSON object such as {"username":"ilmer","password":"…"} in UTF-8, with each member once.`}
	}
	var c credentials
	for _, m := range []struct {
		name string
		to   *string
	}{{"username", &c.username}, {"password", &c.password}} {
		if !readText(members[m.name], m.to) {
			return credentials{}, invalid(m.name, fmt.Sprintf("The member %q is a text.", m.name))
		}
	}
	if !readText(members["next"], &c.next) {
		c.next = "" // as any other path that is none
	}
	return c, nil
}

// readMembers returns the members of the one JSON object that text is.
func readMembers(text []byte) (map[string]json.RawMessage, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	members := make(map[string]json.RawMessage)
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, errors.New("not a name")
		}
		if _, twice := members[name]; twice {
			return nil, errors.New("a member is there twice")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		members[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return members, nil
}

// readText sets to to a JSON string. A member that is missing or null leaves it
// empty; false means that it is something else.
func readText(value json.RawMessage, to *string) bool {
	return value == nil || json.Unmarshal(value, to) == nil
}
