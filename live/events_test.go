package live_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/live"
	"github.com/pillboxgo/pillbox/session"
)

const (
	half = 30 * time.Minute // the idle timeout
	day  = 24 * time.Hour   // the absolute one
)

func TestFirstEvent(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t, memory(t), session.Config{}, live.Config{})
		v := l.visitor()
		none := v.opens()
		none.gets("no cookie", `session {"live":false,"cookie":false}`)
		none.isOpen("no cookie", false)
		v.takes("a")
		v.does(func(s *session.Session) error { return notes.Set(s, "for nobody's eyes") })
		p := v.opens()
		p.gets("a session", `session {"live":true,"session":0,"signedIn":false,"keys":["pills","notes"],"values":{"pills":["a"]},`+ms(half, day))
		time.Sleep(time.Second)
		v.signsIn("ilmer")
		p = v.opens()
		p.gets("a user", `session {"live":true,"session":0,"signedIn":true,"keys":["pills","notes"],"values":{"pills":["a"]},`+ms(half, day))
		time.Sleep(time.Second)
		v.opens().gets("a second later", `session {"live":true,"session":0,"signedIn":true,"keys":["pills","notes"],"values":{"pills":["a"]},`+ms(half-time.Second, day-time.Second))
		cookie := v.cookie
		v.does((*session.Session).Destroy)
		v.cookie = cookie
		none = v.opens()
		none.gets("a dead session", `session {"live":false,"cookie":true}`)
		none.isOpen("a dead session", false)
		v.cookie = "__Host-session=rubbish"
		v.opens().gets("rubbish", `session {"live":false,"cookie":true}`)
		v.cookie = `other=1; __Host-session="`
		v.opens().gets("what is no cookie's value", `session {"live":false,"cookie":true}`)
		v.cookie = "other=__Host-session=1"
		v.opens().gets("another cookie", `session {"live":false,"cookie":false}`)
	})
}

func TestForeverIsNull(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t, memory(t), session.Config{IdleTimeout: -1, AbsoluteTimeout: -1}, live.Config{})
		v := l.visitor()
		v.takes()
		p := v.opens()
		p.gets("no limits", `session {"live":true,"session":0,"signedIn":false,"keys":["pills"],"values":{"pills":null},"idle":null,"absolute":null}`)
		time.Sleep(3 * time.Hour)
		p.gets("after three hours")
		v.does(func(s *session.Session) error { return s.SetMaxAge(time.Hour) })
		v.opens().gets("a lifetime of its own", `session {"live":true,"session":0,"signedIn":false,"keys":["pills"],"values":{"pills":null},"idle":3600000,"absolute":null}`)
	})
}

func TestChange(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t, memory(t), session.Config{}, live.Config{})
		v := l.visitor()
		v.takes("a")
		began := time.Now()
		p := v.opens()
		p.events()
		for _, test := range []struct {
			what string
			do   func(s *session.Session) error
			want string
		}{
			{"a value for all", func(s *session.Session) error { return pills.Set(s, []string{"a", "<b>\n"}) }, `change {"keys":["pills"],"removed":[],"values":{"pills":["a","<b>\n"]},`},
			{"a value that stays here", func(s *session.Session) error { return notes.Set(s, "secret") }, `change {"keys":["notes"],"removed":[],"values":{},`},
			{"the same again", func(s *session.Session) error { return notes.Set(s, "secret") }, ""},
			{"two at once", func(s *session.Session) error {
				_ = notes.Delete(s)
				return pills.Set(s, nil)
			}, `change {"keys":["pills","notes"],"removed":["notes"],"values":{"pills":null},`},
			{"a key is removed", func(s *session.Session) error { return pills.Delete(s) }, `change {"keys":["pills"],"removed":["pills"],"values":{},`},
		} {
			v.does(test.do)
			time.Sleep(20 * time.Millisecond)
			if test.want == "" {
				p.gets(test.what)
				continue
			}
			p.gets(test.what, test.want+ms(half-10*time.Millisecond, day-time.Since(began)+10*time.Millisecond))
		}
		p.isOpen("after changes", true)
	})
}

