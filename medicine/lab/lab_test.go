package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/medicine/lab"
)

// A record of what a lab was asked to clean up.
type record struct {
	mu      sync.Mutex
	cookies []string
	users   []string
	log     bytes.Buffer
}

func (r *record) lab(fail error) *lab.Lab {
	return lab.New(lab.Config{
		CookieName: cookieName,
		EndSession: func(ctx context.Context, cookie string) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.cookies = append(r.cookies, cookie)
			return errors.Join(ctx.Err(), fail)
		},
		DeleteUser: func(ctx context.Context, username string) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.users = append(r.users, username)
			return errors.Join(ctx.Err(), fail)
		},
		Logger: slog.New(slog.NewTextHandler(&r.log, nil)),
	})
}

func serve(t *testing.T, h http.Handler) *net.TCPAddr {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr)
}

// A lab that finds every attack refused proves nothing: each flaw has to be seen
// by the attack that is made for it, and the same server without one by none.
func TestFlawsAreSeen(t *testing.T) {
	for _, test := range []struct {
		flaw   flaw
		attack string
		why    string // among the reasons
	}{
		{none, "fixation", ""},
		{none, "tampered", ""},
		{none, "replayed", ""},
		{keepsID, "fixation", "the id stayed the same when the visitor signed up"},
		{keepsID, "fixation", "the planted cookie still opens a session"},
		{keepsID, "fixation", "the server takes the attacker for the visitor"},
		{oldIDLives, "fixation", "the planted cookie still opens a session"},
		{adoptsUnsigned, "fixation", "an id that the attacker made up became the visitor's"},
		{adoptsSigned, "fixation", "a cookie that the attacker made up opens the visitor's session"},
		{acceptsUnsigned, "tampered", "the signature cut off"},
		{ignoresSignature, "tampered", "the signature changed in one character"},
		{ignoresSignature, "tampered", "the signature of the attacker's"},
		{anySignature, "tampered", "the signature of the attacker's"},
		{lenient, "tampered", "the signature changed in one character"},
		{prefixOfID, "tampered", "the id changed in one character"},
		{clearsDamaged, "tampered", "replaced the visitor's own"},
		{replacesDamaged, "tampered", "replaced the visitor's own"},
		{logoutAtBrowser, "replayed", "the cookie of an ended session opens a session"},
		{writeRevives, "replayed", "what the ended session held came back"},
		{reusesEnded, "replayed", "the ended id was handed out again"},
	} {
		t.Run(test.attack+"/"+string(test.flaw), func(t *testing.T) {
			var r record
			n := newNaive(test.flaw)
			o, err := r.lab(nil).Run(t.Context(), test.attack, serve(t, n))
			if err != nil {
				t.Fatalf("Run(%s) = %v", test.attack, err)
			}
			if refused := test.flaw == none; o.Refused != refused || !strings.Contains(o.Why, test.why) {
				t.Errorf("where %s, %s is refused: %v (%s); want %v with %q", test.flaw, test.attack, o.Refused, o.Why, refused, test.why)
			}
			r.wantAll(t, n, o)
		})
	}
}

// wantAll checks that everything that the server made was to be cleaned up, and
// that none of it is in the outcome.
func (r *record) wantAll(t *testing.T, n *naive, o lab.Outcome) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range n.issued {
		if !slices.Contains(r.cookies, cookieName+"="+value) {
			t.Errorf("a session of the %d was not ended", len(n.issued))
		}
		id, _, _ := strings.Cut(strings.TrimPrefix(value, "s%3A"), ".")
		if strings.Contains(string(text), id) || strings.Contains(r.log.String(), id) {
			t.Errorf("an id is told: %s\n%s", text, &r.log)
		}
	}
	if !slices.Equal(r.users, n.users) {
		t.Errorf("the accounts %q were deleted; want %q", r.users, n.users)
	}
}

