package session_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

// device sends a request of a device at the bound of sessions per user, and
// returns its cookie afterwards and what became of the request.
func device(m *session.Manager, cookie string, act func(s *session.Session) error) (string, error) {
	var err error
	cookie = serve(m, cookie, func(s *session.Session) {
		if err = act(s); err == nil {
			err = s.Save()
		}
	})
	return cookie, err
}

func signIn(s *session.Session) error { return s.SignIn("alice") }

// signedIn signs new devices in, in this order.
func signedIn(t *testing.T, m *session.Manager, n int) []string {
	t.Helper()
	cookies := make([]string, n)
	for i := range cookies {
		var err error
		if cookies[i], err = device(m, "", signIn); err != nil || cookies[i] == "" {
			t.Fatalf("SignIn of device %d = %v with the cookie %q; want one", i, err, cookies[i])
		}
	}
	return cookies
}

// checkDevices checks that these devices are signed in, and that the user has
// no other session.
func checkDevices(t *testing.T, m *session.Manager, cookies ...string) {
	t.Helper()
	for i, cookie := range cookies {
		serve(m, cookie, func(s *session.Session) {
			if user, err := s.User(); user != "alice" || err != nil {
				t.Errorf("device %d is signed in as %q, %v; want alice", i, user, err)
			}
		})
	}
	if all, err := m.Sessions(t.Context(), "alice"); len(all) != len(cookies) || err != nil {
		t.Errorf("the user has %d sessions, %v; want %d", len(all), err, len(cookies))
	}
}

// A session that gets a new id at the bound of sessions per user is there twice
// for a moment, and that alone signs nobody out.
func TestRotationAtTheBound(t *testing.T) {
	renew := func(s *session.Session) error { return s.Renew() }
	for _, c := range []struct {
		name    string
		max     int
		rotate  func(s *session.Session) error
		rejects bool
	}{
		{"the only device renews", 1, renew, false},
		{"the only device signs in again", 1, signIn, false},
		{"one of two renews", 2, renew, false},
		{"one of two signs in again", 2, signIn, false},
		{"the only device renews, RejectOverMax", 1, renew, true},
		{"the only device signs in again, RejectOverMax", 1, signIn, true},
		{"one of two renews, RejectOverMax", 2, renew, true},
		{"one of two signs in again, RejectOverMax", 2, signIn, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachStore(t, func(t *testing.T, store session.Store) {
				m := newManager(t, session.Config{Store: store, MaxPerUser: c.max, RejectOverMax: c.rejects})
				cookies := signedIn(t, m, c.max)
				// Each in turn, so that the oldest does and the youngest.
				for round := range 2 * c.max {
					i := round % c.max
					before := cookies[i]
					var err error
					if cookies[i], err = device(m, before, c.rotate); err != nil {
						t.Fatalf("device %d of %d: %v", i, c.max, err)
					}
					if cookies[i] == before {
						t.Errorf("device %d of %d kept its id; want a new one", i, c.max)
					}
					checkDevices(t, m, cookies...)
				}
			})
		})
	}
}

// The bound holds all the same for a device that was not signed in.
func TestRotationLeavesTheBound(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		m := newManager(t, session.Config{Store: store, MaxPerUser: 2})
		cookies := signedIn(t, m, 2)
		visitor, err := device(m, begin(t, m), signIn)
		if err != nil {
			t.Fatal(err)
		}
		checkDevices(t, m, cookies[1], visitor)
	})
	t.Run("RejectOverMax", func(t *testing.T) {
		eachStore(t, func(t *testing.T, store session.Store) {
			m := newManager(t, session.Config{Store: store, MaxPerUser: 2, RejectOverMax: true})
			cookies := signedIn(t, m, 2)
			if _, err := device(m, begin(t, m), signIn); !errors.Is(err, session.ErrTooManySessions) {
				t.Errorf("SignIn of a third device = %v; want ErrTooManySessions", err)
			}
			checkDevices(t, m, cookies...)
		})
	})
}

// Two devices that renew their ids at once, at the bound, both stay signed in: a
// renewal leaves as many sessions as there were.
func TestParallelRenewalsAtTheBoundEndNobody(t *testing.T) {
	eachStore(t, func(t *testing.T, store session.Store) {
		for _, reject := range []bool{false, true} {
			m := newManager(t, session.Config{Store: store, MaxPerUser: 2, RejectOverMax: reject})
			for round := range 50 {
				user := fmt.Sprintf("ilmer %v %d", reject, round)
				var cookies [2]string
				for i := range cookies {
					cookies[i] = serve(m, "", func(s *session.Session) {
						if err := s.SignIn(user); err != nil {
							t.Error(err)
						}
					})
				}
				var wg sync.WaitGroup
				for _, cookie := range cookies {
					wg.Go(func() {
						renewed := serve(m, cookie, func(s *session.Session) {
							if err := s.Renew(); err != nil {
								t.Error(err)
							}
						})
						serve(m, renewed, func(s *session.Session) {
							if got, err := s.User(); got != user || err != nil {
								t.Errorf("round %d: user after Renew = %q, %v; want %q", round, got, err, user)
							}
						})
					})
				}
				wg.Wait()
			}
		}
	})
}
