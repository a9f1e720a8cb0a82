package session_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// Regenerate: another id, nothing carried over, always stored and sent, the old
// id dead.
func TestExpressRegenerate(t *testing.T) {
	for _, set := range []bool{false, true} {
		a := newExpressApp(t)
		cookie, id := a.begin()
		r := a.get(cookie, func(s *session.Session) {
			a.set(s, "lost", 1)
			a.ok("Regenerate()", s.Regenerate())
			if user := a.read(s, "user"); user != nil {
				t.Errorf("after Regenerate the user is %v; want none", user)
			}
			if set {
				a.set(s, "n", 1)
			}
		})
		if r.line() == "" || r.cookie() == cookie || a.store.text(id) != "" {
			t.Errorf("Set-Cookie %q, stored under the old id %q; want another id and nothing", r.cookies(), a.store.text(id))
		}
		if r.calls != "load create delete" {
			t.Errorf("store calls %q; want load create delete", r.calls)
		}
		a.get(r.cookie(), func(s *session.Session) {
			keys, err := s.Keys()
			if got := strings.Join(keys, " "); got != map[bool]string{true: "n"}[set] || err != nil {
				t.Errorf("new session has keys %q, %v; want only what was set afterwards: %v", got, err, set)
			}
		})
		if r := a.get(cookie, a.look); r.calls != "load" {
			t.Errorf("with the old cookie: store calls %q; want one load that finds nothing", r.calls)
		}
	}
	// A visitor without a session gets one, though it is empty.
	a := newExpressApp(t)
	r := a.get("", func(s *session.Session) { a.ok("Regenerate()", s.Regenerate()) })
	if r.line() == "" || len(a.store.ids()) != 1 {
		t.Errorf("Regenerate by a new visitor: Set-Cookie %q, %d sessions; want one of each", r.cookies(), len(a.store.ids()))
	}
	// Regenerate, Save and the response write once; express-session twice.
	a = newExpressApp(t)
	cookie, _ := a.begin()
	r = a.get(cookie, func(s *session.Session) {
		a.ok("Regenerate()", s.Regenerate())
		a.set(s, "n", 1)
		a.ok("Save()", s.Save())
	})
	if r.calls != "load create delete" {
		t.Errorf("Regenerate, Set and Save: store calls %q; want load create delete", r.calls)
	}
}

// Destroy: gone at once, unusable, no session after it. Better than
// express-session 1.x, and as 2 is to do: the cookie is cleared.
func TestExpressDestroy(t *testing.T) {
	for _, all := range []bool{false, true} {
		a := newExpressApp(t, func(c *session.Config) { c.Resave, c.SaveUninitialized, c.Rolling = all, all, all })
		cookie, id := a.begin()
		r := a.get(cookie, func(s *session.Session) {
			a.set(s, "lost", 1)
			a.ok("Destroy()", s.Destroy())
			if got := a.store.text(id); got != "" {
				t.Errorf("after Destroy there is still %s", got)
			}
			_, getErr := session.Key[string]("user").Get(s)
			for verb, err := range map[string]error{
				"Get": getErr, "Set": session.Key[int]("n").Set(s, 1), "Regenerate": s.Regenerate(),
				"Reload": s.Reload(), "Touch": s.Touch(), "SetMaxAge": s.SetMaxAge(time.Hour), "SignIn": s.SignIn("bob"),
			} {
				if !errors.Is(err, session.ErrEnded) {
					t.Errorf("%s after Destroy = %v; want ErrEnded", verb, err)
				}
			}
			a.ok("second Destroy()", s.Destroy())
		})
		if r.StatusCode != 200 || r.line() != "connect.sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly" {
			t.Errorf("resave and the rest %v: status %d, Set-Cookie %q; want 200 and the cookie cleared", all, r.StatusCode, r.cookies())
		}
		if len(a.store.ids()) != 0 {
			t.Errorf("resave and the rest %v: store has %d sessions; want none", all, len(a.store.ids()))
		}
	}
	a := newExpressApp(t)
	if r := a.get("", func(s *session.Session) { a.ok("Destroy()", s.Destroy()) }); r.calls != "" || len(r.cookies()) > 0 {
		t.Errorf("Destroy without a session: store calls %q, Set-Cookie %q; want neither", r.calls, r.cookies())
	}
}

