package session_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

// A client that keeps its cookie although it was told to drop it does not fill
// the log with it.
func TestDamagedIsReportedOnce(t *testing.T) {
	l := newLab(t)
	v, w := l.visitor(), l.visitor()
	v.write("mine")
	w.write("other")
	for _, visitor := range []*visitor{v, w} {
		l.under.tamper(visitor.id(), func(rec *session.Record) { rec.Data = []byte("x") })
	}
	l.takeEvents()
	for range 5 {
		again := l.visitor(v.cookies...)
		want(t, "note of a damaged session", again.read(), "none")
		want(t, "cookies left", len(again.cookies), 0)
	}
	want(t, "events of five requests", l.takeEvents(), "damaged")
	w.read()
	want(t, "events of another damaged session", l.takeEvents(), "damaged")
}

// The store says that what it has is no record: that is no session either, and
// no reason to answer 500.
func TestDamagedForTheStore(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("mine")
	old := v.cookies
	l.takeEvents()
	l.store.rig(func(_ context.Context, verb, _ string) error {
		if verb == "Load" {
			return fmt.Errorf("pillbox: test load session: a hash: %w", session.ErrDamaged)
		}
		return nil
	}, nil)
	want(t, "note of what is no record", v.read(), "none")
	want(t, "events", l.takeEvents(), "damaged")
	want(t, "cookies left", len(v.cookies), 0)
	l.visitor(old...).post(func(s *session.Session) error { return s.Destroy() })
	l.store.rig(nil, nil)
	want(t, "note after Destroy of what is no record", l.visitor(old...).read(), "none")
}

// What no session can be is not carried through every request.
func TestDamagedBySize(t *testing.T) {
	l := newLab(t)
	for _, test := range []struct {
		size   int
		note   string
		events string
	}{
		{1 << 20, "long", ""},
		{16 << 20, "none", "damaged"},
	} {
		v := l.visitor()
		v.write("mine")
		l.under.tamper(v.id(), func(rec *session.Record) {
			rec.Data = []byte(`{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"note":"long","fill":"` + strings.Repeat("x", test.size) + `"}`)
		})
		l.takeEvents()
		want(t, fmt.Sprintf("note in a row of %d bytes", test.size), v.read(), test.note)
		want(t, fmt.Sprintf("events of a row of %d bytes", test.size), l.takeEvents(), test.events)
		if test.events != "" {
			want(t, "cookies left", len(v.cookies), 0)
			continue
		}
		want(t, fmt.Sprintf("answer to a change of a row of %d bytes", test.size), v.write("changed").code, 413)
	}
}
