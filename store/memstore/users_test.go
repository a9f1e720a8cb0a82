package memstore_test

import (
	"fmt"
	"slices"
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
