package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// exact makes every request that uses a session renew its idle timeout, so that
// the limit can be told to the millisecond.
func exact(c *session.Config) { c.TouchEvery = -1 }

func timeouts(idle, absolute time.Duration) func(*session.Config) {
	return func(c *session.Config) { c.IdleTimeout, c.AbsoluteTimeout = idle, absolute }
}

// OWASP ASVS 5.0 §7.3.1: a millisecond before the limit there is a session, and
// at the limit there is none.
func TestTimeIdleLimit(t *testing.T) {
	for _, tt := range []struct {
		after time.Duration
		want  string
	}{{30*time.Minute - time.Millisecond, "mine"}, {30 * time.Minute, "none"}} {
		synctest.Test(t, func(t *testing.T) {
			v := newLab(t, exact).visitor()
			v.write("mine")
			time.Sleep(tt.after)
			want(t, fmt.Sprint("note ", tt.after, " after it was written"), v.read(), tt.want)
			if tt.want == "mine" { // that was a use: the limit counts from there
				time.Sleep(tt.after)
				want(t, fmt.Sprint("note ", tt.after, " after it was read"), v.read(), tt.want)
			}
		})
	}
}

// A request that does not use its session does not prolong it.
func TestTimeIdleLimitCountsFromTheLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newLab(t, exact).visitor()
		v.write("mine")
		time.Sleep(29 * time.Minute)
		v.do("GET", func(http.ResponseWriter, *http.Request, *session.Session) {})
		time.Sleep(time.Minute)
		want(t, "note", v.read(), "none")
	})
}

// With touches spared, a session ends at most TouchEvery too soon, never late.
func TestTimeIdleLimitWithThrottledTouches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, func(c *session.Config) { c.IdleTimeout, c.TouchEvery = time.Hour, 5*time.Minute })
		v := l.visitor()
		v.write("mine")
		time.Sleep(5*time.Minute - time.Millisecond)
		want(t, "note", v.read(), "mine") // not yet due for a touch
		time.Sleep(55*time.Minute + time.Millisecond)
		want(t, "note an hour after it was written", v.read(), "none")

		v = l.visitor()
		v.write("mine")
		time.Sleep(5*time.Minute + time.Millisecond)
		want(t, "note", v.read(), "mine")
		time.Sleep(time.Hour - time.Millisecond)
		want(t, "note an hour after it was touched", v.read(), "mine")
		time.Sleep(time.Hour)
		want(t, "note at the limit", v.read(), "none")
	})
}

// ASVS 5.0 §7.3.2: however busy, a session ends at its absolute limit.
func TestTimeAbsoluteLimit(t *testing.T) {
	for _, use := range []string{"read", "write", "Touch", "SetMaxAge", "Renew", "Save"} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, exact, timeouts(30*time.Minute, 2*time.Hour))
			v := l.visitor()
			v.write("mine")
			began := time.Now()
			for time.Since(began) < 2*time.Hour-20*time.Minute {
				time.Sleep(20 * time.Minute)
				v.post(func(s *session.Session) error {
					switch use {
					case "write":
						return note.Set(s, fmt.Sprint(time.Since(began)))
					case "Touch":
						return s.Touch()
					case "SetMaxAge":
						return s.SetMaxAge(400 * 24 * time.Hour)
					case "Renew":
						return s.Renew()
					case "Save":
						return errors.Join(note.Set(s, "x"), s.Save())
					}
					_, err := note.Get(s)
					return err
				})
			}
			time.Sleep(2*time.Hour - time.Since(began) - time.Millisecond)
			if v.read() == "none" {
				t.Errorf("with %s every 20 minutes: no session a millisecond before the limit", use)
			}
			time.Sleep(time.Millisecond)
			want(t, "note at the limit, with "+use+" every 20 minutes", v.read(), "none")
			want(t, "rows at the limit, with "+use, l.under.count(), 0)
		})
	}
}