// Save commits now and once; the response has nothing left to do. Better than
// express-session, a new session that is saved gets its cookie.
func TestExpressSave(t *testing.T) {
	a := newExpressApp(t)
	var id string
	r := a.get("", func(s *session.Session) {
		a.set(s, "user", "bob")
		a.ok("Save()", s.Save())
		id, _ = s.ID()
		if got := a.store.text(id); !strings.Contains(got, `"user":"bob"`) {
			t.Errorf("after Save the store has %q; want bob in it", got)
		}
		a.ok("second Save()", s.Save())
	})
	if r.calls != "create" || !strings.Contains(r.line(), id) {
		t.Errorf("Save of a new session: store calls %q, Set-Cookie %q; want create and the cookie", r.calls, r.cookies())
	}
	r = a.get(r.cookie(), func(s *session.Session) {
		a.set(s, "n", 1)
		a.ok("Save()", s.Save())
		a.set(s, "n", 2)
	})
	if r.calls != "load update update" || !strings.Contains(a.store.text(id), `"n":2`) {
		t.Errorf("Set, Save, Set: store calls %q, stored %s; want two updates and n 2", r.calls, a.store.text(id))
	}
	// express-session stores an empty new session that is saved, and sends no
	// cookie for it: a row that nobody can ever use.
	if r := a.get("", func(s *session.Session) { a.ok("Save()", s.Save()) }); r.calls != "" {
		t.Errorf("Save of an empty new session: store calls %q; want none", r.calls)
	}
}

// Reload drops what was not saved and finds what others saved meanwhile.
func TestExpressReload(t *testing.T) {
	a := newExpressApp(t)
	cookie, id := a.begin()
	r := a.get(cookie, func(s *session.Session) {
		a.set(s, "lost", 1)
		a.get(cookie, func(s *session.Session) { a.set(s, "user", "eve") })
		a.ok("Reload()", s.Reload())
		if user, lost := a.read(s, "user"), a.read(s, "lost"); user != "eve" || lost != nil {
			t.Errorf("after Reload user is %v and lost %v; want eve and nothing", user, lost)
		}
	})
	if strings.Contains(r.calls, "update") || strings.Contains(a.store.text(id), "lost") {
		t.Errorf("after Reload: store calls %q, stored %s; want what was dropped to stay dropped", r.calls, a.store.text(id))
	}
	a.get(cookie, func(s *session.Session) {
		a.look(s)
		a.ok("Delete by another request", a.store.Delete(t.Context(), id, nil))
		if err := s.Reload(); !errors.Is(err, session.ErrEnded) {
			t.Errorf("Reload of a session that is gone = %v; want ErrEnded", err)
		}
	})
}

// Touch moves the deadline of the row and the cookie's expiry, and writes no
// data.
func TestExpressTouch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newExpressApp(t, func(c *session.Config) { c.Cookie.MaxAge = time.Hour })
		cookie, id := a.begin()
		before := a.store.text(id)
		time.Sleep(time.Second) // less than TouchEvery
		if r := a.get(cookie, a.look); r.calls != "load" || len(r.cookies()) > 0 {
			t.Errorf("a read within TouchEvery: store calls %q, Set-Cookie %q; want load and none", r.calls, r.cookies())
		}
		r := a.get(cookie, func(s *session.Session) { a.ok("Touch()", s.Touch()) })
		if got, want := a.store.deadline(id), time.Now().Add(time.Hour); !got.Equal(want) || strings.Contains(r.calls, "update") {
			t.Errorf("after Touch: deadline %v, store calls %q; want %v and no update", got, r.calls, want)
		}
		if want := "Path=/; Expires=Sat, 01 Jan 2000 01:00:01 GMT; HttpOnly"; r.attributes() != want {
			t.Errorf("after Touch: attributes %q; want %q", r.attributes(), want)
		}
		if got := a.store.text(id); got != before {
			t.Errorf("Touch wrote %s; want %s", got, before)
		}
		// A session in use does not end, though nothing is ever changed in it.
		for range 10 {
			time.Sleep(50 * time.Minute)
			if r := a.get(cookie, a.look); strings.Contains(r.calls, "update") {
				t.Errorf("a read: store calls %q; want no write of data", r.calls)
			}
		}
		if got := a.store.text(id); got != before || !time.Now().Before(a.store.deadline(id)) {
			t.Errorf("after eight hours of reading: stored %q until %v; want %q, live", got, a.store.deadline(id), before)
		}
	})
}

