package memstore_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// A record that is about to be replaced neither counts nor ends, wherever it
// is in the order of age.
func TestReplaces(t *testing.T) {
	for _, c := range []struct {
		have     []string // oldest first
		replaces string
		max      int
		want     []string
	}{
		{[]string{"a"}, "a", 1, []string{"a", "new"}},
		{[]string{"a", "b", "c"}, "b", 2, []string{"b", "c", "new"}},
		{[]string{"a", "b", "c"}, "b", 1, []string{"b", "new"}},
		{[]string{"a", "b", "c"}, "c", 3, []string{"a", "b", "c", "new"}},
		{[]string{"a", "b", "c"}, "unknown", 3, []string{"b", "c", "new"}},
		{[]string{"a", "b", "c"}, "bob's", 3, []string{"b", "c", "new"}},
		{[]string{"a", "b", "c"}, "", 0, []string{"a", "b", "c", "new"}},
	} {
		t.Run(fmt.Sprintf("%q of %q within %d", c.replaces, c.have, c.max), func(t *testing.T) {
			s := memstore.New(memstore.Options{})
			defer s.Close()
			create := func(id, user, replaces string, max int) {
				t.Helper()
				err := s.Create(t.Context(), id, session.Record{
					Data: small("a"), Deadline: time.Now().Add(time.Hour),
					Owner: session.Owner{User: user, AsOf: time.Now(), Max: max, Replaces: replaces},
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			create("bob's", "bob", "", 0)
			for _, id := range c.have {
				create(id, "alice", "", 0)
			}
			create("new", "alice", c.replaces, c.max)
			if ids, err := s.UserIDs(t.Context(), "alice"); !slices.Equal(ids, c.want) || err != nil {
				t.Errorf("UserIDs = %q, %v; want %q", ids, err, c.want)
			}
			if n := s.Entries(); n != len(c.want)+1 {
				t.Errorf("there are %d entries; want %d", n, len(c.want)+1)
			}
		})
	}
}

// A record that is deleted while another one replaces it counts neither before
// nor after, and not in between either: with room for both, nothing ends.
func TestReplacedIsDeletedMeanwhile(t *testing.T) {
	const bound, rounds = 1000, 200 // the more records, the longer it takes to count
	s := memstore.New(memstore.Options{})
	defer s.Close()
	create := func(i int, replaces string) {
		err := s.Create(t.Context(), fmt.Sprint("id", i), session.Record{
			Data: small("a"), Deadline: time.Now().Add(time.Hour),
			Owner: session.Owner{User: "alice", AsOf: time.Now(), Max: bound, Replaces: replaces},
		})
		if err != nil {
			t.Error(err)
		}
	}
	for i := range bound {
		create(i, "")
	}
	for i := range rounds {
		old := fmt.Sprint("id", 1+i) // the oldest but one, which is to stay
		var begun atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			begun.Store(true)
			create(bound+i, old)
		})
		for !begun.Load() {
			runtime.Gosched()
		}
		for range rand.N(20_000) {
			begun.Load() // take some time
		}
		if err := s.Delete(t.Context(), old, nil); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if n, err := s.Count(t.Context()); n != bound || err != nil {
			t.Fatalf("round %d: Count = %d, %v; want %d", i, n, err, bound)
		}
	}
}
