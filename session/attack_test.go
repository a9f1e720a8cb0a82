package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// Attacks that succeeded once. Each is named for what went wrong.

// attacked returns a manager over a store in memory.
func attacked(t *testing.T, config session.Config) *session.Manager {
	t.Helper()
	if config.Store == nil {
		config.Store = memstore.New(memstore.Options{})
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return newManager(t, config)
}

// must fails the test on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func signInAs(t *testing.T, m *session.Manager, cookie, user string) string {
	t.Helper()
	return serve(m, cookie, func(s *session.Session) { must(t, s.SignIn(user)) })
}

func renewed(t *testing.T, m *session.Manager, cookie string) string {
	t.Helper()
	return serve(m, cookie, func(s *session.Session) { must(t, s.Renew()) })
}

// userOf returns who is signed in with this cookie, or "".
func userOf(m *session.Manager, cookie string) (user string) {
	serve(m, cookie, func(s *session.Session) { user, _ = s.User() })
	return user
}

const graceOfTests = 10 * time.Second

func TestAttackEndingMissedTheHeir(t *testing.T) {
	for name, end := range map[string]func(*session.Session) error{
		"Regenerate":        (*session.Session).Regenerate,
		"SignIn as another": func(s *session.Session) error { return s.SignIn("bob") },
		"Destroy":           (*session.Session).Destroy,
	} {
		m := attacked(t, session.Config{RenewGrace: graceOfTests})
		old := signInAs(t, m, "", "alice")
		var heir string
		serve(m, old, func(s *session.Session) {
			_, err := s.User() // loads it
			must(t, err)
			heir = renewed(t, m, old)
			must(t, end(s))
		})
		if user := userOf(m, heir); user != "" {
			t.Errorf("after %s in a request that a Renew overtook, the renewed session is still %q's", name, user)
		}
	}
}

func TestAttackFlashOfOneUserReachedAnother(t *testing.T) {
	m := attacked(t, session.Config{})
	cookie := signInAs(t, m, "", "alice")
	serve(m, cookie, func(s *session.Session) { must(t, s.Flash("info", "alice's test result")) })
	cookie = serve(m, cookie, func(s *session.Session) {
		must(t, s.Flash("info", "Welcome"))
		must(t, s.SignIn("bob"))
	})
	serve(m, cookie, func(s *session.Session) {
		if all, err := s.Flashes("info"); len(all) != 1 || all[0] != "Welcome" || err != nil {
			t.Errorf("bob sees %q, %v; want his own message only", all, err)
		}
	})
}

func TestAttackPanicLostTheCookieOfASavedRenewal(t *testing.T) {
	m := attacked(t, session.Config{})
	old := signInAs(t, m, "", "alice")
	var later *session.Session
	handler := m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		later = session.From(r.Context())
		must(t, later.Renew())
		must(t, later.Save())
		panic("a bug of the handler's")
	}))
	r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
	r.Header.Set("Cookie", old)
	w := httptest.NewRecorder()
	func() {
		defer func() {
			_ = recover()
			http.Error(w, "sorry", http.StatusInternalServerError)
		}()
		handler.ServeHTTP(w, r)
	}()
	cookie, _, _ := strings.Cut(w.Header().Get("Set-Cookie"), ";")
	if user := userOf(m, cookie); user != "alice" {
		t.Errorf("after the panic the visitor is %q; want alice, with the id that was saved", user)
	}
	if err := pills.Set(later, nil); !errors.Is(err, session.ErrRequestOver) {
		t.Errorf("Set after the panic = %v; want %v", err, session.ErrRequestOver)
	}
}

