package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

// A snitch reads what is said, and knows what must not be.
type snitch struct {
	t       *testing.T
	secrets map[string]string // what it is → the text
	ids     []string          // all there ever were, and their signatures
}

func (s *snitch) check(where, text string) {
	s.t.Helper()
	for what, secret := range s.secrets {
		if strings.Contains(text, secret) {
			s.t.Errorf("%s holds the %s: %.300s", where, what, text)
		}
	}
	for _, id := range s.ids[max(0, len(s.ids)-6):] {
		if strings.Contains(text, id) {
			s.t.Errorf("%s holds an id or its signature: %.300s", where, text)
		}
	}
}

// values checks a value in every way in which it may get into a log.
func (s *snitch) values(name string, v any) {
	s.t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%q", "%x", "%T"} {
		s.check(name+" as "+verb, fmt.Sprintf(verb, v))
		s.check("a slice of "+name+" as "+verb, fmt.Sprintf(verb, []any{v}))
	}
	s.check(name+" by Println", fmt.Sprintln(v))
	// A Record is the store's to encode.
	if text, err := json.Marshal(v); err == nil && !strings.Contains(name, "Record") {
		s.check(name+" as JSON", string(text))
	}
	var b bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Info("x", "v", v)
	}
	s.check(name+" by slog", b.String())
}

// OWASP Session Management Cheat Sheet, "Logging Sessions Life Cycle": a whole
// life, with every failure that a store can have, is told without the id, the
// cookie, the secret or the data.
func TestSecurityNothingLeaks(t *testing.T) {
	const data = "insulin, 40 units"
	sealingKey := []byte("sealing key #7 with 32 bytes....")
	sn := &snitch{t: t, secrets: map[string]string{
		"signing secret": labSecret, "data": data, "encryption key": string(sealingKey), "encoded data": "aW5zdWxpb",
		"encryption key in bytes": strings.Trim(fmt.Sprint(sealingKey), "[]"), "encryption key in hex": fmt.Sprintf("%x", sealingKey),
		"secret in hex": fmt.Sprintf("%x", labSecret), "data in bytes": strings.Trim(fmt.Sprint([]byte(data)), "[]"),
		"data in hex": fmt.Sprintf("%x", data),
	}}
	var config session.Config
	var ctx context.Context
	l := newLab(t, func(c *session.Config) {
		c.MaxBytes, c.MaxPerUser, c.RejectOverMax = 2000, 2, true
		c.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
			sn.values("error", err)
			http.Error(w, err.Error(), session.Status(err))
		}
		config = *c
	})
	config.EncryptionKeys = [][]byte{sealingKey}
	v := l.visitor()
	knows := func() {
		if len(v.cookies) == 1 {
			_, value, _ := strings.Cut(v.cookies[0], "=")
			if signature := value[strings.LastIndexByte(value, '.')+1:][:40]; !slices.Contains(sn.ids, signature) {
				sn.ids = append(sn.ids, v.id(), signature)
			}
		}
	}
	use := func(what string, f func(s *session.Session) error) {
		a := v.do("POST", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			if err := f(s); err != nil {
				sn.values("error of "+what, err)
			}
			sn.values("Session", s)
			sn.values("context", r.Context())
			ctx = r.Context()
			if info, err := s.Info(); err == nil {
				sn.values("Info", info)
			}
		})
		knows()
		sn.check("body after "+what, a.body)
		for name, lines := range a.Header {
			if name != "Set-Cookie" {
				sn.check("header "+name+" after "+what, strings.Join(lines, "\n"))
			}
		}
	}
	steps := []struct {
		name string
		f    func(s *session.Session) error
	}{
		{"Set", func(s *session.Session) error { return note.Set(s, data) }},
		{"SignIn", func(s *session.Session) error { return s.SignIn("ilmer") }},
		{"Get as another type", func(s *session.Session) error { _, err := session.Key[int]("note").Get(s); return err }},
		{"Update as another type", func(s *session.Session) error {
			_, err := session.Key[map[string]int]("note").Update(s, func(m map[string]int) map[string]int { return m })
			return err
		}},
		{"Set of what is no JSON", func(s *session.Session) error { return session.Key[any]("x").Set(s, func() {}) }},
		{"Set of too much", func(s *session.Session) error {
			return errors.Join(note.Set(s, strings.Repeat(data, 200)), s.Save())
		}},
		{"Set of a reserved key", func(s *session.Session) error { return session.Key[string]("cookie").Set(s, data) }},
		{"Flash", func(s *session.Session) error { return s.Flash("info", data) }},
		{"Renew", func(s *session.Session) error { return s.Renew() }},
		{"Update", update},
		{"SignOut", func(s *session.Session) error { return s.SignOut() }},
		{"Set again", func(s *session.Session) error { return note.Set(s, data) }},
	}
	for _, verbs := range [][]string{nil, {"Load"}, {"Create"}, {"Update"}, {"Delete"}, {"Touch"}} {
		for _, err := range []error{errors.New("store: broken"), context.DeadlineExceeded, session.ErrConflict, session.ErrNotFound, session.ErrExists} {
			for _, step := range steps {
				l.store.rig(fails(err, verbs...), nil)
				use(step.name, step.f)
				l.store.rig(nil, nil)
				use(step.name, step.f)
			}
		}
	}
	for _, bad := range []string{data, "s%3A" + data, signLab(data)} {
		l.visitor(hostCookie + bad).read()
	}
	v.signIn("ilmer")
	knows()
	l.under.tamper(v.id(), func(rec *session.Record) { rec.Data = []byte(`{"cookie":{},"note":"` + data + `"`) })
	v.read()

	rec := session.Record{Data: []byte(data)}
	sn.values("Record", rec)
	sn.values("*Record", &rec)
	sn.values("Config", config)
	sn.values("*Config", &config)
	sn.values("Manager", l.m)
	sn.values("Policy", l.m.Policy())
	sn.values("request", httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	sn.values("a struct with a Manager", struct{ m *session.Manager }{l.m})
	for _, e := range l.events {
		sn.values("Event "+e.Kind.String(), e)
	}
	for _, id := range sn.ids {
		want(t, "log holds an id or its signature", strings.Contains(l.log.String(), id), false)
	}
	sn.check("log", l.log.String())
	if n := strings.Count(l.log.String(), "\n"); n < 50 || len(sn.ids) < 20 {
		t.Errorf("%d lines of log, %d ids: the scenario did not happen", n, len(sn.ids))
	}
}

