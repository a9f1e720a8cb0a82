package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxAnswer is how much of an answer is read; no answer to the lab is longer.
const maxAnswer = 1 << 20

// A run is one attack on its way.
type run struct {
	ctx       context.Context // of the requests
	watching  context.Context // of whom the outcome is for
	name      string          // of the cookie
	token     string          // for Header
	transport *http.Transport

	steps  []Step
	holes  []string // what the attack has achieved, in words
	issued []string // each cookie value that the server has set
	users  []string // each account that may have been made
}

func newRun(ctx, watching context.Context, cookieName, token string, server *net.TCPAddr) *run {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &run{ctx: ctx, watching: watching, name: cookieName, token: token, transport: &http.Transport{
		// Whatever a URL says, and whatever proxy the environment has.
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "tcp", server.String())
		},
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}}
}

func (r *run) close() { r.transport.CloseIdleConnections() }

// hole notes something that the attack has achieved.
func (r *run) hole(format string, args ...any) {
	r.holes = append(r.holes, fmt.Sprintf(format, args...))
}

// A cookie is what a request of an attack carries, and what to call it.
type cookie struct {
	value string // as in the header; empty for none
	words string // never the value
}

// A request is one that an attack sends.
type request struct {
	who, did     string
	method, path string
	body         string // JSON; empty for none
	cookie       cookie
}

// An answer is what came back.
type answer struct {
	status int
	body   []byte
	set    string // the session cookie's new value, if any
	clears bool   // the session cookie
}

// send sends a request, and ends the run where the answer has no bearing on the
// attack: the server failed, or asks to be left alone for a while.
func (r *run) send(q request) (answer, error) {
	if r.watching.Err() != nil {
		return answer{}, &IncompleteError{"Whoever wanted to see it has left."}
	}
	// Browsers and servers take a Secure cookie to http://localhost.
	req, err := http.NewRequestWithContext(r.ctx, q.method, "http://localhost"+q.path, strings.NewReader(q.body))
	if err != nil {
		return answer{}, &IncompleteError{"A request could not be built."}
	}
	req.Header.Set(Header, r.token)
	req.Header.Set("User-Agent", "Pillbox security lab")
	req.Header.Set("Accept", "application/json")
	if q.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if q.cookie.value != "" {
		// Not AddCookie, which drops what it does not like.
		req.Header.Set("Cookie", r.name+"="+q.cookie.value)
	}
	res, err := r.transport.RoundTrip(req) // follows no redirects and keeps no cookies
	if err != nil {
		return answer{}, &IncompleteError{"The server did not answer " + q.method + " " + q.path + "."}
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode}
	for _, c := range res.Cookies() {
		switch {
		case c.Name != r.name:
		case c.Value == "" || c.MaxAge < 0 || !c.Expires.IsZero() && c.Expires.Before(time.Now()):
			a.clears = true
		default:
			a.set = c.Value
			if !slices.Contains(r.issued, c.Value) {
				r.issued = append(r.issued, c.Value)
			}
		}
	}
	if a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil {
		return answer{}, &IncompleteError{"The answer to " + q.method + " " + q.path + " did not arrive whole."}
	}
	if a.status == http.StatusTooManyRequests {
		seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
		if err != nil || seconds < 1 || seconds > 3600 {
			seconds = 5
		}
		return answer{}, &BusyError{time.Duration(seconds) * time.Second}
	}
	if a.status >= http.StatusInternalServerError {
		return answer{}, &IncompleteError{fmt.Sprintf("The server answered %s %s with %d.", q.method, q.path, a.status)}
	}
	return a, nil
}

// note adds a step.
func (r *run) note(q request, a answer, text string) {
	words := "none"
	if q.cookie.value != "" {
		words = r.name + "=(" + q.cookie.words + ")"
	}
	r.steps = append(r.steps, Step{
		Who: q.who, Did: q.did, Request: q.method + " " + q.path, Cookie: words, Status: a.status, Answer: text,
	})
}

// expect ends the run unless the answer has this status: what the attack builds
// on did not happen.
func expect(q request, a answer, status int) error {
	if a.status == status {
		return nil
	}
	return &IncompleteError{fmt.Sprintf("The server answered %s %s with %d, not with %d.", q.method, q.path, a.status, status)}
}

// read asks for the pills of the session that the cookie stands for.
func (r *run) read(who, did string, c cookie) (pills int, _ answer, err error) {
	q := request{who: who, did: did, method: http.MethodGet, path: "/pills", cookie: c}
	a, err := r.send(q)
	if err != nil {
		return 0, a, err
	}
	pills = a.pills()
	r.note(q, a, sentence(a.list(), a.cookies(c)))
	return pills, a, nil
}

// add adds a pill to the session that the cookie stands for.
func (r *run) add(who, did, pill string, c cookie) (pills int, _ answer, err error) {
	body, err := json.Marshal(map[string]string{"name": pill})
	if err != nil {
		return 0, answer{}, &IncompleteError{"A request could not be built."}
	}
	q := request{who: who, did: did, method: http.MethodPost, path: "/pills", body: string(body), cookie: c}
	a, err := r.send(q)
	if err != nil {
		return 0, a, err
	}
	pills = a.pills()
	r.note(q, a, sentence(a.list(), a.cookies(c)))
	return pills, a, nil
}

// begin begins a session with a pill in it, and returns its cookie.
func (r *run) begin(who, did, pill, words string) (cookie, error) {
	pills, a, err := r.add(who, did, pill, cookie{})
	if err != nil {
		return cookie{}, err
	}
	if pills != 1 || a.set == "" {
		return cookie{}, &IncompleteError{"The server began no session with a first pill."}
	}
	return cookie{a.set, words}, nil
}

// pills returns how many pills the answer has.
func (a answer) pills() int {
	var body struct {
		Data []json.RawMessage `json:"data"`
	}
	if a.status != http.StatusOK || json.Unmarshal(a.body, &body) != nil {
		return 0
	}
	return len(body.Data)
}

// list says what pills the answer has.
func (a answer) list() string {
	switch n := a.pills(); {
	case a.status != http.StatusOK:
		return a.refusal()
	case n == 0:
		return "no pills"
	case n == 1:
		return "one pill"
	default:
		return fmt.Sprintf("%d pills", n)
	}
}

// refusal names the error in the answer.
func (a answer) refusal() string {
	var body struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	if json.Unmarshal(a.body, &body) != nil || !isCode(body.Error.Code) {
		return "an error"
	}
	return "the error " + body.Error.Code
}

// isCode reports whether text is a code for programs, and nothing that a
// strange server has put in its place.
func isCode(text string) bool {
	return text != "" && len(text) <= 32 && len(bytes.Trim([]byte(text), "abcdefghijklmnopqrstuvwxyz_")) == 0
}

// cookies says what the answer does to the browser's cookie.
func (a answer) cookies(sent cookie) string {
	switch {
	case a.set != "" && sent.value == "":
		return "a session cookie"
	case a.set != "" && idOf(a.set) == idOf(sent.value):
		return "a cookie with the same id"
	case a.set != "":
		return "a cookie with another id"
	case a.clears:
		return "the end of the cookie"
	}
	return "no cookie"
}

// sentence joins what an answer has.
func sentence(first, second string) string {
	return strings.ToUpper(first[:1]) + first[1:] + ", and " + second + "."
}