// A lifetime of its own that is longer than the idle timeout is renewed by use
// as well, though nothing but reading is done.
func TestExpressTouchOfLongLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		a := newExpressApp(t, func(c *session.Config) { c.Cookie.MaxAge = time.Hour })
		r := a.get("", func(s *session.Session) { a.set(s, "user", "bob"); a.ok("SetMaxAge", s.SetMaxAge(30*day)) })
		cookie := r.cookie()
		for range 5 {
			time.Sleep(29 * day)
			var user any
			r := a.get(cookie, func(s *session.Session) { user = a.read(s, "user") })
			if user != "bob" || r.calls != "load touch" {
				t.Errorf("29 days after its last use a session of 30 days has user %v, and reading costs %q; want bob and load touch", user, r.calls)
			}
			if r := a.get(cookie, a.look); r.calls != "load" {
				t.Errorf("right after that reading costs %q; want one load", r.calls)
			}
		}
	})
}

// Better than express-session, whose originalMaxAge loses a millisecond whenever
// the clock ticks between two lines: it is exactly the same after two thousand
// requests that touch, change and resave.
func TestExpressOriginalMaxAgeBetterWithoutDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newExpressApp(t, func(c *session.Config) {
			c.Cookie.MaxAge, c.Rolling, c.TouchEvery = 60*time.Second, true, -1
		})
		// The clock ticks in each call of the store.
		a.store.hook = func(string, string) error { time.Sleep(time.Millisecond); return nil }
		cookie, id := a.begin()
		for i := range 2000 {
			a.get(cookie, func(s *session.Session) {
				switch i % 3 {
				case 0:
					a.set(s, "n", i)
				case 1:
					a.ok("Touch()", s.Touch())
				default:
					a.look(s)
				}
			})
		}
		if got := a.store.text(id); !strings.Contains(got, `"originalMaxAge":60000,`) {
			t.Errorf("after 2000 requests: stored %s; want originalMaxAge 60000", got)
		}
		a.get(cookie, func(s *session.Session) {
			if maxAge, err := s.MaxAge(); maxAge != 60*time.Second || err != nil {
				t.Errorf("MaxAge() = %v, %v; want 1m0s", maxAge, err)
			}
		})
	})
}

// Better than express-session, which does not count a change of the cookie
// alone as one and loses it in every store but its own memory: a lifetime that
// is set is stored, moves the deadline, and is sent.
func TestExpressMaxAgeBetterIsAModification(t *testing.T) {
	for _, test := range []struct {
		name   string
		before time.Duration // Config.Cookie.MaxAge
		set    time.Duration
		cookie string // as stored
		attrs  string
		lives  time.Duration
	}{
		{"longer", time.Minute, time.Hour, `"originalMaxAge":3600000,"expires":"2000-01-01T01:00:10.000Z"`, "Path=/; Expires=Sat, 01 Jan 2000 01:00:10 GMT; HttpOnly", time.Hour},
		{"shorter", time.Hour, time.Minute, `"originalMaxAge":60000,"expires":"2000-01-01T00:01:10.000Z"`, "Path=/; Expires=Sat, 01 Jan 2000 00:01:10 GMT; HttpOnly", time.Minute},
		{"none before", 0, time.Minute, `"originalMaxAge":60000,"expires":"2000-01-01T00:01:10.000Z"`, "Path=/; Expires=Sat, 01 Jan 2000 00:01:10 GMT; HttpOnly", time.Minute},
		{"none any more", time.Minute, 0, `"originalMaxAge":null,"expires":null`, "Path=/; HttpOnly", time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newExpressApp(t, func(c *session.Config) { c.Cookie.MaxAge = test.before })
				cookie, id := a.begin()
				time.Sleep(10 * time.Second)
				r := a.get(cookie, func(s *session.Session) { a.ok("SetMaxAge", s.SetMaxAge(test.set)) })
				if got := a.store.text(id); r.calls != "load update" || !strings.Contains(got, test.cookie) {
					t.Errorf("store calls %q, stored %s; want an update with %s", r.calls, got, test.cookie)
				}
				if r.cookie() != cookie || r.attributes() != test.attrs {
					t.Errorf("Set-Cookie %q; want the same value with %q", r.cookies(), test.attrs)
				}
				if got, want := a.store.deadline(id), time.Now().Add(test.lives); !got.Equal(want) {
					t.Errorf("deadline %v; want %v", got, want)
				}
				// The next change keeps to it.
				a.get(cookie, func(s *session.Session) { a.set(s, "n", 1) })
				if got := a.store.text(id); !strings.Contains(got, test.cookie) {
					t.Errorf("after the next request: stored %s; want %s in it", got, test.cookie)
				}
				time.Sleep(test.lives)
				if r := a.get(cookie, a.look); r.calls != "load" {
					t.Errorf("after %v: store calls %q; want the session gone", test.lives, r.calls)
				}
			})
		})
	}
}

