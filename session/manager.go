package session

import (
	"context"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// A Manager gives requests their sessions. Make one with [New]; it is safe for
// concurrent use, and has nothing to close.
type Manager struct {
	config    *Config // with its defaults filled in; behind a pointer, where fmt does not look
	store     Store
	signer    *signer
	sealer    *sealer // nil: data is stored in the clear
	publicIDs *publicIDCodec
	proxies   []netip.Prefix

	idle        time.Duration   // of a session without a lifetime of its own
	always      bool            // requests that do not use their session have work too
	cookies     map[bool][]byte // as new sessions have them stored, begun encrypted or not
	plainCookie []byte          // that of nearly every session
	plainStart  []byte          // and how its record begins

	subscribing sync.Mutex // held while subscribers is replaced
	subscribers atomic.Pointer[[]*func(Event)]

	insecure throttle     // of the log line about ErrInsecureRequest
	damaged  once         // what EventDamaged was emitted for
	seed     maphash.Seed // of the hashes in damaged

	lines     *lines     // of requests that contend for a session
	deadlines *deadlines // of calls of the store
}

// New returns a Manager for the configuration, or an error that joins a
// [*ConfigError] for every field that is wrong. It does not use the store.
func New(config Config) (*Manager, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Manager{
		config:    &config,
		store:     config.Store,
		signer:    newSigner(config.Secrets),
		idle:      config.idle(),
		always:    config.Resave || config.SaveUninitialized || config.Rolling,
		lines:     newLines(),
		deadlines: new(deadlines),
		seed:      maphash.MakeSeed(),
	}
	if m.sealer, err = newSealer(config.EncryptionKeys); err != nil {
		return nil, err
	}
	if m.publicIDs, err = newPublicIDCodec(config.Secrets); err != nil {
		return nil, err
	}
	for _, proxy := range config.TrustedProxies {
		network, err := parseNetwork(proxy)
		if err != nil {
			return nil, err
		}
		m.proxies = append(m.proxies, network)
	}
	m.cookies = map[bool][]byte{false: m.newCookie(false), true: m.newCookie(true)}
	m.plainCookie = m.cookies[config.Cookie.Secure == SecureAuto]
	m.plainStart = fmt.Appendf(nil, `{"%s":%s`, cookieKey, m.plainCookie)
	return m, nil
}

// Format implements [fmt.Formatter]. It writes nothing of the configuration.
func (m *Manager) Format(f fmt.State, _ rune) { fmt.Fprint(f, "session.Manager{…}") }

// An exchange is one request and its response on their way through a Handler.
// It is the request's context as well, which saves allocations.
type exchange struct {
	context.Context
	session Session
	writer  responseWriter
}

// A passage is all that a request needs on its way, in one allocation. The
// request is no part of its own context, which gets into log lines: there the
// header would show the cookie.
type passage struct {
	exchange exchange
	request  http.Request
}

// Format implements [fmt.Formatter]: a request's context gets into log lines.
func (x *exchange) Format(f fmt.State, _ rune) { fmt.Fprint(f, "session.exchange{…}") }

// Value finds the exchange's session.
func (x *exchange) Value(key any) any {
	switch key := key.(type) {
	case contextKey:
		return &x.session
	case *Manager:
		if key == x.session.m {
			return &x.session
		}
	}
	return x.Context.Value(key)
}

// Handler returns a handler that gives each request its session and then calls
// next. The session is committed before the first byte of the response leaves;
// where that fails, Config.ErrorHandler answers in the place of next.
//
// The writer that next gets supports [http.ResponseController], flushing,
// hijacking and sendfile as far as the server's own does. Informational
// responses (1xx) pass through and commit nothing.
func (m *Manager) Handler(next http.Handler) http.Handler { return &handler{m, next} }

// A handler gives the requests to next their sessions.
type handler struct {
	m    *Manager
	next http.Handler
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Context().Value(h.m) != nil {
		h.next.ServeHTTP(w, r) // wrapped twice: the outer one does the work
		return
	}
	p := new(passage)
	x := &p.exchange
	x.Context = r.Context()
	s := &x.session
	s.m, s.ctx, s.r, s.w = h.m, x.Context, r, w
	s.began = time.Since(clock)
	x.writer = responseWriter{ResponseWriter: w, session: s}
	p.request = *r.WithContext(x) // which the compiler copies to here, without an allocation
	defer x.writer.panicked()
	h.next.ServeHTTP(&x.writer, &p.request)
	x.writer.finish()
}

// Session returns the request's session under this manager, or nil if the
// request did not pass through its Handler. Most programs have one manager and
// call [From].
func (m *Manager) Session(ctx context.Context) *Session {
	s, _ := ctx.Value(m).(*Session)
	return s
}

// key returns what the store knows an id as.
func (m *Manager) key(id string) string {
	if m.config.HashIDs {
		return hashID(id)
	}
	return id
}

// newID returns an id for a new session.
func (m *Manager) newID(r *http.Request) (string, error) {
	if m.config.GenerateID == nil {
		return newID(randomReader)
	}
	id, err := m.config.GenerateID(r)
	if err != nil {
		return "", fmt.Errorf("pillbox: generate session id: %w", err)
	}
	if !validID(id) || len(id) < minIDLen {
		return "", fmt.Errorf("pillbox: generate session id: Config.GenerateID returned %d characters that are "+
			"not %d to %d of A-Z a-z 0-9 - _ . ~ : + = @", len(id), minIDLen, maxIDLen)
	}
	return id, nil
}

// window returns the idle timeout of a session with this lifetime of its own.
func (m *Manager) window(maxAge time.Duration) time.Duration {
	switch {
	case maxAge <= 0:
		return m.idle
	case m.config.IdleTimeout > 0:
		return min(maxAge, m.config.IdleTimeout)
	}
	return maxAge
}

// slide returns what loading a session is to do to its deadline.
func (m *Manager) slide(now time.Time) Slide {
	to := (now.UnixNano() + int64(m.idle)) / int64(time.Millisecond) // by numbers: every request does this
	return Slide{To: time.UnixMilli(to), Before: time.UnixMilli(to).Add(-m.config.TouchEvery)}
}

// noLimit is when a session ends that has no absolute limit.
var noLimit = time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)

