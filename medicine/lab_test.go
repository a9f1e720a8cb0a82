package medicine_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pillboxgo/pillbox/medicine/lab"
	"github.com/pillboxgo/pillbox/session"
)

// attackSteps are the attacks and how many steps each takes.
var attackSteps = map[string]int{"fixation": 9, "tampered": 7, "replayed": 5}

// outcome decodes the answer to an attack.
func (r reply) outcome(t *testing.T, what string) lab.Outcome {
	t.Helper()
	var body struct {
		Data lab.Outcome `json:"data"`
	}
	if err := strictJSON(r.body, &body); r.status != http.StatusOK || err != nil {
		t.Fatalf("%s = %d %s, %v; want 200 and an outcome", what, r.status, head(r.body), err)
	}
	return body.Data
}

// Every attack is refused by the server as it is, leaves nothing behind, tells no
// secret and has nothing to do with the session of whoever watches.
func TestAttacksAreRefused(t *testing.T) {
	for store := range labStores {
		for attack, steps := range attackSteps {
			t.Run(store+"/"+attack, func(t *testing.T) {
				t.Parallel()
				s := serveLab(t, store)
				v := s.visitor(t)
				v.do("POST", "/register", `{"username":"ilmer","password":"correct horse battery"}`, "Content-Type", "application/json")
				v.add(`{"name":"mine"}`)
				cookie := v.cookie
				before := v.do("GET", "/me", "").body
				for range 2 {
					r := v.do("POST", "/lab/"+attack, "")
					o := r.outcome(t, "POST /lab/"+attack)
					if !o.Refused || o.Why == "" || len(o.Steps) != steps {
						t.Errorf("%s: refused %v (%s) in %d steps; want true in %d: %+v", attack, o.Refused, o.Why, len(o.Steps), steps, o.Steps)
					}
					for i, step := range o.Steps {
						if (step.Who != "attacker" && step.Who != "visitor") || step.Did == "" || step.Request == "" || step.Cookie == "" || step.Status < 200 || step.Answer == "" {
							t.Errorf("step %d of %s is %+v; want all of it told", i, attack, step)
						}
					}
					s.wantNoSecret(t, "the answer", r.body)
					if set := r.header["Set-Cookie"]; set != nil || v.cookie != cookie {
						t.Errorf("%s sets a cookie for whoever watches", attack)
					}
					s.wantLeft(t, 1, 1)
				}
				s.wantNoSecret(t, "the log", s.log.String())
				v.do("GET", "/pills", "").want(t, "GET /pills after it", 200, `{"data":[{"name":"mine"}]}`)
				v.do("GET", "/me", "").want(t, "GET /me after it", 200, before)
			})
		}
	}
}

// A forged cookie costs no store call, and is told to whoever observes sessions.
func TestForgedCookiesOfTheLab(t *testing.T) {
	s := serveLab(t, "memory")
	s.visitor(t).do("POST", "/lab/tampered", "").outcome(t, "POST /lab/tampered")
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.events[session.EventForged.String()]; got != 4 {
		t.Errorf("EventForged was emitted %d times; want 4: %v", got, s.events)
	}
	if !slices.Equal(s.forged, []int64{0, 0, 0, 0}) {
		t.Errorf("requests with forged cookies cost %d store calls each; want four times none", s.forged)
	}
}

// Whichever call of the store fails, the attack leaves nothing behind, or the log
// says that it has.
func TestAttacksThatFailHalfWay(t *testing.T) {
	for attack := range attackSteps {
		t.Run(attack, func(t *testing.T) {
			t.Parallel()
			broken := 0
			for at := int64(1); ; at++ {
				s := serveLab(t, "memory")
				s.store.failWith(func(string) error {
					if s.store.calls.Load() == at {
						return errors.New("unplugged")
					}
					return nil
				})
				r := s.visitor(t).do("POST", "/lab/"+attack, "")
				switch {
				case r.status == http.StatusServiceUnavailable:
					r.wantError(t, "POST /lab/"+attack, http.StatusServiceUnavailable, "attack_incomplete")
					broken++
					s.wantLeft(t, 0, 0)
				case !r.outcome(t, "POST /lab/"+attack).Refused:
					t.Errorf("%s succeeds when call %d of the store fails", attack, at)
				}
				if !strings.Contains(s.log.String(), "lab: clean up") {
					s.wantLeft(t, 0, 0)
				}
				if calls := s.store.calls.Load(); calls < at {
					break // each call has failed once
				}
			}
			if broken < 3 {
				t.Errorf("%d failures broke the attack off; want at least 3", broken)
			}
		})
	}
}

