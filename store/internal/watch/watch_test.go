package watch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/watch"
)

func TestHubTellsEveryListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h watch.Hub
		h.Tell("before anybody listens")
		ctx, cancel := context.WithCancel(t.Context())
		var heard [2][]string
		var ended [2]error
		var wg sync.WaitGroup
		for i := range heard {
			wg.Go(func() {
				ended[i] = h.Watch(ctx, func(digest string) { heard[i] = append(heard[i], digest) })
			})
		}
		synctest.Wait()
		h.Tell("a")
		synctest.Wait()
		h.Tell("b")
		h.TellDigest("")
		synctest.Wait()
		cancel()
		wg.Wait()
		h.Tell("after everybody has gone")
		for i := range heard {
			if a := session.Digest("a"); len(heard[i]) < 3 || heard[i][0] != "" || heard[i][1] != a || heard[i][len(heard[i])-1] != "" {
				t.Errorf("listener %d heard %q; want the empty string, %q and the empty string last", i, heard[i], a)
			}
			if !errors.Is(ended[i], context.Canceled) {
				t.Errorf("Watch() = %v; want the context's error", ended[i])
			}
		}
	})
}

// A listener that does not keep up costs a bounded amount of memory, misses
// nothing without being told, and holds up nobody.
func TestSlowListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h watch.Hub
		ctx, cancel := context.WithCancel(t.Context())
		release := make(chan struct{})
		var heard []string
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = h.Watch(ctx, func(digest string) {
				<-release
				heard = append(heard, digest)
			})
		})
		synctest.Wait()
		for range 10 {
			h.Tell("the same")
		}
		close(release)
		synctest.Wait()
		if want := []string{"", session.Digest("the same")}; !slices.Equal(heard, want) {
			t.Errorf("after ten changes of one record: heard %q; want %q", heard, want)
		}
		release, heard = make(chan struct{}), nil
		h.Tell("first")
		synctest.Wait()
		for i := range 100_000 {
			h.Tell(fmt.Sprint(i))
		}
		close(release)
		synctest.Wait()
		if n := len(heard); n > 2000 || !slices.Contains(heard, "") {
			t.Errorf("after 100,000 changes: heard %d digests, among them the empty one: %v; want at most 2000 and yes", n, slices.Contains(heard, ""))
		}
		cancel()
		wg.Wait()
	})
}
