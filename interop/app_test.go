package interop_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// secret is the one of express-session's own documentation.
const secret = "keyboard cat"

// recommended are the options that express-session's documentation recommends.
const recommended = `{"secret":"keyboard cat","resave":false,"saveUninitialized":false}`

// configure returns what corresponds to recommended.
func configure(store session.Store, edit ...func(*session.Config)) session.Config {
	c := session.ExpressV1()
	c.Store = store
	c.Secrets, c.InsecureSecrets = []string{secret}, true
	c.Logger = slog.New(slog.DiscardHandler)
	c.Resave, c.SaveUninitialized = false, false
	for _, f := range edit {
		f(&c)
	}
	return c
}

// startPillbox starts what app.mjs is, with Pillbox, and returns its address.
func startPillbox(t *testing.T, config session.Config) (url string) {
	t.Helper()
	m, err := session.New(config)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return newServer(t, m.Handler(http.HandlerFunc(act)))
}

func newServer(t *testing.T, handler http.Handler) (url string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// act does to the session what the request tells it to do, and answers with
// what it then has.
func act(w http.ResponseWriter, r *http.Request) {
	s := session.From(r.Context())
	var ops [][]json.RawMessage
	err := json.NewDecoder(r.Body).Decode(&ops)
	for _, op := range ops {
		var args [3]string
		for i, arg := range op {
			if i < 2 && json.Unmarshal(arg, &args[i]) != nil {
				args[i] = string(arg)
			}
		}
		if args[0] == "redirect" && err == nil {
			http.Redirect(w, r, args[1], http.StatusSeeOther)
			return
		}
		var value json.RawMessage
		if len(op) > 2 {
			value = op[2]
		}
		err = errors.Join(err, do(s, args[0], args[1], value))
	}
	if err != nil {
		http.Error(w, err.Error(), session.Status(err))
		return
	}
	data := "null"
	keys, err := s.Keys()
	if err == nil {
		var members []string
		for _, key := range keys {
			value, getErr := session.Key[json.RawMessage](key).Get(s)
			err = errors.Join(err, getErr)
			members = append(members, fmt.Sprintf("%q:%s", key, value))
		}
		data = "{" + strings.Join(members, ",") + "}"
	}
	if err != nil && !errors.Is(err, session.ErrEnded) {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"session": data})
}

func do(s *session.Session, op, arg string, value json.RawMessage) error {
	key := session.Key[json.RawMessage](arg)
	switch op {
	case "set":
		return key.Set(s, value)
	case "delete":
		return key.Delete(s)
	case "append":
		_, err := session.Key[[]json.RawMessage](arg).Update(s, func(l []json.RawMessage) []json.RawMessage {
			return append(l, value)
		})
		return err
	case "maxAge":
		var ms int64
		if err := json.Unmarshal([]byte(arg), &ms); err != nil {
			return err
		}
		return s.SetMaxAge(time.Duration(ms) * time.Millisecond)
	case "touch":
		return s.Touch()
	case "unset":
		return s.Unset()
	case "save":
		return s.Save()
	case "reload":
		return s.Reload()
	case "regenerate":
		return s.Regenerate()
	case "renew": // Express has no such thing
		return s.Renew()
	case "destroy":
		return s.Destroy()
	case "signIn":
		return s.SignIn(arg)
	case "signOut":
		return s.SignOut()
	}
	return fmt.Errorf("no such operation: %q", op)
}

// client has a connection for each request. Express cuts that of a session which
// its store cannot touch any more, after the response, and Node one that is idle:
// a request that has just been sent on it would go down with it.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// A visitor has a browser's one cookie.
type visitor struct {
	t      *testing.T
	cookie string // the value; empty for none
}

// An answer is what a request came to.
type answer struct {
	status  int
	cookies []string        // Set-Cookie
	data    map[string]any  // of the session as the application sees it; nil for no session
	result  json.RawMessage // of the last operation, from Express
}

// ask sends a list of operations, as JSON, and keeps the cookie of the answer.
func (v *visitor) ask(url, ops string) answer {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), "POST", url, strings.NewReader(ops))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forwarded-Proto", "https") // heeded where proxies are trusted
	if v.cookie != "" {
		req.Header.Set("Cookie", "connect.sid="+v.cookie)
	}
	resp, err := client.Do(req)
	if err != nil {
		v.t.Errorf("%s: %v", ops, err)
		return answer{}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		v.t.Errorf("%s: %v", ops, err)
	}
	a := answer{status: resp.StatusCode, cookies: resp.Header["Set-Cookie"]}
	if a.status != http.StatusOK {
		return a
	}
	var body struct {
		Session *string
		Result  json.RawMessage
	}
	if err := json.Unmarshal(text, &body); err != nil {
		v.t.Errorf("%s: %v in %q", ops, err, text)
	}
	a.result = body.Result
	if body.Session != nil {
		if err := json.Unmarshal([]byte(*body.Session), &a.data); err != nil {
			v.t.Errorf("%s: %v in %q", ops, err, *body.Session)
		}
		delete(a.data, "cookie")
		delete(a.data, "__pillbox")
	}
	v.keep(a.cookies)
	return a
}

// post sends a request, keeps the cookie of the answer and returns the status.
func (v *visitor) post(url string) (status int) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), "POST", url, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Cookie", "connect.sid="+v.cookie)
	resp, err := client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	resp.Body.Close()
	v.keep(resp.Header["Set-Cookie"])
	return resp.StatusCode
}

// keep keeps the cookie that an answer sets, if any.
func (v *visitor) keep(lines []string) {
	for _, line := range lines {
		if rest, ok := strings.CutPrefix(line, "connect.sid="); ok {
			v.cookie, _, _ = strings.Cut(rest, ";")
		}
	}
}

// must is ask for what has to succeed.
func (v *visitor) must(url, ops string) answer {
	v.t.Helper()
	a := v.ask(url, ops)
	if a.status != http.StatusOK {
		v.t.Fatalf("%s answered %d; want 200", ops, a.status)
	}
	return a
}

// id returns the id in the visitor's cookie, which for generated ids needs no
// decoding.
func (v *visitor) id() string {
	id, _, _ := strings.Cut(strings.TrimPrefix(v.cookie, "s%3A"), ".")
	return id
}

// newStore returns a store that holds nothing.
func newStore() *memstore.Store { return memstore.New(memstore.Options{}) }

// stored returns what a store has under id, or "".
func stored(t *testing.T, store session.Store, id string) string {
	t.Helper()
	rec, err := store.Load(context.WithoutCancel(t.Context()), id, session.Slide{})
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load: %v", err)
	}
	return string(rec.Data)
}

// names returns the names of a session's keys.
func (a answer) names() []string {
	var names []string
	for name := range a.data {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
