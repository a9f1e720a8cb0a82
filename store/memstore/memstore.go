// Package memstore keeps sessions in the memory of one process.
//
// It suits tests, development, and a service that runs as one process and can
// afford to sign everybody out when it restarts. Processes do not share it.
//
// A million small sessions take less than 150 bytes each. Records lie in large
// blocks without pointers, so that the garbage collector has next to nothing
// to look at. What is the same at the beginning of most records, as the cookie
// object is, is kept once.
//
// The store is bounded by [Options.MaxSessions] and [Options.MaxBytes]. Where
// a bound is exceeded, the records that have gone unused the longest end.
//
// The room of a dead record is given back within about a minute, in steps of a
// few microseconds, by a timer that runs only while there are records. A dead
// record is never seen, whether or not its room was given back.
package memstore

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/watch"
)

const (
	defaultMaxSessions = 1_000_000
	defaultMaxBytes    = 1 << 30
)

// Options configures a [Store]. The zero value of every field is safe.
type Options struct {
	_ [0]func() // keyed literals only

	// MaxSessions bounds how many records are kept. A Create that would
	// exceed it ends the record that has gone unused the longest: neither
	// loaded nor written. While Creates run there may be one more record
	// for each of them. Records that have died within the last minute may
	// count. Zero means 1,000,000; negative means no bound.
	MaxSessions int

	// MaxBytes bounds the memory of the records, ids and bookkeeping
	// included, fragmentation and the index of users not. It works as
	// MaxSessions does; a single record that exceeds it is refused. Zero
	// means 1 GiB; negative means no bound.
	MaxBytes int64

	// OnEvict is called with the number of live records that were ended
	// because a bound was exceeded, on the goroutine that exceeded it. It
	// may be called concurrently. Nil means that nobody wants to know.
	OnEvict func(n int)

	// Logger gets a warning when a bound is exceeded, at most one a minute,
	// with the number of records that were ended since the last. Nil means
	// [slog.Default].
	Logger *slog.Logger
}

// A Store keeps sessions in memory. It implements [session.Store] and every
// optional power: [session.UserIndex], [session.Lister], [session.Counter],
// [session.Clearer], [session.Pruner] and [session.Watcher]. It keeps records of any size that
// its bounds allow, and deadlines to the millisecond.
type Store struct {
	options Options
	seed    maphash.Seed
	opened  time.Time // what slot.used counts from
	closed  atomic.Bool

	count atomic.Int64  // records held, dead ones included
	bytes atomic.Int64  // their size: see slot.bytes
	seq   atomic.Uint64 // the last number given to an owned record

	// oldest has for each shard a moment, as slot.used, before which none
	// of its records was last used. See evict.
	oldest [shardCount]atomic.Int64
	shards [shardCount]shard
	users  [userShardCount]userShard

	sweeper  sweeper
	sweeping atomic.Bool  // the sweeper's timer runs
	accounts atomic.Int64 // users that are known
	evicted  evictions
	watchers watch.Hub
}

var (
	_ session.Store     = (*Store)(nil)
	_ session.UserIndex = (*Store)(nil)
	_ session.Lister    = (*Store)(nil)
	_ session.Counter   = (*Store)(nil)
	_ session.Clearer   = (*Store)(nil)
	_ session.Pruner    = (*Store)(nil)
	_ session.Watcher   = (*Store)(nil)
)

// Format implements [fmt.Formatter]. It writes nothing of what is stored.
func (s *Store) Format(f fmt.State, _ rune) { fmt.Fprint(f, "memstore.Store{…}") }

// New returns an empty store. It starts no goroutine: while there are records
// a timer runs, which ends with [Store.Close], when no record is left, or when
// the store is garbage.
func New(options Options) *Store {
	if options.MaxSessions == 0 {
		options.MaxSessions = defaultMaxSessions
	}
	if options.MaxBytes == 0 {
		options.MaxBytes = defaultMaxBytes
	}
	if options.Logger == nil {
		options.Logger = slog.Default()
	}
	s := &Store{options: options, seed: maphash.MakeSeed(), opened: time.Now()}
	for i := range s.shards {
		s.shards[i].store = s
		s.oldest[i].Store(math.MaxInt64)
	}
	for i := range s.users {
		s.users[i].accounts = make(map[string]*account)
	}
	return s
}

// Close ends all records and stops the timer. Methods return an error from
// then on. It returns nil; a second call does nothing.
func (s *Store) Close() error {
	if s.closed.CompareAndSwap(false, true) {
		s.sweeper.stop()
		s.reset()
	}
	return nil
}

var (
	errClosed   = errors.New("pillbox: memory store is closed")
	errDeadline = errors.New("pillbox: deadline is not in the future")
	errID       = errors.New("pillbox: id is not of 1 to 128 characters")
	errTooLarge = errors.New("pillbox: record is larger than the memory store")
	errLimit    = errors.New("pillbox: limit is below 1")
)

// paddedMutex keeps the locks of neighbouring shards on different cache lines.
type paddedMutex struct {
	sync.Mutex
	_ [56]byte
}
