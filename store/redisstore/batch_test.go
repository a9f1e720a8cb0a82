package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// many is more calls than fit into one batch.
const many = 300

// Calls of the same moment share an exchange with the client, where that is safe.
func TestCallsShareExchanges(t *testing.T) {
	for _, test := range []struct {
		kind  servers.Kind
		wrap  bool
		share bool
	}{
		{kind: servers.Redis7, share: true},
		{kind: servers.RedisSentinel, share: true},
		{kind: servers.RedisCluster},       // one node would hold up the others
		{kind: servers.Redis7, wrap: true}, // it wants the request's context
	} {
		t.Run(fmt.Sprint(test.kind, " wrapped ", test.wrap), func(t *testing.T) {
			network := newNetwork(t, servers.Shared(t, test.kind))
			client := connect(t, network.options())
			if test.wrap {
				client = wrapped{client}
			}
			s := openOn(t, client, redisstore.Options{Prefix: newPrefix(), PruneEvery: -1})
			if err := s.Create(t.Context(), "id", record("1")); err != nil {
				t.Fatal(err)
			}
			works(t, s, "before")
			network.all((*servers.Link).LoseAnswers)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for range many {
				wg.Go(func() { _, _ = s.Load(ctx, "id", session.Slide{}) })
			}
			exchanges, alone := 0, 0
			until(t, "all calls are under way", func() bool {
				stacks := make([]byte, 8<<20)
				text := string(stacks[:runtime.Stack(stacks, true)])
				exchanges = strings.Count(text, "redisstore.(*batcher).add in goroutine")
				alone = strings.Count(text, "redisstore.native.begin in goroutine")
				waiting := strings.Count(text, "redisstore.do(")
				return waiting == many && (exchanges > 0 || alone == many)
			})
			cancel()
			wg.Wait()
			if shared := exchanges > 0 && exchanges <= many/2 && alone == 0; shared != test.share {
				t.Errorf("%d calls make %d exchanges, and %d are sent alone; want them shared: %t",
					many, exchanges, alone, test.share)
			}
		})
	}
}

type wrapped struct{ rueidis.Client }

// Whoever waits gets its own answer, and whoever has left none, whoever else
// leaves.
func TestEachCallGetsItsAnswer(t *testing.T) {
	s := open(t, servers.Shared(t, servers.Redis7), redisstore.Options{Prefix: newPrefix(), PruneEvery: -1})
	data := func(i int) string { return fmt.Sprint(i, strings.Repeat(" ", i*i/4)) } // up to 22 KB
	for i := range many {
		if err := s.Create(t.Context(), fmt.Sprint(i), record(data(i))); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			id, mine, until := fmt.Sprint(i), data(i), in(2*time.Hour)
			for range 20 {
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if i%2 == 1 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(3000))*time.Microsecond)
				}
				rec, err := s.Load(ctx, id, session.Slide{})
				if err == nil && string(rec.Data) != mine {
					t.Errorf("Load(%s) = %.9q; want %.9q", id, rec.Data, mine)
				}
				if err == nil {
					err = s.Update(ctx, id, []byte(mine), []byte(mine), until)
				}
				if _, absent := s.Load(ctx, "absent"+id, session.Slide{}); err == nil && !errors.Is(absent, session.ErrNotFound) {
					err = absent
				}
				if err != nil && (i%2 == 0 || ctx.Err() == nil) {
					t.Errorf("session %s: %v", id, err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
}

// A batch whose answers are lost fails each change in it, and none is sent again.
func TestLostBatchIsNotSentAgain(t *testing.T) {
	server := servers.Start(t, servers.Redis7) // nobody else's commands
	network := newNetwork(t, server)
	opt := network.options()
	opt.ConnWriteTimeout = 2 * time.Second // when a silent connection is given up
	s := openOn(t, connect(t, opt), redisstore.Options{PruneEvery: -1})
	other := open(t, server, redisstore.Options{PruneEvery: -1})
	crowd := func(do func(i int) error) {
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() {
				if err := do(i); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	crowd(func(i int) error { return s.Create(t.Context(), fmt.Sprint(i), record("1")) })
	// The server learns the script, and the store that there is no SET … IFEQ.
	if err := s.Update(t.Context(), "0", []byte("1"), []byte("1"), in(time.Hour)); err != nil {
		t.Fatal(err)
	}
	// All connections of the client are open, so that a command which is sent
	// again would arrive.
	crowd(func(i int) error {
		_, err := s.Load(t.Context(), fmt.Sprint(i), session.Slide{})
		return err
	})
	m := newMonitor(t, server)
	network.all((*servers.Link).LoseAnswers)
	var told [many]bool
	var wg sync.WaitGroup
	wg.Go(func() {
		crowd(func(i int) error {
			err := s.Update(t.Context(), fmt.Sprint(i), []byte("1"), []byte("2"), in(time.Hour))
			// One that is late goes over a connection that is in order again.
			if errors.Is(err, session.ErrConflict) || errors.Is(err, session.ErrNotFound) {
				t.Errorf("Update whose answer was lost = %v; want an error that says so", err)
			}
			told[i] = err == nil
			return nil
		})
	})
	sent := 0
	until(t, "commands arrive", func() bool {
		n := len(m.sent())
		sent += n
		return sent > many/2 && n == 0
	})
	network.all((*servers.Link).Up) // which closes the connections that have lost something
	wg.Wait()
	if sent += len(m.sent()); sent > many {
		t.Errorf("%d changes were %d commands; want each sent once at most", many, sent)
	}
	var changed int
	for i := range many {
		rec, err := other.Load(t.Context(), fmt.Sprint(i), session.Slide{})
		if err != nil {
			t.Fatal(err)
		}
		if string(rec.Data) == "2" {
			changed++
		} else if told[i] {
			t.Errorf("Update(%d) was acknowledged, and is not stored", i)
		}
	}
	if changed == 0 {
		t.Error("no change arrived; want those that were sent to be done")
	}
}
