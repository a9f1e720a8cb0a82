package dynamostore

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/prune"
	"github.com/pillboxgo/pillbox/store/internal/roster"
)

// Options configures a [Store]. The zero value of every field is safe.
type Options struct {
	_ [0]func() // keyed literals only

	// Table is the name of the table, or its ARN. Empty means "sessions", as
	// connect-dynamodb has it.
	Table string

	// HashKey is the name of the table's hash key, a string. Empty means
	// "id", as connect-dynamodb has it.
	HashKey string

	// Prefix comes before each session's id in the hash key. Empty means
	// "sess:", as connect-dynamodb has it. Applications that share a table
	// have a prefix each, none of them the beginning of another.
	Prefix string

	// NoPrefix leaves the prefix out, as connect-dynamodb does when its own
	// is the empty string. Prefix then does not count. Whatever else the table
	// holds is then taken for sessions: [Store.Prune] deletes what has an
	// attribute expires that has passed.
	NoPrefix bool

	// Remember is of how many sessions the store remembers the deadline, to
	// know whether loading one has to move it: see the package's
	// documentation on what a Load costs. The deadlines of sessions beyond
	// that drive others out. It costs 8 bytes each, and is rounded up to a
	// power of two. Zero means 65,536.
	//
	// Negative means none. A Load then reads first, and moving the deadline
	// is a second command.
	Remember int

	// PruneEvery is how often a goroutine of the store removes dead records,
	// until Close stops it, for a table without DynamoDB's own Time to Live.
	// Each time it reads the whole table, which has its price. Zero or
	// negative means never.
	PruneEvery time.Duration

	// Logger is told when that goroutine fails, and what [Store.Migrate]
	// could not do. Nil means [slog.Default].
	Logger *slog.Logger
}

const (
	defaultTable    = "sessions"
	defaultHashKey  = "id"
	defaultPrefix   = "sess:"
	defaultRemember = 1 << 16
)

// A Store keeps sessions in a DynamoDB table. Its methods may be called
// concurrently. Make one with [New].
//
// It returns [session.ErrNotFound] and the other answers of the contract
// wrapped, and other failures as the SDK reports them, so that [errors.As] finds
// a [smithy.APIError].
//
// [smithy.APIError]: https://pkg.go.dev/github.com/aws/smithy-go#APIError
type Store struct {
	client  *dynamodb.Client
	table   string
	hashKey string
	prefix  string
	log     *slog.Logger

	deadlines  *deadlines // nil remembers none
	returnsOld atomic.Bool
	users      *roster.Roster
	sweep      sweep
	pruner     *prune.Pruner
}

var (
	_ session.Store     = (*Store)(nil)
	_ session.UserIndex = (*Store)(nil)
	_ session.Lister    = (*Store)(nil)
	_ session.Counter   = (*Store)(nil)
	_ session.Clearer   = (*Store)(nil)
	_ session.Pruner    = (*Store)(nil)
	_ roster.Backend    = backend{}
)

// Format implements [fmt.Formatter]. It writes nothing of what is stored.
func (s *Store) Format(f fmt.State, _ rune) { fmt.Fprint(f, "dynamostore.Store{…}") }

// New returns a store on a table. It calls nothing: [Store.Ping] says whether
// the table can be used, and [Store.Migrate] creates it.
//
// The client stays the caller's, with its region, credentials, endpoint and
// retries; many stores may share one. Without a deadline in a method's context
// the client's own limits decide how long a call may take: by default there is
// none for a server that accepts a request and never answers.
//
// Call [Store.Close] when the store is no longer needed.
func New(client *dynamodb.Client, opts Options) *Store {
	s := &Store{
		client:  client,
		table:   or(opts.Table, defaultTable),
		hashKey: or(opts.HashKey, defaultHashKey),
		prefix:  or(opts.Prefix, defaultPrefix),
		log:     opts.Logger,
	}
	if opts.NoPrefix {
		s.prefix = ""
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if opts.Remember >= 0 {
		s.deadlines = newDeadlines(or(opts.Remember, defaultRemember))
	}
	s.users = roster.New(backend{s}, MaxBytes)
	every := opts.PruneEvery
	if every == 0 {
		every = -1
	}
	s.pruner = prune.Start(every, s.log, s.Prune)
	return s
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Close stops pruning. The client, which is the caller's, stays open, and the
// other methods go on working. Close may be called more than once, and returns
// nil.
func (s *Store) Close() error {
	s.pruner.Stop()
	return nil
}

// Ping reports whether the table can be read: with the error that it returns an
// operator can see what to do. It reads one item, which does not exist, so it
// needs no more permissions than the store itself does.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.get(ctx, s.prefix+"ping")
	return s.fail("ping", err)
}
