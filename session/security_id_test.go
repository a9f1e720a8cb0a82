package session_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

// A source counts the random bytes that are read, and can repeat or fail.
type source struct {
	read   int
	repeat int // hand out the first id's bytes again, this many times
	err    error
	first  []byte
}

func (s *source) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	n, err := rand.Read(p)
	if s.read += n; s.first == nil {
		s.first = append(s.first, p...)
	} else if s.repeat > 0 && len(p) == len(s.first) {
		s.repeat--
		copy(p, s.first)
	}
	return n, err
}

// OWASP ASVS 5.0 §7.2.3: at least 128 bits from a CSPRNG for each id.
func TestSecurityIDsComeFromTheRandomSource(t *testing.T) {
	src := &source{}
	defer session.SetRandom(src)()
	l := newLab(t)
	seen := map[string]bool{}
	form := regexp.MustCompile(`^[A-Za-z0-9_-]{32}$`)
	for range 100 {
		before := src.read
		v := l.visitor()
		v.write("x")
		if n := src.read - before; n < 16 {
			t.Fatalf("an id took %d random bytes; want at least 16", n)
		}
		if seen[v.id()] || !form.MatchString(v.id()) {
			t.Fatalf("id %q: want 32 characters that were not there before", v.id())
		}
		seen[v.id()] = true
	}
}

func TestSecurityNoSessionWithoutRandomness(t *testing.T) {
	for name, err := range map[string]error{"failure": errors.New("no entropy"), "end": io.EOF} {
		l := newLab(t)
		v := l.visitor()
		v.write("mine")
		restore := session.SetRandom(&source{err: err})
		fresh := l.visitor()
		want(t, "answer after a "+name, fresh.write("x").code, http.StatusServiceUnavailable)
		want(t, "cookies set after a "+name, len(fresh.fresh), 0)
		want(t, "answer to a sign-in after a "+name, v.signIn("ilmer").code, http.StatusServiceUnavailable)
		restore()
		want(t, "rows", l.under.count(), 1)
		want(t, "the visitor's note", v.read(), "mine")
	}
}

func TestSecurityCollidingIDIsRetried(t *testing.T) {
	src := &source{repeat: 2}
	defer session.SetRandom(src)()
	l := newLab(t)
	first, second := l.visitor(), l.visitor()
	first.write("first")
	l.store.take()
	want(t, "answer", second.write("second").code, http.StatusOK)
	want(t, "calls", l.store.take(), "Create Create Create")
	want(t, "first note", first.read(), "first")
	want(t, "second note", second.read(), "second")
}

// A GenerateID that repeats itself, or takes the client's choice, gives nobody
// another's session.
func TestSecurityBadGenerateID(t *testing.T) {
	for name, generate := range map[string]func(*http.Request) (string, error){
		"constant": func(*http.Request) (string, error) { return strings.Repeat("x", 32), nil },
		"short":    func(*http.Request) (string, error) { return strings.Repeat("x", 21), nil },
		"long":     func(*http.Request) (string, error) { return strings.Repeat("x", 129), nil },
		"empty":    func(*http.Request) (string, error) { return "", nil },
		"alphabet": func(*http.Request) (string, error) { return strings.Repeat("x", 32) + "/../", nil },
		"error":    func(*http.Request) (string, error) { return "x", errors.New("no id") },
	} {
		l := newLab(t, func(c *session.Config) { c.GenerateID = generate })
		v, w := l.visitor(), l.visitor()
		v.write("first")
		a := w.write("second")
		if a.code < 500 || len(w.fresh) > 0 || v.read() == "second" {
			t.Errorf("GenerateID, %s: second visitor got %d and %q; want an error", name, a.code, w.fresh)
		}
		if name == "constant" {
			want(t, "answer to a renewal with the same id", v.post(func(s *session.Session) error { return s.Renew() }).code, 503)
			want(t, "first note", v.read(), "first")
		}
	}
}

