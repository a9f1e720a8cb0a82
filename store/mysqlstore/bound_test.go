package mysqlstore_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// The row that a user's sign-ins lock is not there at first, goes again when the
// first of them is refused, and is pruned at any time. The bound holds all the same.
func TestBoundOfNewUsers(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		cfg, opts := config(t, servers.Shared(t, k), ""), mysqlstore.Options{Table: tableName()}
		stores := []*mysqlstore.Store{migrated(t, cfg, opts), migrated(t, cfg, opts)}
		const users, racers = 150, 6
		var pruning sync.WaitGroup
		done := make(chan struct{})
		pruning.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := stores[0].Prune(t.Context(), 10); err != nil {
					t.Error(err)
				}
			}
		})
		for n := range users {
			user := fmt.Sprint("user", n)
			var signedIn atomic.Int32
			var all sync.WaitGroup
			for i := range racers {
				all.Go(func() {
					owner := session.Owner{User: user, AsOf: time.Now().Add(time.Hour), Max: 1, Reject: true}
					if i == 0 {
						owner.AsOf = time.Time{} // refused if there ever was a revocation
					}
					err := stores[i%2].Create(t.Context(), fmt.Sprint(user, "-", i), session.Record{
						Data: []byte("a"), Deadline: in(time.Hour), Owner: owner,
					})
					switch {
					case err == nil:
						signedIn.Add(1)
					case !errors.Is(err, session.ErrTooManySessions):
						t.Error(err)
					}
				})
			}
			all.Wait()
			ids, err := stores[0].UserIDs(t.Context(), user)
			if signedIn.Load() != 1 || len(ids) != 1 || err != nil {
				t.Errorf("of %d sign-ins at once with a bound of 1, %d succeeded and %d are live, %v; want 1", racers, signedIn.Load(), len(ids), err)
			}
		}
		close(done)
		pruning.Wait()
	})
}