func TestAttackUpdateThatPanickedWasCommitted(t *testing.T) {
	m := attacked(t, session.Config{})
	cookie := begin(t, m)
	serve(m, cookie, func(s *session.Session) {
		runs := 0
		func() {
			defer func() { _ = recover() }()
			_, _ = pills.Update(s, func(list []int) []int {
				if runs++; runs == 1 {
					// Another request is faster, so this one runs again.
					serve(m, cookie, func(s *session.Session) {
						_, err := pills.Update(s, func([]int) []int { return []int{1} })
						must(t, err)
					})
					return []int{100}
				}
				panic("the second time")
			})
		}()
		if runs != 2 {
			t.Errorf("Update ran its function %d times; want 2", runs)
		}
	})
	checkPillsAre(t, m, cookie, []int{1})
}

func checkPillsAre(t *testing.T, m *session.Manager, cookie string, want []int) {
	t.Helper()
	serve(m, cookie, func(s *session.Session) {
		if got, err := pills.Get(s); fmt.Sprint(got) != fmt.Sprint(want) || err != nil {
			t.Errorf("pills = %v, %v; want %v", got, err, want)
		}
	})
}

// failingLoad is a store that can be told to fail to load.
type failingLoad struct {
	*memstore.Store
	err error
}

func (s *failingLoad) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	if s.err != nil {
		return session.Record{}, s.err
	}
	return s.Store.Load(ctx, id, slide)
}

func TestAttackSignOutWithoutLoadingMissedTheHeir(t *testing.T) {
	store := &failingLoad{Store: memstore.New(memstore.Options{})}
	m := attacked(t, session.Config{Store: store, RenewGrace: graceOfTests})
	old := signInAs(t, m, "", "alice")
	heir := renewed(t, m, old)
	var err error
	store.err = errors.New("down")
	serve(m, old, func(s *session.Session) { err = s.SignOut() })
	store.err = nil
	if user := userOf(m, heir); err == nil && user != "" {
		t.Errorf("SignOut = nil, and the renewed session is still %q's", user)
	}
}

func TestAttackSignOutMissedTheHeirOfAStray(t *testing.T) {
	m := attacked(t, session.Config{RenewGrace: graceOfTests})
	old, planted := signInAs(t, m, "", "alice"), signInAs(t, m, "", "mallory")
	heir := renewed(t, m, old)
	serve(m, old+"; "+planted, func(s *session.Session) { must(t, s.SignOut()) })
	for _, cookie := range []string{heir, planted} {
		if user := userOf(m, cookie); user != "" {
			t.Errorf("after SignOut with both cookies a session is still %q's", user)
		}
	}
}

func TestAttackRevokeUserEndedWhatWasSpared(t *testing.T) {
	m := attacked(t, session.Config{RenewGrace: graceOfTests})
	cookie := signInAs(t, m, "", "alice")
	var publicID string
	serve(m, cookie, func(s *session.Session) {
		var err error
		publicID, err = s.PublicID()
		must(t, err)
	})
	heir := renewed(t, m, cookie)
	_, err := m.RevokeUser(t.Context(), "alice", publicID)
	must(t, err)
	if user := userOf(m, heir); user != "alice" {
		t.Errorf("the session that was spared by its old public id is %q's; want alice's", user)
	}
}

func TestAttackRenewedSessionWasAmbiguousWithItself(t *testing.T) {
	m := attacked(t, session.Config{RenewGrace: graceOfTests})
	old := signInAs(t, m, "", "alice")
	heir := renewed(t, m, old)
	for _, cookies := range []string{old + "; " + heir, heir + "; " + old} {
		if user := userOf(m, cookies); user != "alice" {
			t.Errorf("with the old and the new cookie the visitor is %q; want alice", user)
		}
	}
}

func TestAttackFullSessionCouldNotBeRenewed(t *testing.T) {
	m := attacked(t, session.Config{RenewGrace: graceOfTests, MaxBytes: 2000})
	cookie := signInAs(t, m, "", "alice")
	const big session.Key[string] = "big"
	size := 1700
	for ; ; size += 10 {
		var err error
		serve(m, cookie, func(s *session.Session) {
			if err = big.Set(s, strings.Repeat("x", size)); err == nil {
				err = s.Save()
			}
		})
		if err != nil {
			break // it was as full as it gets before this
		}
	}
	if user := userOf(m, renewed(t, m, cookie)); user != "alice" {
		t.Errorf("a full session, renewed, is %q's; want alice's", user)
	}
}