// The store's deadline may have been removed or pushed ahead: who asks is told
// by the session's own age.
func TestTimeAbsoluteLimitWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		v := l.visitor()
		v.signIn("ilmer")
		v.write("mine")
		l.under.tamper(v.id(), func(rec *session.Record) { rec.Deadline = time.Now().Add(1000 * time.Hour) })
		public := v.publicID()
		time.Sleep(24*time.Hour - time.Millisecond)
		l.under.tamper(v.id(), func(rec *session.Record) { rec.Deadline = time.Now().Add(1000 * time.Hour) })
		want(t, "note a millisecond before the limit", v.read(), "mine")
		l.under.tamper(v.id(), func(rec *session.Record) { rec.Deadline = time.Now().Add(1000 * time.Hour) })
		time.Sleep(time.Millisecond)
		l.takeEvents()
		infos, err := l.m.Sessions(t.Context(), "ilmer")
		if len(infos) != 0 || err != nil {
			t.Errorf("Sessions at the limit = %v, %v; want none", infos, err)
		}
		want(t, "events", l.takeEvents(), "expired")
		if _, err := l.m.Open(t.Context(), public); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("Open at the limit = %v; want %v", err, session.ErrNotFound)
		}
		want(t, "note at the limit", v.read(), "none")
		want(t, "rows at the limit", l.under.count(), 0)
	})
}

// A row that was given more time than the policy grants is cut back by the next
// request that uses it.
func TestTimeDeadlineBeyondThePolicyIsCutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, exact)
		v := l.visitor()
		v.write("mine")
		l.under.tamper(v.id(), func(rec *session.Record) { rec.Deadline = time.Now().Add(23 * time.Hour) })
		want(t, "note", v.read(), "mine")
		time.Sleep(30 * time.Minute)
		want(t, "note after the idle limit", v.read(), "none")
	})
}

// 63B-4 §5.2: activity resets the idle limit, signing in again resets both.
func TestTimeSignInResetsBothLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, exact, timeouts(time.Hour, 2*time.Hour))
		v := l.visitor()
		v.signIn("ilmer")
		v.write("mine")
		for range 3 {
			time.Sleep(59 * time.Minute)
			want(t, "note", v.read(), "mine")
			time.Sleep(59 * time.Minute)
			v.signIn("ilmer")
		}
		time.Sleep(59 * time.Minute)
		v.post(func(s *session.Session) error { return s.Renew() }) // resets the idle limit only
		time.Sleep(59 * time.Minute)
		want(t, "note", v.read(), "mine")
		time.Sleep(2 * time.Minute)
		want(t, "note two hours after the sign-in", v.read(), "none")
	})
}

// A lifetime of its own replaces the idle timeout, longer or shorter, and binds
// the browser's cookie too; a configured IdleTimeout and the absolute limit hold.
func TestTimeLifetimeOfItsOwn(t *testing.T) {
	for _, tt := range []struct {
		name     string
		idle     time.Duration
		absolute time.Duration
		maxAge   time.Duration
		ends     time.Duration // after the last use
	}{
		{"shorter than the default idle timeout", 0, 0, time.Minute, time.Minute},
		{"longer than the default idle timeout", 0, 0, 5 * time.Hour, 5 * time.Hour},
		{"longer than the absolute limit", 0, 10 * time.Hour, 100 * time.Hour, 10 * time.Hour},
		{"no absolute limit", 0, -1, 300 * 24 * time.Hour, 300 * 24 * time.Hour},
		{"shorter than IdleTimeout", time.Hour, 0, time.Minute, time.Minute},
		{"longer than IdleTimeout", time.Hour, 0, 5 * time.Hour, time.Hour},
		{"zero", 0, 0, 0, 30 * time.Minute},
	} {
		for _, early := range []time.Duration{time.Millisecond, 0} {
			synctest.Test(t, func(t *testing.T) {
				v := newLab(t, exact, timeouts(tt.idle, tt.absolute)).visitor()
				v.write("mine")
				v.post(func(s *session.Session) error { return s.SetMaxAge(tt.maxAge) })
				want(t, tt.name+": has Expires", strings.Contains(v.fresh[0], "; Expires="), tt.maxAge > 0)

				time.Sleep(tt.ends - early)
				note := "none"
				if early > 0 {
					note = "mine"
				}
				want(t, fmt.Sprintf("%s: note %v before its end", tt.name, early), v.read(), note)
			})
		}
	}
}

