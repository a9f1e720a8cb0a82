package lab

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
)

const (
	attacker = "attacker"
	visitor  = "visitor"
)

// fixation: the attacker chooses the id under which the visitor will sign up.
func (r *run) fixation() (string, error) {
	planted, err := r.begin(attacker, "gets a session of his own by adding a pill.", "Planted", "the attacker's own")
	if err != nil {
		return "", err
	}
	planted.words = "the attacker's, planted in the visitor's browser"
	own, err := r.signUp(planted)
	if err != nil {
		return "", err
	}
	if idOf(own.value) == idOf(planted.value) {
		r.hole("the id stayed the same when the visitor signed up")
	}
	if pills, _, err := r.add(visitor, "adds a pill, signed in.", "Private", own); err != nil {
		return "", err
	} else if pills == 0 {
		return "", &IncompleteError{"The visitor's own session took no pill."}
	}

	planted.words = "the one that was planted"
	if pills, _, err := r.read(attacker, "uses the planted cookie to read the visitor's pills.", planted); err != nil {
		return "", err
	} else if pills > 0 {
		r.hole("the planted cookie still opens a session")
	}
	q := request{who: attacker, did: "asks who is signed in.", method: http.MethodGet, path: "/me", cookie: planted}
	a, err := r.send(q)
	if err != nil {
		return "", err
	}
	if a.status == http.StatusOK {
		r.hole("the server takes the attacker for the visitor")
		r.note(q, a, sentence("the visitor's name", a.cookies(planted)))
	} else {
		r.note(q, a, sentence(a.refusal(), a.cookies(planted)))
	}

	id := random(24)
	for _, c := range []cookie{
		{id, "an id that the attacker made up, unsigned"},
		{join(id, random(32)), "an id that the attacker made up, with a signature that he made up"},
	} {
		if err := r.plantMadeUp(c); err != nil {
			return "", err
		}
	}
	return "Signing up gave the visitor a session under a new id and ended the old one, so the planted cookie opens nothing. " +
		"An id that somebody made up is never taken on.", nil
}

// signUp makes a throwaway account with the cookie in the visitor's browser, and
// returns the cookie that the browser has then.
func (r *run) signUp(planted cookie) (cookie, error) {
	name := "lab-" + strings.ToLower(rand.Text()[:16])
	body, err := json.Marshal(map[string]string{"username": name, "password": rand.Text()})
	if err != nil {
		return cookie{}, &IncompleteError{"A request could not be built."}
	}
	r.users = append(r.users, name) // whether or not the answer arrives
	q := request{
		who: visitor, did: "signs up, with the planted cookie in the browser.",
		method: http.MethodPost, path: "/register", body: string(body), cookie: planted,
	}
	a, err := r.send(q)
	if err != nil {
		return cookie{}, err
	}
	if err := expect(q, a, http.StatusCreated); err != nil {
		return cookie{}, err
	}
	r.note(q, a, sentence("an account, signed in", a.cookies(planted)))
	own := cookie{planted.value, "the visitor's, from signing up"}
	if a.set != "" {
		own.value = a.set
	}
	return own, nil
}

// plantMadeUp has a visitor write with a cookie that no server has set.
func (r *run) plantMadeUp(c cookie) error {
	_, a, err := r.add(visitor, "adds a pill, with a cookie that no server has set.", "Private", c)
	if err != nil {
		return err
	}
	if a.set != "" && idOf(a.set) == idOf(c.value) {
		r.hole("an id that the attacker made up became the visitor's")
	}
	pills, _, err := r.read(attacker, "uses the cookie that he made up.", c)
	if err != nil {
		return err
	}
	if pills > 0 {
		r.hole("a cookie that the attacker made up opens the visitor's session")
	}
	return nil
}

// tampered: the attacker changes a cookie by guesswork.
func (r *run) tampered() (string, error) {
	own, err := r.begin(visitor, "gets a session by adding a pill.", "Private", "the visitor's own")
	if err != nil {
		return "", err
	}
	others, err := r.begin(attacker, "gets a session of his own by adding a pill.", "Other", "the attacker's own")
	if err != nil {
		return "", err
	}
	id, signature := split(own.value)
	_, foreign := split(others.value)
	for _, c := range []cookie{
		{join(changed(id), signature), "the visitor's, the id changed in one character"},
		{join(id, changed(signature)), "the visitor's, the signature changed in one character"},
		{id, "the visitor's, the signature cut off"},
		{join(id, foreign), "the visitor's, with the signature of the attacker's"},
	} {
		pills, a, err := r.read(attacker, "reads with a cookie that was tampered with.", c)
		if err != nil {
			return "", err
		}
		if pills > 0 {
			r.hole("a session opened for this cookie: %s", c.words)
		}
		if a.set != "" || a.clears {
			r.hole("the answer to a damaged cookie would have replaced the visitor's own")
		}
	}
	pills, a, err := r.read(visitor, "reads with the untouched cookie.", own)
	if err != nil {
		return "", err
	}
	if pills != 1 || a.clears {
		r.hole("the visitor's own session was harmed")
	}
	return "The signature covers every character of the id and fits no other id, so each changed cookie counted as none. " +
		"No answer touched the visitor's own cookie.", nil
}

// replayed: the attacker has a copy of the cookie of a session that has ended.
func (r *run) replayed() (string, error) {
	own, err := r.begin(visitor, "gets a session by adding a pill.", "Private", "the visitor's own")
	if err != nil {
		return "", err
	}
	q := request{who: visitor, did: "signs out.", method: http.MethodPost, path: "/logout", body: "{}", cookie: own}
	a, err := r.send(q)
	if err != nil {
		return "", err
	}
	if err := expect(q, a, http.StatusOK); err != nil {
		return "", err
	}
	r.note(q, a, sentence("the session has ended", a.cookies(own)))

	copied := cookie{own.value, "a copy of the one that has ended"}
	if err := r.readEnded("reads with a copy of the cookie.", copied); err != nil {
		return "", err
	}
	pills, a, err := r.add(attacker, "adds a pill with a copy of the cookie.", "Replayed", copied)
	if err != nil {
		return "", err
	}
	if pills > 1 {
		r.hole("what the ended session held came back by writing")
	}
	if a.set != "" && idOf(a.set) == idOf(copied.value) {
		r.hole("the ended id was handed out again")
	}
	if err := r.readEnded("reads again, to see whether writing has revived the session.", copied); err != nil {
		return "", err
	}
	return "Signing out ended the session at the server, and not only the browser's cookie, so a copy of the cookie opens nothing. " +
		"Writing with it begins a fresh session under another id.", nil
}

func (r *run) readEnded(did string, copied cookie) error {
	pills, _, err := r.read(attacker, did, copied)
	if err == nil && pills > 0 {
		r.hole("the cookie of an ended session opens a session")
	}
	return err
}
