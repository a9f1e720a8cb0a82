package session_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

var (
	sealOne = []byte("the first key of 32 bytes, sure!")
	sealTwo = []byte("another key that has 32 bytes...")
)

func sealed(keys ...[]byte) func(*session.Config) {
	return func(c *session.Config) { c.EncryptionKeys = keys }
}

// on2 shares another lab's store.
func (l *lab) sameStore(c *session.Config) { c.Store = l.store }

// A thief of the database reads nothing, and writes nothing that opens.
func TestSecuritySealedDataIsUnreadable(t *testing.T) {
	l := newLab(t, sealed(sealOne))
	v := l.visitor()
	v.signIn("ilmer@shop.example")
	v.write("a prescription")
	for id, data := range l.under.dump() {
		for _, plain := range []string{"prescription", "note", "ilmer", "created", base64.StdEncoding.EncodeToString([]byte("prescription"))[:12]} {
			if strings.Contains(data, plain) {
				t.Errorf("row %.4s… holds %q in the clear: %s", id, plain, data)
			}
		}
		if !strings.HasPrefix(data, `{"cookie":{`) {
			t.Errorf("row is %q; want JSON with the member cookie, for stores that want JSON", data)
		}
	}
	want(t, "note", v.read(), "a prescription")
}

// Two sessions with equal data, or one stored twice, look different.
func TestSecuritySealedDataDoesNotRepeat(t *testing.T) {
	l := newLab(t, sealed(sealOne))
	v := l.visitor()
	seen := map[string]bool{}
	for range 10 {
		v.write("one")
		seen[l.under.dump()[v.id()]] = true
		v.write("two")
	}
	want(t, "different rows for the same data", len(seen), 10)
}

// The row is bound to its id: a value moved to another one is refused, and so is
// every value that was tampered with. Nobody gets a 500 for ever.
func TestSecuritySealedDataIsBoundToItsID(t *testing.T) {
	l := newLab(t, sealed(sealOne))
	admin, mallory := l.visitor(), l.visitor()
	admin.signIn("admin")
	mallory.write("x")
	stolen := l.under.dump()[admin.id()]
	for name, data := range map[string]string{
		"moved":            stolen,
		"one bit changed":  flip(stolen, len(stolen)-10),
		"cut":              stolen[:len(stolen)-20] + `"}}`,
		"empty":            `{"cookie":{},"__pillbox":{"sealed":""}}`,
		"no base64":        `{"cookie":{},"__pillbox":{"sealed":"%%%"}}`,
		"in the clear":     `{"cookie":{},"__pillbox":{"created":4102444800000,"user":"admin","signedIn":4102444800000}}`,
		"Express's":        `{"cookie":{},"passport":{"user":"admin"}}`,
		"both":             `{"cookie":{},"note":"planted","__pillbox":{"user":"admin","sealed":"AAAA"}}`,
		"a sealed in meta": `{"cookie":{},"__pillbox":{"sealed":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}`,
	} {
		m := l.visitor()
		m.write("x")
		l.under.tamper(m.id(), func(rec *session.Record) { rec.Data = []byte(data) })
		l.takeEvents()
		m.post(func(s *session.Session) error {
			user, err := s.User()
			want(t, "user with the row "+name, user, "")
			ok, _ := note.Has(s)
			want(t, "note with the row "+name, ok, false)
			return err
		})
		want(t, "events with the row "+name, l.takeEvents(), "damaged")
		want(t, "cookies left with the row "+name, len(m.cookies), 0)
	}
}

func flip(s string, i int) string {
	c := byte('A')
	if s[i] == c {
		c = 'B'
	}
	return s[:i] + string(c) + s[i+1:]
}

func TestSecuritySealingKeysRotate(t *testing.T) {
	l := newLab(t, sealed(sealOne))
	v := l.visitor()
	v.write("mine")
	both := newLab(t, l.sameStore, sealed(sealTwo, sealOne))
	w := both.visitor(v.cookies...)
	want(t, "note with the old key behind the new one", w.read(), "mine")
	old := newLab(t, l.sameStore, sealed(sealOne))
	want(t, "note with the old key before a change", old.visitor(v.cookies...).read(), "mine")
	w.write("changed")
	next := newLab(t, l.sameStore, sealed(sealTwo))
	want(t, "note with the new key alone, after a change", next.visitor(v.cookies...).read(), "changed")
	want(t, "note with the old key alone, after a change", old.visitor(v.cookies...).read(), "none")
	none := newLab(t, l.sameStore)
	want(t, "note without keys", none.visitor(v.cookies...).read(), "none")
}

func TestSecurityUnsealedSessionsAreRefused(t *testing.T) {
	clear := newLab(t)
	v := clear.visitor()
	v.write("mine")
	strict := newLab(t, clear.sameStore, sealed(sealOne))
	want(t, "note stored in the clear", strict.visitor(v.cookies...).read(), "none")
	lenient := newLab(t, clear.sameStore, sealed(sealOne), func(c *session.Config) { c.InsecureUnsealed = true })
	w := lenient.visitor(v.cookies...)
	want(t, "note stored in the clear, with InsecureUnsealed", w.read(), "mine")
	w.write("changed")
	want(t, "note after a change", strict.visitor(v.cookies...).read(), "changed")
}

