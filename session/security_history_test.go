package session_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

// A record of one operation on a session, with the moments at which it was asked
// for and acknowledged.
type operation struct {
	kind       string // "append", "read" or "destroy"
	value      int    // of an append
	list       []int  // as it was read, or stored by an append
	none       bool   // there was no session
	began, got int64
}

// linearizable returns an error unless there is an order of the operations that
// respects time, in which each append adds one number to the list, each read
// returns it, and after a destroy there is none.
//
// Every outcome tells its place: a list of n numbers is the n-th version, and
// none comes after all versions. So it is enough that all lists are prefixes of
// the longest, and that who began after somebody else was done saw no less.
func linearizable(ops []operation) error {
	var longest []int
	for _, op := range ops {
		if len(op.list) > len(longest) {
			longest = op.list
		}
	}
	const ended = 1 << 30
	version := func(op operation) int {
		if op.kind == "destroy" || op.none {
			return ended
		}
		return len(op.list)
	}
	seen := map[int]bool{}
	destroyed := int64(1 << 62) // when the first destroy began: before that nothing is none
	for _, op := range ops {
		if op.kind == "destroy" {
			destroyed = min(destroyed, op.began)
		}
		if !slices.Equal(op.list, longest[:len(op.list)]) {
			return fmt.Errorf("%+v does not begin like %v", op, longest)
		}
		if op.kind == "append" && !op.none {
			if op.list[len(op.list)-1] != op.value || seen[op.value] {
				return fmt.Errorf("%+v: its number is not the last, or is there twice", op)
			}
			seen[op.value] = true
		}
	}
	for _, a := range ops {
		if a.none && a.got < destroyed {
			return fmt.Errorf("%+v found nothing before anything was destroyed", a)
		}
		for _, b := range ops {
			if a.got < b.began && (version(a) > version(b) || b.kind == "append" && !b.none && version(a) == version(b)) {
				return fmt.Errorf("%+v was done before %+v began, which saw less", a, b)
			}
		}
	}
	return nil
}

// The checker finds what is wrong with histories that are.
func TestSecurityHistoryChecker(t *testing.T) {
	for name, ops := range map[string][]operation{
		"lost append":        {{kind: "append", value: 1, list: []int{1}, began: 1, got: 2}, {kind: "append", value: 2, list: []int{2}, began: 3, got: 4}},
		"stale read":         {{kind: "append", value: 1, list: []int{1}, began: 1, got: 2}, {kind: "read", began: 3, got: 4}},
		"read after destroy": {{kind: "destroy", began: 1, got: 2}, {kind: "read", began: 3, got: 4}},
		"append after destroy": {
			{kind: "destroy", began: 1, got: 2}, {kind: "append", value: 1, list: []int{1}, began: 3, got: 4},
		},
		"back to life":      {{kind: "destroy", began: 1, got: 5}, {kind: "read", none: true, began: 1, got: 2}, {kind: "read", began: 3, got: 4}},
		"gone too early":    {{kind: "read", none: true, began: 1, got: 2}, {kind: "destroy", began: 3, got: 4}},
		"one append, twice": {{kind: "append", value: 1, list: []int{1, 1}, began: 1, got: 2}, {kind: "append", value: 1, list: []int{1}, began: 1, got: 2}},
	} {
		if linearizable(ops) == nil {
			t.Errorf("a history with a %s is said to be in order", name)
		}
	}
}

// Parallel reads, writes and rotations of one session among which it is
// destroyed: the histories of each of its ids are linearizable.
func TestSecurityHistoriesAreLinearizable(t *testing.T) {
	list := session.Key[[]int]("list")
	histories := map[string]int{"ledger": 400, "memory": 400, "sqlite": 40}
	eachIndex(t, func(t *testing.T, store session.Store) {
		name := t.Name()[len("TestSecurityHistoriesAreLinearizable/"):]
		for round := range histories[name] {
			l := newLab(t, on(store), func(c *session.Config) { c.Logger, c.Observe = discardLogger, nil })
			v := l.visitor()
			v.post(func(s *session.Session) error { return list.Set(s, nil) })
			cookies := slices.Clone(v.cookies)
			var clock atomic.Int64
			var mu sync.Mutex
			var ops []operation
			// Each client knows the cookie from the start. Where one renews it,
			// the rest finds the id dead, as after a destroy.
			client := func(kinds ...string) {
				for i, kind := range kinds {
					op := operation{kind: kind, value: int(clock.Add(1)), began: clock.Add(1)}
					l.visitor(cookies...).do("POST", func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
						ok, err := list.Has(s)
						op.none = !ok
						switch {
						case kind == "destroy":
							err = s.Destroy()
							op.none = true
						case kind == "renew":
							_ = s.Renew()
							_ = s.Save()
							op.kind, op.none, err = "destroy", true, nil // this id is dead
						case !ok:
						case kind == "append":
							op.list, err = list.Update(s, func(l []int) []int { return append(l, op.value) })
						case kind == "read":
							op.list, err = list.Get(s)
						}
						if errors.Is(err, session.ErrEnded) {
							op.none, op.list, err = true, nil, nil
						}
						if err != nil {
							t.Errorf("%s %d: %v", kind, i, err)
						}
					})
					op.got = clock.Add(1)
					mu.Lock()
					ops = append(ops, op)
					mu.Unlock()
				}
			}
			var wg sync.WaitGroup
			wg.Go(func() { client("append", "read", "append", "read") })
			wg.Go(func() { client("read", "append", "read", "append") })
			wg.Go(func() { client("append", "append", "read", "read") })
			wg.Go(func() {
				client("read", []string{"destroy", "renew"}[round%2], "read", "append", "read")
			})
			wg.Wait()
			if err := linearizable(ops); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
	})
}
