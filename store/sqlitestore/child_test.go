package sqlitestore_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/processes"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

func TestMain(m *testing.M) {
	processes.Run(openShared, roles)
	os.Exit(m.Run())
}

var roles = map[string]processes.Role{"record": recordWrites, "greedy": greedy}

// openShared opens a store as another process does: where is the file, which may
// not be there yet.
func openShared(ctx context.Context, where []string) (session.Store, func() error, error) {
	s, err := sqlitestore.Open(ctx, where[0], sqlitestore.Options{})
	if err != nil {
		return nil, nil, err
	}
	return s, s.Close, nil
}

// recordWrites writes for as long as it lives, with several goroutines, and
// prints each write once it is acknowledged: "+id n" after data n was stored
// under id, "-id" after it was deleted.
func recordWrites(ctx context.Context, s session.Store, args []string) error {
	in := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	failed := make(chan error)
	for worker := range 4 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%s-%d-%d", args[0], worker, i)
				old := []byte("0")
				if err := s.Create(ctx, id, session.Record{Data: old, Deadline: in}); err != nil {
					failed <- err
				}
				fmt.Printf("+%s 0\n", id)
				for n := 1; n < 5; n++ {
					data := []byte(strconv.Itoa(n))
					if err := s.Update(ctx, id, old, data, in); err != nil {
						failed <- err
					}
					fmt.Printf("+%s %d\n", id, n)
					old = data
				}
				if i%2 == 0 {
					if err := s.Delete(ctx, id, nil); err != nil {
						failed <- err
					}
					fmt.Printf("-%s\n", id)
				}
			}
		}()
	}
	return <-failed
}

// greedy updates records of its own with eight goroutines, without a
// pause, for as long as it lives.
func greedy(ctx context.Context, s session.Store, args []string) error {
	in := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	failed := make(chan error)
	for worker := range 8 {
		go func() {
			id := fmt.Sprintf("%s-%d", args[0], worker)
			err := s.Create(ctx, id, session.Record{Data: []byte("x"), Deadline: in})
			for err == nil {
				err = s.Update(ctx, id, []byte("x"), []byte("x"), in)
			}
			failed <- err
		}()
	}
	fmt.Println("ready")
	return <-failed
}

func second[T any](_ T, err error) error { return err }
