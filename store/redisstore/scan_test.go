package redisstore_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/store/internal/contract"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// fill stores n sessions as connect-redis would.
func fill(t testing.TB, client rueidis.Client, prefix string, n int) {
	t.Helper()
	for from := 0; from < n; from += 1000 {
		var cmds rueidis.Commands
		for i := from; i < min(n, from+1000); i++ {
			cmds = append(cmds, client.B().Set().Key(fmt.Sprint(prefix, i)).Value("{}").Ex(time.Hour).Build())
		}
		for _, r := range client.DoMulti(t.Context(), cmds...) {
			if err := r.Error(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A listing that needs more than one pass over the keys, while Redis makes its
// tables larger and smaller, which is when SCAN returns keys twice: each session
// that lives through it is returned exactly once, by whichever process.
func TestListIsExactWhileTablesShrink(t *testing.T) {
	const stay, leave = 40_000, 60_000 // more than one pass finds at a time
	for _, kind := range []servers.Kind{servers.Redis7, servers.RedisCluster} {
		t.Run(string(kind), func(t *testing.T) {
			server := servers.Start(t, kind)
			client := connect(t, direct(server))
			prefix, other := "list:", "list:gone:"
			fill(t, client, prefix, stay)
			fill(t, client, other, leave)
			processes := []*redisstore.Store{
				openOn(t, client, redisstore.Options{Prefix: prefix}),
				openOn(t, client, redisstore.Options{Prefix: prefix}),
			}
			removed := make(chan error, 1)
			go func() {
				for i := range leave {
					if err := client.Do(t.Context(), client.B().Unlink().Key(fmt.Sprint(other, i)).Build()).Error(); err != nil {
						removed <- err
						return
					}
				}
				removed <- nil
			}()
			times := make([]int, stay)
			cursor, calls, begun := "", 0, time.Now()
			for {
				// The page after the first pass's last is asked of another
				// process, once.
				s := processes[min(1, calls/5)]
				ids, next, err := s.List(t.Context(), cursor, 5000)
				if err != nil {
					t.Fatal(err)
				}
				calls++
				for _, id := range ids {
					var i int
					if n, _ := fmt.Sscanf(id, "%d", &i); n == 1 {
						times[i]++
					}
				}
				if cursor = next; cursor == "" {
					break
				}
			}
			if err := <-removed; err != nil {
				t.Fatal(err)
			}
			wrong := 0
			for _, n := range times {
				if n != 1 {
					wrong++
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d sessions that stayed were not returned exactly once", wrong, stay)
			}
			t.Logf("%d calls in %v", calls, time.Since(begun))
			if n, err := processes[0].Count(t.Context()); n != stay || err != nil {
				t.Errorf("Count() = %d, %v; want %d", n, err, stay)
			}
		})
	}
}

func TestListCursors(t *testing.T) {
	client := connect(t, direct(servers.Shared(t, servers.Redis7)))
	prefix := newPrefix()
	fill(t, client, prefix, 20)
	s := openOn(t, client, redisstore.Options{Prefix: prefix})
	for _, cursor := range []string{"x", "0", "00ff", fmt.Sprintf("%064d", 0) + "0", fmt.Sprintf("%063dg", 0)} {
		if _, _, err := s.List(t.Context(), cursor, 10); !errors.Is(err, contract.ErrCursor) {
			t.Errorf("List(%q) = %v; want %v", cursor, err, contract.ErrCursor)
		}
	}
	// A cursor may be used again, and by a store that has not seen it.
	_, cursor, err := s.List(t.Context(), "", 7)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := s.List(t.Context(), cursor, 7)
	if err != nil || len(want) != 7 {
		t.Fatalf("List = %q, %v; want seven ids", want, err)
	}
	for _, s := range []*redisstore.Store{s, openOn(t, client, redisstore.Options{Prefix: prefix})} {
		if got, _, err := s.List(t.Context(), cursor, 7); !slices.Equal(got, want) || err != nil {
			t.Errorf("List with a cursor that was used = %q, %v; want %q", got, err, want)
		}
	}
}

// Of several processes one prunes, and what it drops is what is gone.
func TestIndexIsPruned(t *testing.T) {
	for _, kind := range []servers.Kind{servers.Redis7, servers.RedisCluster} {
		t.Run(string(kind), func(t *testing.T) {
			server, prefix := servers.Shared(t, kind), newPrefix()
			client := connect(t, direct(server))
			ctx := t.Context()
			var all []*redisstore.Store
			for range 3 {
				all = append(all, openOn(t, client, redisstore.Options{Prefix: prefix, PruneEvery: 100 * time.Millisecond}))
			}
			s := all[0]
			for i := range 10 {
				for _, what := range []string{"dies", "lives"} {
					if err := s.Create(ctx, fmt.Sprint(what, i), owned("{}", fmt.Sprint(what, i))); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := s.Create(ctx, "revoked", owned("{}", "mallory")); err != nil {
				t.Fatal(err)
			}
			revokedAt := time.Now()
			if _, err := s.RevokeUser(ctx, "mallory", revokedAt); err != nil {
				t.Fatal(err)
			}
			for i := range 10 {
				if err := s.Delete(ctx, fmt.Sprint("dies", i), nil); err != nil {
					t.Fatal(err)
				}
			}
			index := func() int { return len(below(t, client, server, "pillbox:user:"+prefix)) }
			until(t, "the index lists ten users and one revocation", func() bool { return index() == 11 })
			for i := range 10 {
				if ids, err := s.UserIDs(ctx, fmt.Sprint("lives", i)); len(ids) != 1 || err != nil {
					t.Errorf("UserIDs after pruning = %q, %v; want one", ids, err)
				}
			}
			rec := owned("{}", "mallory")
			rec.Owner.AsOf = revokedAt
			if err := s.Create(ctx, "late", rec); err == nil {
				t.Error("a sign-in from before the revocation succeeds after pruning")
			}
			for _, s := range all {
				s.Close()
				s.Close()
			}
			if err := s.Delete(ctx, "lives0", nil); err != nil {
				t.Fatal(err)
			}
			if err := s.PruneIndex(ctx); err != nil || index() != 10 {
				t.Errorf("PruneIndex = %v and leaves %d entries; want 10", err, index())
			}
		})
	}
}