// An account whose making was not acknowledged is deleted too.
func TestAccountThatWasNotAcknowledged(t *testing.T) {
	s := serveLab(t, "memory")
	s.users.fail = errors.New("connection lost")
	s.visitor(t).do("POST", "/lab/fixation", "").wantError(t, "POST /lab/fixation", http.StatusServiceUnavailable, "attack_incomplete")
	s.wantLeft(t, 0, 0)
}

// Nor is a session left whose cookie the lab never saw.
func TestAnswerThatIsLost(t *testing.T) {
	for _, attack := range []struct{ name, path string }{{"fixation", "/register"}, {"replayed", "/logout"}} {
		s := serveLab(t, "sqlite")
		s.lose = attack.path
		s.visitor(t).do("POST", "/lab/"+attack.name, "").wantError(t, "POST /lab/"+attack.name, http.StatusServiceUnavailable, "attack_incomplete")
		s.wantLeft(t, 0, 0)
	}
}

func TestLabRefusals(t *testing.T) {
	s := serveLab(t, "memory")
	v := s.visitor(t)
	for _, test := range []struct {
		method, path string
		headers      []string
		status       int
		code         string
		allow        string
	}{
		{"POST", "/lab/nonsense", nil, 404, "no_such_attack", ""},
		{"GET", "/lab/nonsense", nil, 404, "no_such_attack", ""},
		{"POST", "/lab/Fixation", nil, 404, "no_such_attack", ""},
		{"POST", "/lab/%2e%2e%2fpills", nil, 404, "no_such_attack", ""},
		{"GET", "/lab/tampered", nil, 405, "method_not_allowed", "POST"},
		{"GET", "/lab/tampered", []string{"Accept", "text/html"}, 405, "method_not_allowed", "POST"},
		{"DELETE", "/lab/tampered", nil, 405, "method_not_allowed", "POST"},
		{"POST", "/lab/frame", nil, 405, "method_not_allowed", "GET, HEAD"},
		{"POST", "/lab/frame.js", nil, 405, "method_not_allowed", "GET, HEAD"},
		{"POST", "/lab/tampered", []string{"Sec-Fetch-Site", "cross-site"}, 403, "cross_origin", ""},
		{"POST", "/lab/tampered", []string{"Origin", foreignOrigin}, 403, "cross_origin", ""},
		{"POST", "/lab/tampered", []string{"Origin", "null", "Sec-Fetch-Site", "cross-site"}, 403, "cross_origin", ""},
		{"POST", "/lab/tampered", []string{lab.Header, "1"}, 508, "loop", ""},
	} {
		what := test.method + " " + test.path + fmt.Sprint(test.headers)
		r := v.do(test.method, test.path, "", test.headers...)
		r.wantError(t, what, test.status, test.code)
		if allow := r.header.Get("Allow"); allow != test.allow {
			t.Errorf("%s: Allow = %q; want %q", what, allow, test.allow)
		}
	}
	if n := s.store.calls.Load(); n != 0 {
		t.Errorf("refusing all of that costs %d store calls; want none", n)
	}
}

// The lab connects to the address that the server knows it was reached at, and
// to nothing that the request names.
func TestLabConnectsToItselfOnly(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the lab sends %s %s to a host that the request has named", r.Method, r.URL)
	}))
	defer other.Close()
	s := serveLab(t, "memory")
	host := strings.TrimPrefix(other.URL, "http://")
	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/lab/tampered", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Server", "X-Real-IP", "X-Forwarded-For"} {
		req.Header.Set(name, host)
	}
	req.Header.Set("Forwarded", "host="+host)
	if o := s.visitor(t).send(req).outcome(t, "POST /lab/tampered for another host"); !o.Refused {
		t.Errorf("tampered succeeds: %s", o.Why)
	}
}

