package session_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// peek looks at the session that the visitor's cookies stand for.
func (v *visitor) peek() (*session.Session, error) {
	r := httptest.NewRequest("GET", "https://shop.example/", nil)
	for _, c := range v.cookies {
		r.Header.Add("Cookie", c)
	}
	return v.m.PeekRequest(v.t.Context(), r)
}

// A page that is open and that nobody uses looks at its session as often as it
// likes, and the session ends all the same.
func TestPeekingIsNoUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		v := l.visitor()
		v.write("hello")
		public := v.publicID()
		l.store.take()
		for range 29 {
			time.Sleep(time.Minute)
			s, err := v.peek()
			if err != nil {
				t.Fatalf("PeekRequest: %v", err)
			}
			text, err := note.Get(s)
			want(t, "note", text, "hello")
			want(t, "error", err, nil)
			if s, err = l.m.Peek(t.Context(), public); err != nil {
				t.Fatalf("Peek: %v", err)
			}
			must(t, s.Save())
		}
		want(t, "calls of the store", l.store.take(), strings.TrimSpace(strings.Repeat("Load ", 58)))
		time.Sleep(time.Minute)
		if _, err := v.peek(); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("PeekRequest after 30 idle minutes = %v; want ErrNotFound", err)
		}
		if _, err := l.m.Peek(t.Context(), public); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Peek after 30 idle minutes = %v; want ErrNotFound", err)
		}
	})
}

// A session with a lifetime of its own below the idle timeout has its row put
// right by the request that moved it, and not by who looks on.
func TestPeekingPutsNothingRight(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.post(func(s *session.Session) error {
		return errors.Join(note.Set(s, "hello"), s.SetMaxAge(time.Minute))
	})
	id := v.id()
	must(t, l.under.Touch(t.Context(), id, time.Now().Add(20*time.Minute)))
	l.store.take()
	if _, err := v.peek(); err != nil {
		t.Errorf("PeekRequest: %v", err)
	}
	want(t, "calls of the store", l.store.take(), "Load")
}

func TestPeekWithoutASession(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("hello")
	good := v.cookies[0]
	for name, cookies := range map[string][]string{
		"no cookie":     nil,
		"forged":        {strings.Replace(good, "=s%3A", "=s%3AX", 1)},
		"not a cookie":  {"__Host-session=nonsense"},
		"another's too": {good, strings.Clone(l.other())},
	} {
		if s, err := l.visitor(cookies...).peek(); s != nil || !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%s: PeekRequest = %v, %v; want nil, ErrNotFound", name, s, err)
		}
	}
	for _, id := range []string{"", "x", strings.Repeat("A", 5000), "../etc"} {
		if s, err := l.m.Peek(t.Context(), id); s != nil || !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Peek(%.10q) = %v, %v; want nil, ErrNotFound", id, s, err)
		}
	}
	v.post(func(s *session.Session) error { return s.Destroy() })
	if _, err := l.visitor(good).peek(); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("PeekRequest of an ended session = %v; want ErrNotFound", err)
	}
	l.store.rig(fails(errStore, "Load"), nil)
	if _, err := l.visitor(good).peek(); !errors.Is(err, errStore) {
		t.Errorf("PeekRequest with a store that fails = %v; want its error", err)
	}
}

var errStore = errors.New("the store is down")

// other returns the cookie of another live session.
func (l *lab) other() string {
	v := l.visitor()
	v.write("another's")
	return v.cookies[0]
}

// In the grace after a renewal the session that goes on is found by both names.
func TestPeekFollowsARenewal(t *testing.T) {
	l := newLab(t, func(c *session.Config) { c.RenewGrace = time.Minute })
	v := l.visitor()
	v.write("hello")
	before := v.publicID()
	v.post((*session.Session).Renew)
	s, err := l.m.Peek(t.Context(), before)
	if err != nil {
		t.Fatalf("Peek of the old name: %v", err)
	}
	after, err := s.PublicID()
	must(t, err)
	want(t, "public id", after, v.publicID())
	if after == before {
		t.Error("the public id did not change with the id")
	}
}

// What outlives its request must not keep the request's context.
func TestPeekOutlivesItsRequest(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("hello")
	ctx, cancel := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "https://shop.example/", nil)
	r.Header.Set("Cookie", v.cookies[0])
	s, err := l.m.PeekRequest(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	must(t, s.Reload())
	v.post(func(s *session.Session) error { return s.Destroy() })
	if err := s.Reload(); !errors.Is(err, session.ErrEnded) {
		t.Errorf("Reload of an ended session = %v; want ErrEnded", err)
	}
}

