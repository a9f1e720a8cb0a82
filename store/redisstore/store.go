package redisstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/prune"
	"github.com/pillboxgo/pillbox/store/internal/roster"
)

// Options configures a [Store]. The zero value of every field is safe.
type Options struct {
	_ [0]func() // keyed literals only

	// Prefix is what the key of each session begins with, before its id.
	// Empty means "sess:", which is connect-redis's default. No prefix may
	// begin with that of another store on the same server.
	Prefix string

	// NoPrefix makes the id alone the key, as an empty prefix does for
	// connect-redis. Then every string in the database is taken for a
	// session, and [Store.Clear] removes them all: keep nothing else in it.
	NoPrefix bool

	// PruneEvery is how often a goroutine of the store drops what the index
	// by user still lists of sessions that are gone, until Close stops it.
	// Of the processes that share the sessions one does so at a time. Zero
	// means every hour; negative means never, for an application that calls
	// [Store.PruneIndex] itself, or has no signed-in users.
	PruneEvery time.Duration

	// Watch makes each change known to those who call [Store.Watch], in
	// every process. It costs a PUBLISH for each change, so it is off unless
	// asked for. Processes that share sessions should agree on it: changes
	// of one where it is off are not told.
	Watch bool

	// WaitReplicas is how many replicas have to have a change before Create,
	// Update, Delete and RevokeUser return. Zero or less means that they do
	// not wait; a failover may then lose what was acknowledged just before
	// it. It needs a rueidis client.
	WaitReplicas int

	// WaitTimeout is how long they wait for that. When it is up they return
	// an error that wraps [ErrUnconfirmed], and the change may stay or go.
	// Zero or less means one second. Rounded up to a millisecond.
	WaitTimeout time.Duration

	// Logger is told of what nobody else hears of: that pruning fails, and
	// what Ping finds that is no failure. Nil means [slog.Default].
	Logger *slog.Logger
}

const (
	defaultPrefix = "sess:" // connect-redis has the same
	defaultPrune  = time.Hour
	defaultWait   = time.Second

	// maxRoster bounds what lists the sessions of a user: about 100,000.
	maxRoster = 4 << 20
)

// ErrUnconfirmed means that a change was made, but fewer replicas than asked for
// had it in time. A failover now may lose it.
var ErrUnconfirmed = errors.New("the change was made, but too few replicas have confirmed it")

// A Store keeps sessions in Redis. Its methods may be called concurrently, and
// by any number of processes with a store of the same prefix. Make one with [New]
// or [NewFrom].
//
// It returns [session.ErrNotFound] and the other answers of the contract
// wrapped, what Redis refuses as a [*ServerError], and failures of the
// connection as the client reports them.
type Store struct {
	engine engine
	prefix string
	index  string // the prefix of the index by user
	lease  string // the key that makes one process prune
	// channel is where changes are published; empty if they are not.
	channel  string
	replicas int
	wait     time.Duration
	log      *slog.Logger

	noIfEq  atomic.Bool // the server does not know SET … IFEQ
	users   *roster.Roster
	pruner  *prune.Pruner
	pages   sync.Mutex // guards listing
	listing []*window  // of List calls that will go on
}

var (
	_ session.Store     = (*Store)(nil)
	_ session.UserIndex = (*Store)(nil)
	_ session.Lister    = (*Store)(nil)
	_ session.Counter   = (*Store)(nil)
	_ session.Clearer   = (*Store)(nil)
	_ session.Watcher   = (*Store)(nil)
)

// Format implements [fmt.Formatter]. It writes nothing of what is stored, and no
// password.
func (s *Store) Format(f fmt.State, _ rune) { fmt.Fprint(f, "redisstore.Store{…}") }

// New returns a store on a rueidis client for one server, a Cluster or
// Sentinel. It does not connect; [Store.Ping] tells whether all is well. The
// client stays the caller's, who closes it after the store. It may be shared
// with the rest of the application.
func New(client rueidis.Client, opts Options) *Store {
	return open(native{client: client, batch: newBatcher(client)}, opts)
}

// NewFrom is [New] for any other client.
func NewFrom(client Commander, opts Options) *Store {
	return open(foreign{client: client, alone: new(atomic.Bool)}, opts)
}

func open(e engine, opts Options) *Store {
	s := &Store{engine: e, prefix: opts.Prefix, replicas: opts.WaitReplicas, wait: opts.WaitTimeout, log: opts.Logger}
	switch {
	case opts.NoPrefix:
		s.prefix = ""
	case s.prefix == "":
		s.prefix = defaultPrefix
	}
	// What connect-redis finds below its prefix it takes for sessions, so
	// that the store's own keys begin otherwise. Only an empty prefix leaves
	// no such place.
	own := "pillbox:"
	if strings.HasPrefix(own+s.prefix, s.prefix) {
		own = "of-pillbox:"
	}
	s.index = own + "user:" + s.prefix + ":"
	s.lease = own + "pruner:" + s.prefix
	if opts.Watch {
		s.channel = "pillbox:changes:" + s.prefix
	}
	if s.wait <= 0 {
		s.wait = defaultWait
	}
	s.wait = max(s.wait, time.Millisecond)
	if s.log == nil {
		s.log = slog.Default()
	}
	s.users = roster.New(index{s}, maxRoster)
	every := opts.PruneEvery
	if every == 0 {
		every = defaultPrune
	}
	s.pruner = prune.Start(every, s.log, func(ctx context.Context, _ int) (int, error) {
		return 0, s.pruneInTurn(ctx, every)
	})
	return s
}

// Close stops pruning. It leaves the client open, and always returns nil. Closing
// a closed store does nothing.
func (s *Store) Close() error {
	s.pruner.Stop()
	return nil
}

// do runs a command that changes nothing, or nothing that matters.
func (s *Store) do(ctx context.Context, cmd command) (reply, error) {
	return do(ctx, s.engine, cmd)
}

// write runs a command that changes something, and waits for the replicas if it
// is to.
func (s *Store) write(ctx context.Context, cmd command) (reply, error) {
	if s.replicas <= 0 {
		return do(ctx, s.engine, cmd)
	}
	return within(ctx, func() (reply, error) {
		r, acked, err := s.engine.confirm(ctx, cmd, s.replicas, s.wait)
		if err == nil && acked < int64(s.replicas) {
			err = fmt.Errorf("%w: %d of %d within %v", ErrUnconfirmed, acked, s.replicas, s.wait)
		}
		return r, err
	})
}

// key returns the key of the record under id.
func (s *Store) key(id string) string { return s.prefix + id }

// told returns a script's arguments with what is published of a change, if
// anybody is to hear of it.
func (s *Store) told(id string, args ...string) []string {
	if s.channel == "" {
		return args
	}
	return append(args, s.channel, session.Digest(id))
}