// A session with a short lifetime stays one in steady use, and dies soon after
// a request that loaded it and then came to grief.
func TestTimeShortLifetimeSurvivesNoFailedRequest(t *testing.T) {
	for _, end := range []string{"panic", "store fails", "hijack"} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			v := l.visitor()
			v.write("mine")
			v.post(func(s *session.Session) error { return s.SetMaxAge(time.Minute) })
			for range 5 {
				time.Sleep(50 * time.Second)
				want(t, "note in steady use", v.read(), "mine")
			}
			time.Sleep(30 * time.Second)
			func() {
				defer func() { _ = recover() }()
				v.do("GET", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
					_, _ = note.Get(s)
					switch end {
					case "panic":
						panic("handler")
					case "store fails":
						_ = note.Set(s, "lost")
						l.store.rig(fails(errors.New("down"), "Load", "Update", "Touch"), nil)
					}
				})
			}()
			l.store.rig(nil, nil)
			time.Sleep(time.Minute + time.Millisecond)
			want(t, "note a minute after a request that ended by: "+end, v.read(), "none")
		})
	}
}

// The store is asked once for a session with a short lifetime, and at most once
// more to keep it short.
func TestTimeShortLifetimeCosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		v := l.visitor()
		v.write("mine")
		v.post(func(s *session.Session) error { return s.SetMaxAge(10 * time.Minute) })
		time.Sleep(time.Minute)
		l.store.take()
		v.read()
		if calls := strings.Fields(l.store.take()); len(calls) > 2 {
			t.Errorf("reading cost %q; want at most 2 calls", calls)
		}
	})
}

// Express's originalMaxAge is a lifetime of its own; 0 and less are the end.
func TestTimeOriginalMaxAge(t *testing.T) {
	for age, ends := range map[string]time.Duration{
		"null": 30 * time.Minute, "false": 30 * time.Minute, "60000": time.Minute, "60000.9": time.Minute,
		"7200000": 2 * time.Hour, "0": 0, "-1": 0, "1e99": 24 * time.Hour,
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, exact)
			v := l.visitor()
			v.write("mine")
			l.under.tamper(v.id(), func(rec *session.Record) {
				rec.Data = []byte(strings.Replace(string(rec.Data), `"originalMaxAge":null`, `"originalMaxAge":`+age, 1))
				rec.Deadline = time.Now().Add(max(ends, time.Second))
			})
			if ends > 0 {
				time.Sleep(ends - time.Millisecond)
				want(t, "note before the end of originalMaxAge "+age, v.read(), "mine")
				time.Sleep(ends)
			}
			want(t, "note at the end of originalMaxAge "+age, v.read(), "none")
		})
	}
}

// No deadline in the past reaches a store: some take it for "never".
func TestTimeNoDeadlineInThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, exact, timeouts(time.Millisecond, 5*time.Millisecond), func(c *session.Config) { c.RenewGrace = time.Millisecond })
		for pause := range 8 {
			for _, use := range []func(s *session.Session) error{
				func(s *session.Session) error { return note.Set(s, time.Now().String()) },
				func(s *session.Session) error { return s.Touch() },
				func(s *session.Session) error { return s.Renew() },
				func(s *session.Session) error { return s.SetMaxAge(time.Millisecond) },
				func(s *session.Session) error { return s.SignIn("ilmer") },
			} {
				v := l.visitor()
				v.write("mine")
				v.do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
					_, _ = note.Get(s)
					time.Sleep(time.Duration(pause) * time.Millisecond)
					_ = use(s) // it may have ended
				})
			}
		}
		for _, e := range l.events {
			if errors.Is(e.Err, errPast) {
				t.Fatalf("the store was given a deadline that is not in the future: %v", e.Err)
			}
		}
		time.Sleep(10 * time.Millisecond)
		want(t, "rows that outlive every limit", l.under.count(), 0)
	})
}