func TestSubscribersHearEvents(t *testing.T) {
	l := newLab(t)
	var heard [2][]session.Event
	stop0 := l.m.Subscribe(func(e session.Event) { heard[0] = append(heard[0], e) })
	stop1 := l.m.Subscribe(func(e session.Event) { heard[1] = append(heard[1], e) })
	v := l.visitor()
	v.write("hello")
	stop0()
	stop0() // does nothing more
	v.signIn("ilmer")
	here := v.publicID()
	away := l.visitor()
	away.signIn("ilmer")
	if _, err := l.m.RevokeUser(t.Context(), "ilmer", here); err != nil {
		t.Fatal(err)
	}
	must(t, l.m.Revoke(t.Context(), here))
	stop1()
	l.visitor().write("unheard")
	kinds := func(all []session.Event) (k []string) {
		for _, e := range all {
			k = append(k, e.Kind.String())
		}
		return k
	}
	want(t, "first", strings.Join(kinds(heard[0]), ", "), "created")
	want(t, "second", strings.Join(kinds(heard[1]), ", "), "created, signed in, signed in, revoked, revoked")
	all := heard[1][len(heard[1])-2]
	if all.User != "ilmer" || all.PublicID != "" || !slices.Equal(all.Spared, []string{here}) {
		t.Errorf("RevokeUser is told as user %q, public id %q, spared %q; want ilmer, none and the one that was spared", all.User, all.PublicID, all.Spared)
	}
	one := heard[1][len(heard[1])-1]
	if one.PublicID != here || one.User != "ilmer" {
		t.Errorf("Revoke is told with another public id or the user %q", one.User)
	}
}

func TestWatchNamesSessionsByTheirDigest(t *testing.T) {
	for _, hashed := range []bool{false, true} {
		store := memstore.New(memstore.Options{})
		t.Cleanup(func() { _ = store.Close() })
		l := newLab(t, func(c *session.Config) { c.Store, c.HashIDs = store, hashed }) // no spy, which cannot watch
		v := l.visitor()
		v.write("hello")
		s, err := v.peek()
		if err != nil {
			t.Fatal(err)
		}
		digest, err := s.Digest()
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan string, 10)
		ended := make(chan error, 1)
		go func() { ended <- l.m.Watch(ctx, func(d string) { told <- d }) }()
		want(t, "first", <-told, "")
		v.write("changed")
		want(t, "second", <-told, digest)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch = %v; want context.Canceled", err)
		}
	}
	if err := newLab(t).m.Watch(t.Context(), func(string) {}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Watch over a store that tells nothing = %v; want ErrUnsupported", err)
	}
	s, err := session.New(session.Config{Store: newLedger(), Secrets: []string{labSecret}})
	must(t, err)
	serve(s, "", func(s *session.Session) {
		digest, err := s.Digest()
		want(t, "digest without a session", digest, "")
		must(t, err)
	})
}

func TestInfoSaysWhenItWasLastUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *session.Config) { c.AbsoluteTimeout = time.Hour })
		v := l.visitor()
		v.signIn("ilmer")
		began := time.Now()
		info := func() session.Info {
			all, err := l.m.Sessions(t.Context(), "ilmer")
			if err != nil || len(all) != 1 {
				t.Fatalf("Sessions: %d, %v; want one", len(all), err)
			}
			return all[0]
		}
		time.Sleep(10 * time.Minute)
		want(t, "unused for ten minutes", info().LastUsed.Sub(began), 0)
		v.read()
		time.Sleep(10 * time.Minute)
		want(t, "used after ten minutes", info().LastUsed.Sub(began), 10*time.Minute)
		for range 7 {
			time.Sleep(5 * time.Minute)
			v.read()
		}
		want(t, "near the absolute limit", info().LastUsed.Sub(began), 55*time.Minute)
		v.write("a change, whose deadline is the absolute limit")
		want(t, "changed near the absolute limit", info().LastUsed.Sub(began), 30*time.Minute)
	})
}

// A session without its request says at once that it cannot change its id.
func TestOpenedSessionKeepsItsID(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("hello")
	public := v.publicID()
	for name, open := range map[string]func() (*session.Session, error){
		"Open":        func() (*session.Session, error) { return l.m.Open(t.Context(), public) },
		"Peek":        func() (*session.Session, error) { return l.m.Peek(t.Context(), public) },
		"PeekRequest": v.peek,
	} {
		s, err := open()
		if err != nil {
			t.Fatal(err)
		}
		for verb, err := range map[string]error{"SignIn": s.SignIn("ilmer"), "Renew": s.Renew(), "Regenerate": s.Regenerate()} {
			if !errors.Is(err, session.ErrTooLate) {
				t.Errorf("%s after %s = %v; want ErrTooLate", verb, name, err)
			}
		}
		must(t, s.Save())
		must(t, note.Set(s, "changed by "+name))
		must(t, s.Save())
		want(t, "note", v.read(), "changed by "+name)
	}
}
