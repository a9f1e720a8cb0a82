// Package lab carries out well-known attacks on sessions against the running
// server itself, over TCP, so that people can watch what becomes of them. Each
// attack uses throwaway sessions and accounts, which are ended and deleted
// afterwards. Whether an attack was refused is judged by what the server was
// seen to do, so a server with a hole is shown to have one.
package lab

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// An Outcome says what became of an attack.
type Outcome struct {
	Refused bool   `json:"refused"` // by all that was seen
	Why     string `json:"why"`     // one or two sentences for people
	Steps   []Step `json:"steps"`   // what was done, in this order
}

// A Step is one request of an attack and what came back. It is told in words:
// it holds no id, cookie or password.
type Step struct {
	Who     string `json:"who"`     // "attacker" or "visitor"
	Did     string `json:"did"`     // a sentence, without its subject
	Request string `json:"request"` // "POST /login"
	Cookie  string `json:"cookie"`  // which cookie went along
	Status  int    `json:"status"`  // of the answer
	Answer  string `json:"answer"`  // what the answer had
}

// Header marks the requests of a [Lab]; see [Lab.Sent]. Whoever runs attacks on
// request refuses a request that has it, or attacks could set off attacks.
const Header = "Pillbox-Lab"

// ErrUnknown says that there is no attack of this name.
var ErrUnknown = errors.New("pillbox: lab: unknown attack")

// A BusyError says that there were too many attacks of late, or that the server
// itself has answered so.
type BusyError struct {
	After time.Duration // when to try again, from now
}

// Error says so in one line.
func (e *BusyError) Error() string { return "pillbox: lab: too many attacks" }

// An IncompleteError says that an attack could not be carried out to its end, so
// that nothing is known of its outcome.
type IncompleteError struct {
	Reason string // a sentence for people
}

// Error returns the reason in one line.
func (e *IncompleteError) Error() string { return "pillbox: lab: attack incomplete: " + e.Reason }

const (
	perSecond = 2  // attacks, in the long run
	burst     = 10 // attacks at once
	parallel  = 4  // the others wait

	// The sum of these stays below the minute that a response may take.
	waitTime    = 5 * time.Second
	attackTime  = 20 * time.Second
	cleanupTime = 10 * time.Second
)

// Config configures a [Lab]. All fields are required but Logger.
type Config struct {
	_ [0]func() // keyed literals only

	// CookieName is the name of the server's session cookie.
	CookieName string

	// EndSession ends the session that a Cookie header ("name=value") stands
	// for; nil where it stands for none. It must be safe for concurrent use.
	EndSession func(ctx context.Context, cookie string) error

	// DeleteUser deletes an account and ends its sessions; nil where there is
	// no such account. It must be safe for concurrent use.
	DeleteUser func(ctx context.Context, username string) error

	// Logger is told what could not be cleaned up. Nil means [slog.Default].
	Logger *slog.Logger
}

// A Lab carries out attacks. Make one with [New]; it is safe for concurrent use.
type Lab struct {
	config  Config
	limiter *rate.Limiter
	slots   chan struct{}
	limit   time.Duration // for one attack
	token   string        // what its requests have in their header
}

// New returns a Lab, which does nothing until it is told to.
func New(config Config) *Lab {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	return &Lab{
		config:  config,
		limiter: rate.NewLimiter(perSecond, burst),
		slots:   make(chan struct{}, parallel),
		limit:   attackTime,
		token:   rand.Text(),
	}
}

// Sent reports whether this Lab sent a request. Nobody else can send one that it
// takes for its own: what it marks them with is told to the server alone, over a
// connection to the machine's own address. So a server need not count the
// sign-ups of its lab as those of a visitor at that address.
func (l *Lab) Sent(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get(Header)), []byte(l.token)) == 1
}

var attacks = map[string]func(*run) (why string, err error){
	"fixation": (*run).fixation,
	"tampered": (*run).tampered,
	"replayed": (*run).replayed,
}

// Knows reports whether there is an attack of this name.
func Knows(attack string) bool { return attacks[attack] != nil }

// Run carries out an attack on the server at this address, which has to be the
// one that the Lab's sessions and accounts are of. No other address is connected
// to. Its error is [ErrUnknown], a [*BusyError] or an [*IncompleteError].
//
// Once begun, a request is not cut off when ctx ends, because the cookie in its
// answer is needed to clean up. No other request follows then.
func (l *Lab) Run(ctx context.Context, attack string, server *net.TCPAddr) (Outcome, error) {
	carryOut := attacks[attack]
	if carryOut == nil {
		return Outcome{}, ErrUnknown
	}
	if err := l.admit(ctx); err != nil {
		return Outcome{}, err
	}
	defer func() { <-l.slots }()

	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.limit)
	defer cancel()
	r := newRun(detached, ctx, l.config.CookieName, l.token, server)
	defer l.cleanUp(r)
	why, err := carryOut(r)
	if err != nil {
		return Outcome{}, err
	}
	if len(r.holes) > 0 {
		why = "The attack succeeded: " + strings.Join(slices.Compact(r.holes), "; ") + "."
	}
	return Outcome{Refused: len(r.holes) == 0, Why: why, Steps: r.steps}, nil
}

// admit takes one of the slots, or returns a BusyError.
func (l *Lab) admit(ctx context.Context) error {
	turn := l.limiter.Reserve()
	if after := turn.Delay(); after > 0 {
		turn.Cancel()
		return &BusyError{after}
	}
	ctx, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	select {
	case l.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &BusyError{waitTime}
	}
}

// cleanUp ends and deletes what the attack has made, whatever has become of it.
func (l *Lab) cleanUp(r *run) {
	r.close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), cleanupTime)
	defer cancel()
	var errs []error
	for _, value := range r.issued {
		if err := l.config.EndSession(ctx, l.config.CookieName+"="+value); err != nil {
			errs = append(errs, fmt.Errorf("end a session: %w", err))
		}
	}
	for _, name := range r.users {
		if err := l.config.DeleteUser(ctx, name); err != nil {
			errs = append(errs, fmt.Errorf("delete an account: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		l.config.Logger.ErrorContext(ctx, "pillbox: lab: clean up", "error", err)
	}
}
