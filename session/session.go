package session

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
)

// A Session is what the server keeps for one visitor, as one request sees it.
// [From] returns it; keys of type [Key] read and change it.
//
// Nothing is loaded until something is asked for. Changes are remembered and
// committed together before the first byte of the response leaves, in one
// compare-and-swap that is replayed if another request was faster; Save, and
// each Update of a key, commit at once.
//
// A Session belongs to its request, and may be used by several goroutines of
// it. Work that outlives the request opens the session again: [Manager.Open].
type Session struct {
	mu  sync.Mutex
	m   *Manager
	ctx context.Context // of the request, or of the call to Open

	r     *http.Request       // nil outside of a request
	w     http.ResponseWriter // nil outside of a request; gets the headers
	began time.Duration       // when the request came, since clock
	sent  bool                // headers have left: no cookie can be set any more
	taken bool                // the connection is being taken over: no header leaves
	peek  bool                // looking on: nothing is written that nobody asked for
	over  bool                // the request is over

	st *state // nil until the session is used
}

// clock is what Session.began counts from. Reading the monotonic clock alone
// takes half the time of time.Now, and every request does it.
var clock = time.Now()

// state is what a request knows of its session once it has used it.
type state struct {
	err error // of loading: then nothing can be read or changed

	id     string   // as in the cookie; empty where there is no session
	key    string   // what the store knows the id as
	rec    *record  // what the store had; nil where there is no session
	strays []string // keys of further live sessions that came along
	doomed []string // keys of what else came along, to be ended if the session is

	loadedAt time.Time

	changes  []change
	lifetime *time.Duration // SetMaxAge
	next     rotation

	loaded    bool
	crowd     bool  // more ids came along than are looked at
	standoffs uint8 // conflicts over a record that nobody had changed

	touch    bool // the row's deadline is to be moved
	rewrite  bool // the record is to be written though its data is the same
	readOnly bool // the id was renewed a moment ago
	ended    bool // by this request, or under it

	sendCookie  bool
	fresh       bool // the cookie to send has an id that the visitor lacks
	clearCookie bool

	// Room for what nearly every request needs, in one allocation.
	first   record
	reading callContext
	room    [1]string // for the ids in the request's cookies
	vary    [1]string // for the value of a header
	work    *workroom
}

// workroom has room for what nearly every request needs that changes something.
type workroom struct {
	change [1]change
	key    [1]string
	call   callContext
}

// A rotation is a change of the session's id that is still to be committed.
type rotation struct {
	on     bool
	drop   bool // begin empty
	signIn bool
	user   string
}

// contextKey is what a context knows the innermost Session by. A *Manager as
// key finds that manager's own.
type contextKey struct{}

// From returns the request's session. It touches no store and never returns
// nil: it panics in a request that did not come through [Manager.Handler],
// since that is a mistake in the program. With several managers around a
// handler it returns the innermost one's session; see [Manager.Session].
func From(ctx context.Context) *Session {
	s, ok := ctx.Value(contextKey{}).(*Session)
	if !ok {
		panic("pillbox: session.From was called in a request that did not pass through Manager.Handler: " +
			"wrap the mux, as in http.ListenAndServe(addr, sessions.Handler(mux))")
	}
	return s
}

// Format implements [fmt.Formatter]. It writes nothing about the session.
func (s *Session) Format(f fmt.State, _ rune) { fmt.Fprint(f, "session.Session{…}") }

// use makes sure that there is a state.
func (s *Session) use() *state {
	if s.st == nil {
		s.st = &state{}
	}
	return s.st
}

// workroom makes sure that there is room for a change.
func (st *state) workroom() *workroom {
	if st.work == nil {
		st.work = new(workroom)
	}
	return st.work
}

// base returns what is stored and what the next commit begins with.
func (st *state) base() object {
	if st.rec == nil || st.next.drop {
		return object{}
	}
	return st.rec.object
}

// read returns the current value of a key as JSON, changes of this request
// included.
func (s *Session) read(key string) (value []byte, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkKey(key); err != nil {
		return nil, false, err
	}
	if err := s.load(); err != nil {
		return nil, false, err
	}
	if s.st.ended {
		return nil, false, s.ended("read")
	}
	value, ok = s.st.lookup(key)
	return value, ok, nil
}

// lookup returns the current value of a key.
func (st *state) lookup(key string) (value []byte, ok bool) {
	for i := range st.changes {
		if st.changes[i].key == key {
			return st.changes[i].value, st.changes[i].value != nil
		}
	}
	return st.base().find(key)
}