func TestAttackManyPlantedCookiesStoredSessions(t *testing.T) {
	store := memstore.New(memstore.Options{})
	m := attacked(t, session.Config{Store: store})
	var cookies []string
	for range 5 {
		cookies = append(cookies, begin(t, m))
	}
	must(t, store.Clear(t.Context()))
	for range 3 {
		var err error
		serve(m, strings.Join(cookies, "; "), func(s *session.Session) {
			must(t, s.SignIn("alice"))
			err = s.Save()
		})
		if !errors.Is(err, session.ErrManyCookies) {
			t.Errorf("sign-in beside five planted cookies = %v; want %v", err, session.ErrManyCookies)
		}
	}
	if n, err := store.Count(t.Context()); n != 0 || err != nil {
		t.Errorf("%d sessions are stored, %v; want none, since none could be reached", n, err)
	}
}

func TestAttackClientsFilledTheLog(t *testing.T) {
	var log bytes.Buffer
	m := attacked(t, session.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, host := range []string{"localhost", "plain.example.com"} {
		for range 100 {
			r := httptest.NewRequest(http.MethodPost, "http://"+host+"/", nil)
			if host == "localhost" {
				r.Header.Set("Sec-Fetch-Site", "cross-site")
			}
			m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				must(t, pills.Set(session.From(r.Context()), nil))
			})).ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "TrustedProxies") {
		t.Errorf("200 requests that clients can repeat wrote %d lines; want the one that tells what to configure:\n%.300s", n, log.String())
	}
}

func TestAttackStoresPrintedWhatTheyHeld(t *testing.T) {
	store := memstore.New(memstore.Options{})
	signInAs(t, attacked(t, session.Config{Store: store}), "", "alice@example.com")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if strings.Contains(fmt.Sprintf(verb, store), "alice") {
			t.Errorf("%s of the store holds the user's name", verb)
		}
	}
}

// Not an attack, but as silent: what a handler does with the error of an Update or
// a Save need not reach the log, and then nobody learns what to configure.
func TestUpdateAndSaveThatFailAreLogged(t *testing.T) {
	for name, change := range map[string]func(s *session.Session) error{
		"Update": func(s *session.Session) error {
			_, err := pills.Update(s, func([]int) []int { return nil })
			return err
		},
		"Save": func(s *session.Session) error { return errors.Join(pills.Set(s, nil), s.Save()) },
	} {
		var log bytes.Buffer
		m := attacked(t, session.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		r := httptest.NewRequest(http.MethodPost, "http://plain.example.com/", nil)
		m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := change(session.From(r.Context())); !errors.Is(err, session.ErrInsecureRequest) {
				t.Errorf("%s over plain HTTP = %v; want %v", name, err, session.ErrInsecureRequest)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
		if !strings.Contains(log.String(), "TrustedProxies") {
			t.Errorf("the log of a failed %s says %q; want what to configure", name, log.String())
		}
	}
}

func TestSessionAfterItsRequest(t *testing.T) {
	m := attacked(t, session.Config{})
	cookie := begin(t, m)
	var late *session.Session
	serve(m, cookie, func(s *session.Session) { late = s })
	_, getErr := pills.Get(late)
	_, updateErr := pills.Update(late, func(list []int) []int { return list })
	for verb, err := range map[string]error{
		"Get": getErr, "Set": pills.Set(late, nil), "Update": updateErr, "Save": late.Save(), "SignIn": late.SignIn("ilmer"),
	} {
		if !errors.Is(err, session.ErrRequestOver) {
			t.Errorf("%s after the request = %v; want %v", verb, err, session.ErrRequestOver)
		}
	}
}
