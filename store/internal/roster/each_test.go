package roster_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/store/internal/roster"
)

// An error keeps none of the others from being done, and never more than are
// allowed are under way.
func TestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ids []string
		for i := range 100 {
			ids = append(ids, fmt.Sprint(i))
		}
		broken := errors.New("broken")
		var done, now, most atomic.Int64
		err := roster.Each(ids, 7, func(id string) error {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(time.Second)
			now.Add(-1)
			done.Add(1)
			if id == "50" || id == "3" {
				return broken
			}
			return nil
		})
		if !errors.Is(err, broken) || done.Load() != 100 || most.Load() != 7 {
			t.Errorf("Each() = %v, %d of 100 done, %d at a time; want the error, all, and 7", err, done.Load(), most.Load())
		}
		if err := roster.Each(nil, 7, func(string) error { return broken }); err != nil {
			t.Errorf("Each() of nothing = %v; want nil", err)
		}
	})
}
