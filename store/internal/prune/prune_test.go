package prune_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/store/internal/prune"
)

func TestPrunerEmptiesWhatIsThereAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		left := 3*prune.Batch + 1
		var calls []time.Duration
		p := prune.Start(time.Minute, nil, func(_ context.Context, limit int) (int, error) {
			calls = append(calls, time.Since(begin))
			n := min(limit, left)
			left -= n
			return n, nil
		})
		time.Sleep(2*time.Minute + 30*time.Second)
		p.Stop()
		if left != 0 || len(calls) < 5 {
			t.Fatalf("after two rounds %d are left, after calls at %v; want none after five calls or more", left, calls)
		}
		if first := calls[0]; first < 45*time.Second || first > 75*time.Second || calls[3] != first {
			t.Errorf("first calls at %v; want four at once, between 45 and 75 s", calls[:4])
		}
		seen := len(calls)
		time.Sleep(time.Hour)
		if len(calls) != seen {
			t.Errorf("%d calls after Stop; want none", len(calls)-seen)
		}
		p.Stop()
	})
}

func TestPrunerTellsOfFailuresAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		calls := 0
		p := prune.Start(0, slog.New(slog.NewTextHandler(&log, nil)), func(context.Context, int) (int, error) {
			calls++
			return prune.Batch, errors.New("the engine is down")
		})
		time.Sleep(time.Hour)
		p.Stop()
		if calls < 9 || calls > 16 {
			t.Errorf("%d calls in an hour; want one about every five minutes", calls)
		}
		if !strings.Contains(log.String(), "the engine is down") {
			t.Errorf("log %q does not name the failure", log.String())
		}
	})
}

func TestPrunerThatIsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := prune.Start(-1, nil, func(context.Context, int) (int, error) {
			t.Error("a pruner that is off has called")
			return 0, nil
		})
		time.Sleep(time.Hour)
		p.Stop()
	})
}

func TestStopWaitsForTheCallUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		p := prune.Start(time.Second, slog.New(slog.DiscardHandler), func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = true
			return 0, ctx.Err()
		})
		time.Sleep(2 * time.Second)
		p.Stop()
		if !ended {
			t.Error("Stop returned before the call under way did")
		}
	})
}