// Everything that works in the clear works sealed and hashed, under any mix.
func TestSecuritySealedAndHashedLife(t *testing.T) {
	l := newLab(t, sealed(sealOne), func(c *session.Config) { c.HashIDs, c.RenewGrace = true, 10e9 })
	v := l.visitor()
	v.write("mine")
	v.signIn("ilmer")
	old := v.cookies[0]
	v.post(func(s *session.Session) error { return s.Renew() })
	want(t, "note with the old id in the overlap", l.visitor(old).read(), "mine")
	want(t, "note", v.read(), "mine")
	want(t, "sessions", len(l.sessions("ilmer")), 1)
	if err := l.m.Revoke(t.Context(), l.sessions("ilmer")[0].PublicID); err != nil {
		t.Error(err)
	}
	want(t, "note after Revoke", v.read(), "none")
}

// Who reads the store cannot use its sessions, even knowing the secret; and yet
// they can be listed, opened and revoked.
func TestSecurityHashedIDs(t *testing.T) {
	l := newLab(t, func(c *session.Config) { c.HashIDs = true })
	v := l.visitor()
	v.write("mine")
	v.signIn("ilmer")
	sum := sha256.Sum256([]byte(v.id()))
	for id, data := range l.under.dump() {
		want(t, "id in the store", id, base64.RawURLEncoding.EncodeToString(sum[:]))
		if strings.Contains(data, v.id()) {
			t.Error("the data holds the id")
		}
		want(t, "note with the dump's id", l.visitor(hostCookie+signLab(id)).read(), "none")
	}
	for _, id := range l.store.ids {
		if id == v.id() {
			t.Error("the store was given the id itself")
		}
	}
	infos := l.sessions("ilmer")
	if len(infos) != 1 || infos[0].PublicID != v.publicID() {
		t.Fatalf("Sessions = %+v; want the visitor's own %q", infos, v.publicID())
	}
	s, err := l.m.Open(t.Context(), infos[0].PublicID)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := note.Get(s); text != "mine" || err != nil {
		t.Errorf("note of the opened session = %q, %v", text, err)
	}
	if n, err := l.m.RevokeUser(t.Context(), "ilmer", infos[0].PublicID); n != 0 || err != nil {
		t.Errorf("RevokeUser but for the only one = %d, %v; want 0", n, err)
	}
	if err := l.m.RevokeOf(t.Context(), "ilmer", infos[0].PublicID); err != nil {
		t.Error(err)
	}
	want(t, "note after RevokeOf", v.read(), "none")
}

// An undecodable row is no session, costs its visitor the cookie, and is over:
// never a 500 for ever.
func TestSecurityUndecodableRows(t *testing.T) {
	for _, data := range []string{
		"", "null", "[]", "42", `"x"`, "{}", "{", "x", "\x00\xff", `{"cookie":null}`, `{"cookie":[]}`, `{"cookie":{}}x`,
		`{"cookie":{"originalMaxAge":"soon"}}`, `{"cookie":{"originalMaxAge":{}}}`, `{"cookie":{"originalMaxAge":1e999}}`,
		`{"cookie":{},"__pillbox":null}`, `{"cookie":{},"__pillbox":{"created":"x"}}`, `{"cookie":{},"__pillbox":{"created":1.5}}`,
		`{"cookie":{},"__pillbox":{"user":7}}`, `{"cookie":{},"__pillbox":{"sealed":"AAAA"}}`, `{"cookie":{},"__pillbox":{"sealed":7}}`,
		`{"cookie":{},"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
		`YWJj`, "gAAAAABh",
	} {
		l := newLab(t)
		v := l.visitor()
		v.write("mine")
		old := v.cookies[0]
		l.under.tamper(v.id(), func(rec *session.Record) { rec.Data = []byte(data) })
		l.takeEvents()
		want(t, fmt.Sprintf("note with the row %.40q", data), v.read(), "none")
		want(t, fmt.Sprintf("events with the row %.40q", data), l.takeEvents(), "damaged")
		want(t, fmt.Sprintf("cookies left with the row %.40q", data), len(v.cookies), 0)
		want(t, fmt.Sprintf("answer to a change with the row %.40q", data), v.write("again").code, 200)
		want(t, fmt.Sprintf("note of a new session, row %.40q", data), v.read(), "again")

		// Who signs out of what could not be read is out, also where it can.
		w := l.visitor(old)
		w.post(func(s *session.Session) error { return s.Destroy() })
		l.under.tamper("", func(*session.Record) {})
		_, id, _ := strings.Cut(old, "=s%3A")
		if l.under.has(id[:32]) {
			t.Errorf("row %.40q is there after Destroy", data)
		}
	}
}

func TestSecurityRevokeOfAnUndecodableRow(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.signIn("ilmer")
	public := v.publicID()
	l.under.tamper(v.id(), func(rec *session.Record) { rec.Data = []byte("x") })
	if err := l.m.RevokeOf(t.Context(), "ilmer", public); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("RevokeOf = %v; want %v, since the row does not say whose it is", err, session.ErrNotFound)
	}
	if err := l.m.Revoke(t.Context(), public); err != nil || l.under.has(v.id()) {
		t.Errorf("Revoke = %v, row is there: %v; want it gone", err, l.under.has(v.id()))
	}
}