// Changes that come so fast that there is no time to look fold into one.
func TestChangesFold(t *testing.T) {
	in(t, func(t *testing.T) {
		store := newSpy(t)
		l := newLab(t, store, session.Config{}, live.Config{})
		v := l.visitor()
		v.takes("a")
		p := v.opens()
		p.events()
		time.Sleep(time.Second)
		before := store.calls.Load()
		for range 10 {
			v.does(func(s *session.Session) error {
				_, err := pills.Update(s, func(all []string) []string { return append(all, "b") })
				return err
			})
		}
		requests := store.calls.Load() - before
		time.Sleep(time.Second)
		want := `change {"keys":["pills"],"removed":[],"values":{"pills":["a"` + strings.Repeat(`,"b"`, 10) + `]},`
		if got := p.events(); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("ten changes at once: %q; want one event", got)
		}
		if looks := store.calls.Load() - before - requests; looks != 1 {
			t.Errorf("ten changes at once cost %d looks; want 1", looks)
		}
	})
}

func TestDeadlineAndExpiring(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t, memory(t), session.Config{}, live.Config{})
		v := l.visitor()
		v.takes("a")
		p := v.opens()
		p.events()
		time.Sleep(20 * time.Minute)
		v.reads()
		time.Sleep(half - 22*time.Minute - time.Millisecond)
		p.gets("before there is reason to look")
		time.Sleep(time.Millisecond)
		p.gets("when it might have been about to end", "deadline {"+ms(22*time.Minute, day-28*time.Minute))
		time.Sleep(20 * time.Minute)
		p.gets("two minutes before the end", "expiring {"+ms(2*time.Minute, day-48*time.Minute))
		late := v.opens()
		late.gets("a page that opens meanwhile",
			`session {"live":true,"session":0,"signedIn":false,"keys":["pills"],"values":{"pills":["a"]},`+ms(2*time.Minute, day-48*time.Minute),
			"expiring {"+ms(2*time.Minute, day-48*time.Minute))
		time.Sleep(time.Minute + 500*time.Millisecond)
		v.does((*session.Session).Touch)
		time.Sleep(time.Second)
		stays := "deadline {" + ms(half-500*time.Millisecond, day-49*time.Minute-time.Second)
		p.gets("somebody stays", stays)
		late.gets("somebody stays", stays)
		time.Sleep(half - 2*time.Minute)
		if got := p.events(); len(got) != 1 || !strings.HasPrefix(got[0], "expiring ") {
			t.Errorf("about to end once more: %q; want expiring", got)
		}
		time.Sleep(time.Minute)
		v.takes("b") // a change says the same as a use
		time.Sleep(20 * time.Millisecond)
		got := p.events()
		if len(got) != 2 || !strings.HasPrefix(got[0], "change ") || !strings.HasPrefix(got[1], "deadline ") {
			t.Errorf("a change while it is about to end: %q; want a change and a deadline", got)
		}
	})
}

func TestWarnBefore(t *testing.T) {
	for _, test := range []struct {
		what   string
		warn   time.Duration
		idle   time.Duration
		maxAge time.Duration
		want   time.Duration // before the end; 0: never
	}{
		{what: "nothing set", want: 2 * time.Minute},
		{what: "set", warn: 5 * time.Minute, want: 5 * time.Minute},
		{what: "never", warn: -1},
		{what: "too long for the timeout", warn: time.Hour, want: 10 * time.Minute},
		{what: "a short timeout", idle: 3 * time.Minute, want: time.Minute},
		{what: "a session with a short lifetime", maxAge: 90 * time.Second, want: 30 * time.Second},
	} {
		in(t, func(t *testing.T) {
			l := newLab(t, memory(t), session.Config{IdleTimeout: test.idle}, live.Config{WarnBefore: test.warn})
			v := l.visitor()
			v.takes("a")
			end := half
			if test.idle > 0 {
				end = test.idle
			}
			if test.maxAge > 0 {
				end = test.maxAge
				v.does(func(s *session.Session) error { return s.SetMaxAge(end) })
			}
			p := v.opens()
			p.events()
			if test.want > 0 {
				time.Sleep(end - test.want - time.Millisecond)
				p.gets(test.what + ": before the warning")
				time.Sleep(time.Millisecond)
				p.gets(test.what, "expiring {"+ms(test.want, day-(end-test.want)))
				time.Sleep(test.want)
			} else {
				time.Sleep(end)
			}
			p.gets(test.what+": the end", `ended {"reason":"expired"}`)
			p.isOpen(test.what, false)
		})
	}
}