// Where the lab cannot reach the server as it does, it says so.
func TestLabWithoutAPlainAddress(t *testing.T) {
	s := serveLab(t, "memory")
	w := httptest.NewRecorder()
	s.Config.Handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/lab/tampered", nil))
	reply{w.Code, w.Header(), w.Body.String()}.wantError(t, "POST /lab/tampered without a listener", http.StatusNotImplemented, "lab_unavailable")

	encrypted := httptest.NewTLSServer(s.Config.Handler)
	defer encrypted.Close()
	v := &visitor{t: t, server: &server{encrypted, s.store}}
	v.do("POST", "/lab/tampered", "").wantError(t, "POST /lab/tampered over TLS", http.StatusNotImplemented, "lab_unavailable")
}

// The sign-ups of the lab are not those of whoever is at the machine's own
// address, of which there may be twenty at once.
func TestLabSignUpsAreNotCounted(t *testing.T) {
	s := serveLab(t, "memory")
	s.visitor(t).do("POST", "/lab/fixation", "").outcome(t, "POST /lab/fixation")
	signUp := func(i int, mark string) int {
		body := fmt.Sprintf(`{"username":"visitor%d","password":"correct horse battery"}`, i)
		return s.visitor(t).do("POST", "/register", body, "Content-Type", "application/json", lab.Header, mark).status
	}
	for i := range 21 {
		if got := signUp(i, s.mark); got != http.StatusCreated {
			t.Fatalf("sign-up %d of the lab is answered with %d; want 201", i, got)
		}
	}
	got := http.StatusCreated
	for i := 21; i < 60 && got == http.StatusCreated; i++ {
		got = signUp(i, "1")
	}
	if got != http.StatusTooManyRequests {
		t.Errorf("sign-ups that only claim to be the lab's are answered with %d in the end; want 429", got)
	}
}

// Many at once are told to come back, and those that run do not disturb each other.
func TestManyAttacksAtOnce(t *testing.T) {
	s := serveLab(t, "sqlite")
	var mu sync.Mutex
	ran, later := 0, 0
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			r := s.visitor(t).do("POST", "/lab/replayed", "")
			mu.Lock()
			defer mu.Unlock()
			switch r.status {
			case http.StatusTooManyRequests:
				later++
				r.wantError(t, "one attack too many", http.StatusTooManyRequests, "too_many_attempts")
				if after := r.header.Get("Retry-After"); after == "" || after == "0" {
					t.Errorf("Retry-After = %q; want seconds", after)
				}
			default:
				ran++
				if o := r.outcome(t, "POST /lab/replayed"); !o.Refused {
					t.Errorf("replayed succeeds: %s", o.Why)
				}
			}
		})
	}
	wg.Wait()
	if ran < 4 || later < 1 {
		t.Errorf("%d attacks ran and %d are to come back; want at least 4 and 1", ran, later)
	}
	s.wantLeft(t, 0, 0)
}

// Only the frame may be framed, and it is sandboxed wherever it is opened.
func TestFrame(t *testing.T) {
	s := serveLab(t, "memory")
	v := s.visitor(t)
	for _, test := range []struct {
		path, contentType string
		policy            []string
	}{
		{"/lab/frame", "text/html; charset=utf-8", []string{"default-src 'none'", "frame-ancestors 'self'", "sandbox allow-scripts", "form-action 'none'", "base-uri 'none'"}},
		{"/lab/frame.js", "text/javascript; charset=utf-8", []string{"default-src 'none'", "frame-ancestors 'none'"}},
		{"/lab", "text/html; charset=utf-8", []string{"frame-ancestors 'none'"}},
		{"/", "text/html; charset=utf-8", []string{"frame-ancestors 'none'"}},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			r := v.do(method, test.path, "", "Accept", "text/html", "Sec-Fetch-Site", "cross-site")
			if ct := r.header.Get("Content-Type"); r.status != 200 || ct != test.contentType || (method == "GET") != (r.body != "") {
				t.Errorf("%s %s = %d %s with %d bytes; want 200 %s", method, test.path, r.status, ct, len(r.body), test.contentType)
			}
			policy := strings.Split(r.header.Get("Content-Security-Policy"), "; ")
			for _, want := range test.policy {
				if !slices.Contains(policy, want) {
					t.Errorf("%s %s has the policy %q; want %s in it", method, test.path, policy, want)
				}
			}
			if r.header.Get("X-Content-Type-Options") != "nosniff" || r.header["Set-Cookie"] != nil {
				t.Errorf("%s %s: want nosniff and no cookie: %v", method, test.path, r.header)
			}
		}
	}
	if n := s.store.calls.Load(); n != 0 {
		t.Errorf("loading the frame costs %d store calls; want none", n)
	}
}
