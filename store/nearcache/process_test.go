package nearcache_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/processes"
	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/nearcache"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

func TestMain(m *testing.M) {
	processes.Run(openShared, map[string]processes.Role{"read": read})
	os.Exit(servers.Main(m, servers.Redis7))
}

// openShared opens a cache as another process does: where is the server's address,
// the prefix, and the lease.
func openShared(_ context.Context, where []string) (session.Store, func() error, error) {
	lease, err := time.ParseDuration(where[2])
	if err != nil {
		return nil, nil, err
	}
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: where[:1], DisableCache: true})
	if err != nil {
		return nil, nil, err
	}
	below := redisstore.New(client, redisstore.Options{Prefix: where[1], PruneEvery: -1})
	s, err := nearcache.New(below, nearcache.Options{Lease: lease})
	return s, func() error {
		defer client.Close()
		return errors.Join(s.Close(), below.Close())
	}, err
}

// processStore opens a cache in this process, and returns where others find it.
func processStore(t *testing.T, lease time.Duration) (session.Store, []string) {
	where := []string{servers.Shared(t, servers.Redis7).Addrs[0], newPrefix(), lease.String()}
	s, closed, err := openShared(t.Context(), where)
	must(t, err)
	t.Cleanup(func() { must(t, closed()) })
	return s, where
}

func TestProcessesShareARecord(t *testing.T) {
	s, where := processStore(t, 100*time.Millisecond)
	processes.KeepEveryAppend(t, s, where...)
}

func TestEndedIsFinalAcrossProcesses(t *testing.T) {
	processes.EndedIsFinal(t, func(t *testing.T) (session.Store, []string) { return processStore(t, lease) })
}

// A process that does nothing but read a record, from its cache for the most part,
// finds it until another process ends it, and not once after that.
func TestReadersLearnOfTheEnd(t *testing.T) {
	for range 3 {
		s, where := processStore(t, 100*time.Millisecond)
		must(t, s.Create(t.Context(), "ended", record("1")))
		p := processes.Start(t, where, "read")
		p.Hear(t)
		must(t, s.Delete(t.Context(), "ended", nil))
		p.Tell(t, "ended")
		if err := p.Wait(); err != nil {
			t.Errorf("the other process: %v", err)
		}
	}
}

func read(ctx context.Context, s session.Store, _ []string) error {
	var ended atomic.Bool
	go func() {
		// The end of the input means that the test is over.
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		ended.Store(true)
	}()
	for round := 0; ; round++ {
		over := ended.Load()
		_, err := s.Load(ctx, "ended", session.Slide{})
		switch {
		case over && errors.Is(err, session.ErrNotFound):
			return nil
		case over:
			return fmt.Errorf("Load of an ended record = %w; want %w", err, session.ErrNotFound)
		case err != nil && !errors.Is(err, session.ErrNotFound):
			return err
		case round == 1000:
			fmt.Println("at work")
		}
	}
}