// limit returns when the session ends whatever its use.
func (m *Manager) limit(t meta) time.Time {
	if m.config.AbsoluteTimeout == 0 {
		return noLimit
	}
	return t.created.Add(m.config.AbsoluteTimeout)
}

// deadline returns when a session that is used now ends.
func (m *Manager) deadline(t meta, maxAge time.Duration, now time.Time) time.Time {
	return earlier(now.Add(m.window(maxAge)), m.limit(t)).Truncate(time.Millisecond)
}

// expires returns when the cookie of a session that is used now expires in the
// browser; zero means when it closes.
func (m *Manager) expires(t meta, maxAge time.Duration, now time.Time) time.Time {
	if maxAge <= 0 {
		return time.Time{}
	}
	return earlier(now.Add(maxAge), m.limit(t))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// fetch loads the session under key into rec. It returns [ErrNotFound] for one that is
// over, whatever the store thinks, and [ErrDamaged] for what is none.
func (m *Manager) fetch(ctx context.Context, rec *record, key string, now time.Time, slide Slide) error {
	stored, err := m.store.Load(ctx, key, slide)
	if err != nil {
		return err
	}
	if err := m.decode(rec, key, stored); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if rec.meta.created.IsZero() {
		// An Express application made it: its age counts from when it was
		// last saved, or from now.
		rec.meta.created = now
		if expires := storedExpires(rec.cookie); rec.maxAge > 0 && !expires.IsZero() {
			rec.meta.created = earlier(expires.Add(-rec.maxAge), now)
		}
		rec.stamped = m.config.AbsoluteTimeout > 0
	}
	switch {
	case rec.maxAge < 0, !now.Before(rec.deadline), !rec.meta.moved.IsZero() && !now.Before(rec.meta.moved):
		return ErrNotFound
	case !now.Before(m.limit(rec.meta)):
		m.emit(ctx, key, Event{Kind: EventExpired, User: rec.meta.user})
		// It is over whether or not the store can be told.
		_ = m.store.Delete(ctx, key, rec.raw)
		return ErrNotFound
	}
	return nil
}