// What an operator reads of the configuration's mistakes quotes no secret.
func TestSecurityEventsAreNamed(t *testing.T) {
	seen := map[string]bool{}
	for k := session.EventCreated; k <= session.EventFailed; k++ {
		if name := k.String(); seen[name] || name == "" || name == session.EventKind(0).String() {
			t.Errorf("EventKind(%d) is called %q, like another", k, name)
		} else {
			seen[name] = true
		}
	}
}

// The life of a session is told, each step once, so that misuse can be noticed.
func TestSecurityLifeIsTold(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	for _, step := range []struct {
		want string
		f    func(s *session.Session) error
	}{
		{"created", func(s *session.Session) error { return note.Set(s, "x") }},
		{"", func(s *session.Session) error { _, err := note.Get(s); return err }},
		{"changed", func(s *session.Session) error { return note.Set(s, "y") }},
		{"", func(s *session.Session) error { return note.Set(s, "y") }},
		{"signed in", func(s *session.Session) error { return s.SignIn("ilmer") }},
		{"renewed", func(s *session.Session) error { return s.Renew() }},
		{"destroyed", func(s *session.Session) error { return s.Destroy() }},
	} {
		l.takeEvents()
		before := l.log.Len()
		v.post(step.f)
		want(t, "events", l.takeEvents(), step.want)
		log := l.log.String()[before:]
		want(t, "log tells "+step.want, strings.Contains(log, "session "+step.want) == (step.want != ""), true)
		want(t, "log names the public id", strings.Contains(log, " session=") == (step.want != ""), true)
	}
}