// What a server says that does not do what the attack builds on is no outcome.
func TestAttackThatCannotBeCarriedOut(t *testing.T) {
	// after makes the server answer like this from its nth request on.
	after := func(n int, h http.HandlerFunc) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			var requests atomic.Int64
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) > int64(n) {
					h(w, r)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for _, test := range []struct {
		name   string
		attack string
		server func(http.Handler) http.Handler
		reason string
	}{
		{"store down", "tampered", after(0, status(503)), "The server answered POST /pills with 503."},
		{"store down half-way", "tampered", after(3, status(503)), "The server answered GET /pills with 503."},
		{"store down after signing up", "fixation", after(2, status(500)), "The server answered POST /pills with 500."},
		{"no accounts", "fixation", after(1, status(404)), "The server answered POST /register with 404, not with 201."},
		{"no signing out", "replayed", after(1, status(405)), "The server answered POST /logout with 405, not with 200."},
		{"no sessions", "replayed", after(0, status(200)), "The server began no session with a first pill."},
		{"redirects", "replayed", after(0, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://192.0.2.7/", http.StatusTemporaryRedirect)
		}), "The server began no session with a first pill."},
		{"hangs up", "tampered", after(2, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), "The server did not answer GET /pills."},
		{"half an answer", "tampered", after(2, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("half"))
		}), "The answer to GET /pills did not arrive whole."},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r record
			n := newNaive(none)
			o, err := r.lab(nil).Run(t.Context(), test.attack, serve(t, test.server(n)))
			var incomplete *lab.IncompleteError
			if !errors.As(err, &incomplete) || incomplete.Reason != test.reason {
				t.Fatalf("Run(%s) = %+v, %v; want an IncompleteError: %s", test.attack, o, err, test.reason)
			}
			n.users = r.users // whether or not it was made
			r.wantAll(t, n, o)
		})
	}
}

// A server that counts sign-ups lets no more attacks through than sign-ups.
func TestServerAsksForAPause(t *testing.T) {
	for _, test := range []struct {
		header string
		want   time.Duration
	}{{"37", 37 * time.Second}, {"", 5 * time.Second}, {"soon", 5 * time.Second}, {"-1", 5 * time.Second}, {"999999999", 5 * time.Second}} {
		var r record
		n := newNaive(none)
		_, err := r.lab(nil).Run(t.Context(), "fixation", serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Path == "/register" {
				w.Header().Set("Retry-After", test.header)
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			n.ServeHTTP(w, req)
		})))
		var busy *lab.BusyError
		if !errors.As(err, &busy) || busy.After != test.want {
			t.Errorf("Run where the server answers 429 with Retry-After: %s = %#v; want a BusyError of %v", test.header, err, test.want)
		}
		if len(n.issued) != 1 || len(r.cookies) != 1 {
			t.Errorf("of %d sessions %d were ended; want 1 and 1", len(n.issued), len(r.cookies))
		}
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var r record
	var incomplete *lab.IncompleteError
	if _, err := r.lab(nil).Run(t.Context(), "tampered", l.Addr().(*net.TCPAddr)); !errors.As(err, &incomplete) {
		t.Errorf("Run where nobody listens = %v; want an IncompleteError", err)
	}
}

// A server that hangs does not hold the lab for ever.
func TestServerHangs(t *testing.T) {
	n := newNaive(none)
	done := make(chan struct{})
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/logout" {
			<-done
		}
		n.ServeHTTP(w, r)
	}))
	defer close(done)
	var r record
	l := r.lab(nil)
	l.Limit(time.Second)
	var incomplete *lab.IncompleteError
	if _, err := l.Run(t.Context(), "replayed", addr); !errors.As(err, &incomplete) {
		t.Errorf("Run = %v; want an IncompleteError", err)
	}
	if len(r.cookies) != 1 || r.log.Len() > 0 {
		t.Errorf("%d sessions were ended, and the log has %q; want 1 and nothing", len(r.cookies), &r.log)
	}
}