// write remembers a value for a key; nil removes the key.
func (s *Session) write(key string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkKey(key); err != nil {
		return err
	}
	if err := s.changeable("change"); err != nil {
		return err
	}
	s.st.set(key, value)
	return nil
}

// changeable returns nil if the session may be changed, as far as is known
// without loading it.
func (s *Session) changeable(verb string) error {
	st := s.use()
	switch {
	case s.over:
		return fmt.Errorf("pillbox: %s session: %w", verb, ErrRequestOver)
	case st.ended:
		return s.ended(verb)
	case st.readOnly:
		return fmt.Errorf("pillbox: %s session: %w", verb, ErrReadOnly)
	}
	return nil
}

// transform runs a function on a key's value and commits at once. It is all or
// nothing: what failed to be stored is not tried again with the response.
func (s *Session) transform(key string, f func(old []byte) ([]byte, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := checkKey(key); err != nil {
		return err
	}
	if err := s.load(); err != nil {
		return err
	}
	if err := s.changeable("change"); err != nil {
		return err
	}
	st := s.st
	before := slices.Clone(st.changes)
	done := false
	defer func() {
		if !done { // f may have panicked, too
			st.changes = before
		}
	}()
	err := st.apply(key, f)
	if err == nil {
		if err = s.commit(); err != nil {
			s.report(st.key, err)
		}
	}
	done = err == nil
	return err
}

// ended returns the error for using a session that has ended.
func (s *Session) ended(verb string) error {
	return fmt.Errorf("pillbox: %s session: %w", verb, ErrEnded)
}

func checkKey(key string) error {
	if key == "" || isReserved(key) || !utf8.ValidString(key) {
		return fmt.Errorf("pillbox: key %q: %w: choose another name", key, ErrReservedKey)
	}
	return nil
}

// Keys returns the names of the session's keys, changes of this request
// included, in the order in which they are stored.
func (s *Session) Keys() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return nil, err
	}
	if s.st.ended {
		return nil, s.ended("read")
	}
	var keys []string
	for _, f := range s.st.merge(nil) {
		if key := f.key(); !isReserved(key) && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// ID returns the session's id, or "" if the visitor has none yet. It is the
// secret that makes the cookie: it belongs into no log, page or URL. See
// [Session.PublicID]. A new id is known once it is committed, at the latest
// with the response.
func (s *Session) ID() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return "", err
	}
	return s.st.id, nil
}

// PublicID returns the name by which the session is listed and revoked, or ""
// if the visitor has none yet. It tells who lacks the server's secrets nothing
// about the id. It changes with the id, and when the first of Config.Secrets does.
func (s *Session) PublicID() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return "", err
	}
	return s.m.publicIDs.encode(s.st.key), nil
}

// Info returns what the server knows of the session beside its data. Its zero
// value means that the visitor has none.
func (s *Session) Info() (Info, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return Info{}, err
	}
	if s.st.rec == nil || s.st.ended {
		return Info{}, nil
	}
	return s.m.info(s.st.key, s.st.rec), nil
}

// User returns the signed-in user, or "" for nobody.
func (s *Session) User() (string, error) {
	user, _, err := s.signedIn()
	return user, err
}

// SignedInAt returns when the user signed in, or the zero time for nobody.
func (s *Session) SignedInAt() (time.Time, error) {
	_, at, err := s.signedIn()
	return at, err
}

// RequireFresh returns nil if the user signed in no longer than maxAge ago,
// [ErrStale] if it was longer, and [ErrSignedOut] for nobody: what a handler
// asks before it changes a password or an address (OWASP ASVS 5.0 §7.5.1).
func (s *Session) RequireFresh(maxAge time.Duration) error {
	user, at, err := s.signedIn()
	switch {
	case err != nil:
		return err
	case user == "":
		return fmt.Errorf("pillbox: require fresh sign-in: %w", ErrSignedOut)
	case time.Since(at) > maxAge:
		return fmt.Errorf("pillbox: require fresh sign-in: %w", ErrStale)
	}
	return nil
}

func (s *Session) signedIn() (user string, at time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return "", time.Time{}, err
	}
	st := s.st
	switch {
	case st.ended:
		return "", time.Time{}, nil
	case st.next.signIn:
		return st.next.user, time.Now(), nil
	case st.rec == nil || st.next.drop:
		return "", time.Time{}, nil
	}
	return st.rec.meta.user, st.rec.meta.signedIn, nil
}