// ASVS 5.0 §7.2.4: the old id is refused in the very next request.
func TestSecurityOldIDIsRefusedAtOnce(t *testing.T) {
	for name, rotate := range map[string]func(s *session.Session) error{
		"SignIn":           func(s *session.Session) error { return s.SignIn("ilmer") },
		"SignIn and Save":  func(s *session.Session) error { return errors.Join(s.SignIn("ilmer"), s.Save()) },
		"Renew":            func(s *session.Session) error { return s.Renew() },
		"Renew and Set":    func(s *session.Session) error { return errors.Join(s.Renew(), note.Set(s, "mine")) },
		"Renew and Update": func(s *session.Session) error { return errors.Join(s.Renew(), update(s)) },
		"Regenerate":       func(s *session.Session) error { return errors.Join(s.Regenerate(), note.Set(s, "mine")) },
		"SignOut":          func(s *session.Session) error { return errors.Join(s.SignOut(), note.Set(s, "mine")) },
		"SignIn, again": func(s *session.Session) error {
			return errors.Join(s.SignIn("ilmer"), s.Save(), s.SignIn("ilmer"))
		},
		"as another": func(s *session.Session) error {
			return errors.Join(s.SignIn("ada"), s.Save(), s.SignIn("ilmer"), note.Set(s, "mine"))
		},
	} {
		l := newLab(t, func(c *session.Config) {
			if !strings.HasPrefix(name, "Renew") {
				c.RenewGrace = 10e9 // only Renew gives any
			}
		})
		v := l.visitor()
		v.write("mine")
		old, oldID, oldPublic := v.cookies[0], v.id(), v.publicID()
		want(t, "answer to "+name, v.post(rotate).code, http.StatusOK)
		if v.id() == oldID || v.publicID() == oldPublic {
			t.Errorf("%s: id is the same as before", name)
		}
		want(t, "note with the old id after "+name, l.visitor(old).read(), "none")
		want(t, "note with the new id after "+name, v.read(), "mine")
		want(t, "rows after "+name, l.under.count(), 1)
		if _, err := l.m.Open(t.Context(), oldPublic); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Open by the old public id after %s = %v; want %v", name, err, session.ErrNotFound)
		}
	}
}

func update(s *session.Session) error {
	_, err := note.Update(s, func(old string) string { return old })
	return err
}

// Signing in as somebody else shows nothing of who was there before.
func TestSecuritySignInAsAnotherBeginsEmpty(t *testing.T) {
	v := newLab(t).visitor()
	v.write("a visitor's")
	v.signIn("ada")
	want(t, "note after a visitor signed in", v.read(), "a visitor's")
	v.write("ada's")
	v.signIn("ada")
	want(t, "note after signing in again", v.read(), "ada's")
	v.signIn("ilmer")
	want(t, "note after another signed in", v.read(), "none")
	v.post(func(s *session.Session) error {
		user, err := s.User()
		want(t, "user", user, "ilmer")
		return err
	})
}

func TestSecurityUserNames(t *testing.T) {
	l := newLab(t)
	for _, user := range []string{"", strings.Repeat("u", 256)} {
		l.visitor().do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			if err := s.SignIn(user); err == nil || len(user) > 0 && strings.Contains(err.Error(), user) {
				t.Errorf("SignIn with a name of %d bytes = %v; want an error", len(user), err)
			}
		})
	}
	for _, user := range []string{`"},"x":{"`, "\\", "\u2028", "ü", "admin\x00", strings.Repeat("u", 255)} {
		v := l.visitor()
		v.signIn(user)
		v.post(func(s *session.Session) error {
			got, err := s.User()
			want(t, fmt.Sprintf("user %.20q", user), got, user)
			return err
		})
	}
	// Two users whose names differ only in bytes that JSON cannot keep would
	// be one and the same when read back.
	l.visitor().do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		if err := s.SignIn("a\xff"); err == nil {
			t.Error("SignIn with a name that is no UTF-8 = nil; want an error")
		}
	})
}

// Keys that a visitor may choose keep to their place in what is stored.
func TestSecurityKeyNames(t *testing.T) {
	v := newLab(t).visitor()
	for _, name := range []string{"", "cookie", "__pillbox", "__proto__", "constructor", "\xff", "a\xc3"} {
		v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
			if err := session.Key[string](name).Set(s, "x"); !errors.Is(err, session.ErrReservedKey) {
				t.Errorf("Set of key %q = %v; want %v", name, err, session.ErrReservedKey)
			}
		})
	}
	for _, name := range []string{`":{},"__pillbox":{"user":"admin"},"`, `\`, "\\u0063ookie", "a\x00", "ü", "__PILLBOX", "Cookie", " cookie"} {
		key := session.Key[string](name)
		for range 2 {
			v.post(func(s *session.Session) error { return key.Set(s, "v") })
		}
		v.post(func(s *session.Session) error {
			got, err := key.Get(s)
			want(t, fmt.Sprintf("value of key %q", name), got, "v")
			user, _ := s.User()
			want(t, fmt.Sprintf("user after setting key %q", name), user, "")
			keys, _ := s.Keys()
			want(t, fmt.Sprintf("keys like %q", name), strings.Count(strings.Join(keys, "\n")+"\n", name+"\n"), 1)
			return err
		})
	}
}