// Whoever leaves in the middle leaves nothing behind.
func TestLeavingHalfWay(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	n := newNaive(none)
	requests := 0
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests++; r.URL.Path == "/register" {
			leave()
		}
		n.ServeHTTP(w, r)
	}))
	var r record
	o, err := r.lab(nil).Run(ctx, "fixation", addr)
	var incomplete *lab.IncompleteError
	if !errors.As(err, &incomplete) || requests != 2 {
		t.Errorf("after %d requests, Run = %v; want an IncompleteError after 2", requests, err)
	}
	r.wantAll(t, n, o)
	if len(n.issued) != 2 || len(n.users) != 1 || r.log.Len() > 0 {
		t.Errorf("the server has set %d cookies and made %d accounts, and the log has %s; want 2, 1 and nothing", len(n.issued), len(n.users), &r.log)
	}
}

func TestFailedCleanupIsLogged(t *testing.T) {
	var r record
	n := newNaive(none)
	o, err := r.lab(errors.New("store down")).Run(t.Context(), "fixation", serve(t, n))
	if err != nil || !o.Refused {
		t.Errorf("Run = %+v, %v; want it refused", o, err)
	}
	r.wantAll(t, n, o)
	for _, want := range []string{"end a session: store down", "delete an account: store down"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log has %s; want %q", &r.log, want)
		}
	}
}

// A lab knows its own requests, and nobody else's.
func TestSent(t *testing.T) {
	var r record
	l := r.lab(nil)
	n := newNaive(none)
	requests, own, others := 0, 0, 0
	_, err := l.Run(t.Context(), "replayed", serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		requests++
		if l.Sent(req) {
			own++
		}
		if r.lab(nil).Sent(req) {
			others++
		}
		n.ServeHTTP(w, req)
	})))
	if err != nil || requests == 0 || own != requests || others != 0 {
		t.Errorf("of %d requests (%v) the lab has sent %d and another one %d; want all and none", requests, err, own, others)
	}
	for _, value := range []string{"", "1", " "} {
		req := httptest.NewRequest("POST", "/register", nil)
		req.Header.Set(lab.Header, value)
		if l.Sent(req) {
			t.Errorf("a request with %s: %q counts as the lab's own", lab.Header, value)
		}
	}
}

func TestUnknownAttack(t *testing.T) {
	var r record
	for _, name := range []string{"", "Fixation", "forgery", "../pills"} {
		if _, err := r.lab(nil).Run(t.Context(), name, nil); !errors.Is(err, lab.ErrUnknown) || lab.Knows(name) {
			t.Errorf("Run(%q) = %v, Knows %v; want ErrUnknown and false", name, err, lab.Knows(name))
		}
	}
}

// Of many attacks at once a few run, at most four at a time; the others are told
// when to come back.
func TestManyAtOnce(t *testing.T) {
	var mu sync.Mutex
	running, most := 0, 0
	n := newNaive(none)
	addr := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		running++
		most = max(most, running)
		mu.Unlock()
		time.Sleep(2 * time.Millisecond) // in which others may come
		n.ServeHTTP(w, r)
		mu.Lock()
		running--
		mu.Unlock()
	}))
	var r record
	l := r.lab(nil)
	var ran, busy int
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			o, err := l.Run(t.Context(), "tampered", addr)
			mu.Lock()
			defer mu.Unlock()
			var b *lab.BusyError
			switch {
			case err == nil && o.Refused:
				ran++
			case errors.As(err, &b) && b.After > 0:
				busy++
			default:
				t.Errorf("Run = %+v, %v", o, err)
			}
		})
	}
	wg.Wait()
	// Each second lets two more in.
	if ran < 10 || busy < 10 || most > 4 {
		t.Errorf("%d attacks ran, %d were refused, and the server had %d requests at a time; want at least 10 and 10, and at most 4", ran, busy, most)
	}
	r.wantAll(t, n, lab.Outcome{})
}