func TestExpiresAbsolutely(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t, memory(t), session.Config{AbsoluteTimeout: time.Hour}, live.Config{})
		v := l.visitor()
		v.takes("a")
		p := v.opens()
		for range 3 {
			p.events()
			time.Sleep(19 * time.Minute)
			v.reads()
		}
		time.Sleep(time.Minute)
		got := p.events()
		if len(got) == 0 || got[len(got)-1] != "expiring {"+ms(2*time.Minute, 2*time.Minute) {
			t.Errorf("two minutes before the absolute limit: %q; want expiring", got)
		}
		time.Sleep(2 * time.Minute)
		p.gets("at the absolute limit", `ended {"reason":"expired"}`)
		p.isOpen("at the absolute limit", false)
	})
}

func TestRenewed(t *testing.T) {
	for what, test := range map[string]struct {
		user string
		do   func(s *session.Session) error
		want string
	}{
		"a new id":          {"", (*session.Session).Renew, `renewed {"signedIn":false}`},
		"a user's new id":   {"ilmer", (*session.Session).Renew, `renewed {"signedIn":true}`},
		"sign-in":           {"", func(s *session.Session) error { return s.SignIn("ilmer") }, `renewed {"signedIn":true}`},
		"another user":      {"ilmer", func(s *session.Session) error { return s.SignIn("homer") }, `renewed {"signedIn":true}`},
		"begun anew":        {"ilmer", (*session.Session).Regenerate, `renewed {"signedIn":false}`},
		"signed out":        {"ilmer", (*session.Session).SignOut, `ended {"reason":"signed-out"}`},
		"destroyed":         {"ilmer", (*session.Session).Destroy, `ended {"reason":"signed-out"}`},
		"destroyed, nobody": {"", (*session.Session).Destroy, `ended {"reason":"signed-out"}`},
	} {
		in(t, func(t *testing.T) {
			l := newLab(t, memory(t), session.Config{}, live.Config{})
			v := l.visitor()
			v.takes("a")
			if test.user != "" {
				v.signsIn(test.user)
			}
			p := v.opens()
			p.events()
			v.does(test.do)
			p.gets(what, test.want) // without the clock having moved
			p.isOpen(what, false)
		})
	}
}

// Who still has the old id while its grace lasts is told before the grace is over.
func TestRenewedWithGrace(t *testing.T) {
	in(t, func(t *testing.T) {
		store := memory(t)
		there := newLab(t, store, session.Config{RenewGrace: 20 * time.Second}, live.Config{})
		here := newLab(t, store, session.Config{RenewGrace: 20 * time.Second}, live.Config{})
		v := there.visitor()
		v.takes("a")
		old := v.at(here)
		p := old.opens()
		p.events()
		v.does((*session.Session).Renew)
		time.Sleep(20 * time.Millisecond)
		p.gets("renewed by another process", `renewed {"signedIn":false}`)
		p = old.opens()
		if got := p.events(); len(got) != 1 || !strings.HasPrefix(got[0], `session {"live":true`) {
			t.Errorf("a page with the old cookie gets %q; want the session", got)
		}
		time.Sleep(time.Second)
		p.gets("a page with the old cookie", `renewed {"signedIn":false}`)
		p.isOpen("a page with the old cookie", false)
	})
}

func TestRevoked(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t, memory(t), session.Config{}, live.Config{})
		var ilmer [3]*visitor
		var pages [3]*page
		for i := range ilmer {
			ilmer[i] = l.visitor()
			ilmer[i].signsIn("ilmer")
			pages[i] = ilmer[i].opens()
		}
		homer := l.visitor()
		homer.signsIn("homer")
		nobody := l.visitor()
		nobody.takes("a")
		others := []*page{homer.opens(), nobody.opens()}
		for _, p := range append(others, pages[:]...) {
			p.events()
		}
		if err := l.m.Revoke(t.Context(), ilmer[0].publicID()); err != nil {
			t.Fatal(err)
		}
		pages[0].gets("one session is revoked", `ended {"reason":"revoked"}`)
		pages[0].isOpen("one session is revoked", false)
		pages[1].gets("another session is revoked")
		if n, err := l.m.RevokeUser(t.Context(), "ilmer", ilmer[1].publicID()); n != 1 || err != nil {
			t.Fatalf("RevokeUser = %d, %v", n, err)
		}
		pages[1].gets("spared")
		pages[2].gets("all but one are revoked", `ended {"reason":"revoked"}`) // without the clock having moved
		if err := l.m.RevokeOf(t.Context(), "ilmer", ilmer[1].publicID()); err != nil {
			t.Fatal(err)
		}
		pages[1].gets("by its own user", `ended {"reason":"revoked"}`)
		time.Sleep(time.Second)
		for _, p := range others {
			p.gets("somebody else is revoked")
			p.isOpen("somebody else is revoked", true)
		}
	})
}