// A lifetime of its own that is shorter than the idle timeout holds to the
// millisecond even where the request that used the session never came to commit
// anything.
func TestExpressShortLifetimeIsKeptByAPanic(t *testing.T) {
	for _, test := range []struct{ idle, own time.Duration }{
		{24 * time.Hour, time.Minute},
		{time.Minute, time.Minute - time.Millisecond},
		{time.Minute, 59500 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			a := newExpressApp(t, func(c *session.Config) { c.Cookie.MaxAge, c.TouchEvery = test.idle, -1 })
			r := a.get("", func(s *session.Session) { a.set(s, "user", "bob"); a.ok("SetMaxAge", s.SetMaxAge(test.own)) })
			cookie := r.cookie()
			var user any
			abort := func() {
				defer func() { _ = recover() }()
				a.get(cookie, func(s *session.Session) { user = a.read(s, "user"); panic(http.ErrAbortHandler) })
			}
			for _, want := range []any{"bob", "bob", nil} {
				if want == nil {
					time.Sleep(2 * time.Millisecond)
				}
				abort()
				if user != want {
					t.Errorf("idle timeout %v, own lifetime %v: user %v; want %v", test.idle, test.own, user, want)
				}
				time.Sleep(test.own - time.Millisecond)
			}
		})
	}
}

// The configuration of today wins over the attributes stored with a session,
// which express-session sends again: a cookie that is hardened is hardened for
// the sessions that there are. Only the lifetime is the session's own.
func TestExpressCookieBetterConfigWinsOverStored(t *testing.T) {
	const id = "an-id-of-the-attributes-test"
	a := newExpressApp(t, func(c *session.Config) {
		c.Rolling = true
		c.Cookie.Secure, c.Cookie.SameSite = session.SecureAlways, session.SameSiteLax
	})
	a.store.keep(id, `{"cookie":{"originalMaxAge":null,"expires":null,"secure":false,"httpOnly":false,"domain":"example.org","path":"/old","sameSite":"none"}}`, time.Hour)
	r := a.do(requestTo("https://example.com/", "connect.sid="+signed(id, expressSecret)), a.look)
	if want := "Path=/; HttpOnly; Secure; SameSite=Lax"; r.attributes() != want {
		t.Errorf("Set-Cookie %q; want the attributes %q", r.cookies(), want)
	}
}

// Stores with the layouts of Express keep deadlines in whole seconds, rounded
// up, and other machines' clocks run a little ahead. Neither is a reason to
// write a session that is only read.
func TestExpressRowsInWholeSecondsAreNotRewritten(t *testing.T) {
	for _, maxAge := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			a := newExpressApp(t, func(c *session.Config) { c.Cookie.MaxAge = maxAge })
			time.Sleep(time.Millisecond)
			cookie, id := a.begin()
			a.store.keep(id, a.store.text(id), time.Until(a.store.deadline(id).Truncate(time.Second).Add(time.Second)))
			for range 10 {
				if r := a.get(cookie, a.look); r.calls != "load" {
					t.Errorf("maxAge %v: a read costs %q; want one load", maxAge, r.calls)
				}
			}
		})
	}
}
