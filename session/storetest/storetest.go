// Package storetest checks that a [session.Store] keeps its contract.
//
// A store's test file needs one call:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) session.Store {
//			store := mystore.New(…)
//			t.Cleanup(func() { store.Close() })
//			return store
//		})
//	}
//
// Every case carries the sentence of the contract that it enforces, and prints
// it when it fails. The cases for [session.UserIndex], [session.Lister],
// [session.Counter], [session.Clearer], [session.Pruner] and [session.Watcher]
// run if the store implements them.
//
// Some cases wait for records to die, with real lifetimes of about a tenth of
// a second, since a store behind a network cannot live on a fake clock. The
// cases run in parallel.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// Config says how to open a store and in what it differs from others. Open is
// required; the zero value of every other field suits most stores.
type Config struct {
	_ [0]func() // keyed literals only

	// Open opens a store that holds nothing and that no other call sees. It
	// is called once for each case, by several at the same time, and
	// registers with t.Cleanup what there is to release.
	Open func(t *testing.T) session.Store

	// Peer opens a second handle onto the records of s, as another process
	// would have it. The cases that race then do so across both handles.
	// Nil means that a store is not shared.
	Peer func(t *testing.T, s session.Store) session.Store

	// Reopen ends s without a farewell, as a crash would, as far as a test
	// can do that, and opens its records anew. Nil means that the store
	// does not outlive its process.
	Reopen func(t *testing.T, s session.Store) session.Store

	// Stall makes every method of s wait until release is called, for
	// example by holding a lock that they need. With it the suite checks
	// that a method gives up when its context does. Nil leaves that out.
	Stall func(t *testing.T, s session.Store) (release func())

	// Break makes the engine under s fail, for example by closing it. With
	// it the suite checks that a failure is not taken for an absent record.
	// Nil leaves that out.
	Break func(t *testing.T, s session.Store)

	// Granularity is the coarseness of the deadlines that the store keeps,
	// which it rounds up: time.Second for one that keeps whole seconds.
	// Zero means that it keeps milliseconds.
	Granularity time.Duration

	// MaxBytes is the most data that the store keeps in one record. Zero
	// means 1 MiB; the contract allows no less than 256 KiB.
	MaxBytes int

	// Lifetime is that of the records that a case watches dying. Zero means
	// 100 milliseconds. A store that is slow to answer needs no longer one:
	// where a record dies before it can be examined, the case makes another
	// that lives longer.
	Lifetime time.Duration
}

// Run checks the stores that open returns: see [Config.Open].
func Run(t *testing.T, open func(t *testing.T) session.Store) {
	t.Helper()
	RunConfig(t, Config{Open: open})
}

// RunConfig checks the stores that cfg describes. It returns before its
// parallel subtests are done, as [testing.T.Run] does.
func RunConfig(t *testing.T, cfg Config) {
	t.Helper()
	if cfg.MaxBytes != 0 && cfg.MaxBytes < 256<<10 {
		t.Errorf("MaxBytes = %d; a store keeps at least 256 KiB", cfg.MaxBytes)
	}
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, cfg)
			if c.needs != nil && !c.needs(s) {
				return // an optional power that this store does not claim
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := c.run(ctx, s); err != nil {
				t.Errorf("%v\ncontract: %s", err, c.why)
			}
		})
	}
}

func open(t *testing.T, cfg Config) *subject {
	s := &subject{Store: cfg.Open(t), Config: cfg}
	s.handles = []session.Store{s.Store}
	if cfg.Peer != nil {
		s.handles = append(s.handles, cfg.Peer(t, s.Store))
	}
	if cfg.Reopen != nil {
		s.reopen = func() { s.Store = cfg.Reopen(t, s.Store) }
	}
	if cfg.Stall != nil {
		s.stall = func() func() { return cfg.Stall(t, s.Store) }
	}
	if cfg.Break != nil {
		s.fail = func() { cfg.Break(t, s.Store) }
	}
	return s
}

// A testCase is one thing that a store must do. It is a function of the store
// alone, so that a test can see it fail without failing itself.
type testCase struct {
	name  string
	why   string // the sentence of the contract
	needs func(*subject) bool
	run   func(ctx context.Context, s *subject) error
}

func cases() []testCase {
	var all []testCase
	for _, group := range [][]testCase{
		loadCases, createCases, updateCases, touchCases, deleteCases,
		byteCases, raceCases, contextCases, failureCases,
		userCases, boundCases, replacesCases, powerCases, watchCases,
	} {
		all = append(all, group...)
	}
	return all
}