// What another process does is known by what became of the session alone.
func TestAcrossProcesses(t *testing.T) {
	for what, test := range map[string]struct {
		do   func(v *visitor) error
		want string
	}{
		"changed":   {func(v *visitor) error { v.takes("b"); return nil }, `change {"keys":["pills"],"removed":[],"values":{"pills":["b"]},` + ms(half, day-time.Second)},
		"signed in": {func(v *visitor) error { v.signsIn("homer"); return nil }, `ended {"reason":"unknown"}`},
		"renewed":   {func(v *visitor) error { v.does((*session.Session).Renew); return nil }, `ended {"reason":"unknown"}`},
		"destroyed": {func(v *visitor) error { v.does((*session.Session).Destroy); return nil }, `ended {"reason":"unknown"}`},
		"revoked":   {func(v *visitor) error { return v.lab.m.Revoke(v.lab.t.Context(), v.publicID()) }, `ended {"reason":"unknown"}`},
		"all revoked": {func(v *visitor) error {
			_, err := v.lab.m.RevokeUser(v.lab.t.Context(), "ilmer")
			return err
		}, `ended {"reason":"unknown"}`},
	} {
		for _, polled := range []bool{false, true} {
			in(t, func(t *testing.T) {
				var store session.Store = memory(t)
				if polled {
					store = polledStore{store, store.(session.UserIndex)}
				}
				here := newLab(t, store, session.Config{}, live.Config{})
				there := newLab(t, store, session.Config{}, live.Config{})
				v := there.visitor()
				v.takes("a")
				v.signsIn("ilmer")
				p := v.at(here).opens()
				p.events()
				time.Sleep(time.Second)
				if err := test.do(v); err != nil {
					t.Fatal(err)
				}
				at := time.Now()
				time.Sleep(170 * time.Millisecond)
				if polled {
					time.Sleep(500 * time.Millisecond)
				}
				got := p.events()
				if len(got) == 1 && strings.HasPrefix(got[0], "change ") {
					got[0] = strings.Split(got[0], `"idle"`)[0]
					test.want = strings.Split(test.want, `"idle"`)[0]
				}
				if len(got) != 1 || got[0] != test.want {
					t.Errorf("%s, polled: %v: a page of another process gets %q after %v; want %s", what, polled, got, time.Since(at), test.want)
				}
			})
		}
	}
}

// polledStore has users and tells of no changes.
type polledStore struct {
	session.Store
	session.UserIndex
}

// The store may tell of a deletion before the process that made it tells why.
func TestReasonMayComeLate(t *testing.T) {
	in(t, func(t *testing.T) {
		store := newSpy(t)
		l := newLab(t, store, session.Config{Observe: func(e session.Event) {
			if e.Kind == session.EventDestroyed || e.Kind == session.EventRevoked {
				time.Sleep(100 * time.Millisecond)
			}
		}}, live.Config{})
		for what, end := range map[string]struct {
			do   func(v *visitor) error
			want string
		}{
			"destroyed": {func(v *visitor) error { v.does((*session.Session).Destroy); return nil }, "signed-out"},
			"revoked": {func(v *visitor) error {
				_, err := l.m.RevokeUser(t.Context(), "ilmer")
				return err
			}, "revoked"},
		} {
			v := l.visitor()
			v.signsIn("ilmer")
			p := v.opens()
			p.events()
			if err := end.do(v); err != nil {
				t.Fatal(err)
			}
			p.gets(what, `ended {"reason":"`+end.want+`"}`)
			synctest.Wait()
		}
	})
}
