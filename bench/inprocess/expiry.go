package inprocess

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/alexedwards/scs/v2"
	scsmem "github.com/alexedwards/scs/v2/memstore"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// A dying is a site with a store into which sessions can be put that end at a
// moment of choice.
type dying struct {
	site
	add  func() error // a session that ends at the deadline
	hold func()       // keeps the store from being garbage
}

// dyingPillbox stores what Pillbox itself would store for idle.
func dyingPillbox(deadline time.Time, _ time.Duration) (dying, error) {
	store := memstore.New(memstore.Options{MaxSessions: -1, MaxBytes: -1})
	s, err := pillboxOn(store, store.Close)
	rec := session.Record{Deadline: deadline, Data: fmt.Appendf(nil,
		`{"cookie":{"originalMaxAge":null,"expires":null,"secure":true,"httpOnly":true,"path":"/","sameSite":"lax"},`+
			`"__pillbox":{"created":%d},"pills":["Ibuprofen"]}`, time.Now().UnixMilli())}
	return dying{site: s, hold: func() { runtime.KeepAlive(store) }, add: func() error {
		return store.Create(context.Background(), rand.Text(), rec)
	}}, err
}

// dyingLater is Pillbox with sessions that live on: how long requests wait when
// nothing happens, the garbage collector and the machine's other programs being
// what they are.
func dyingLater(deadline time.Time, cleanup time.Duration) (dying, error) {
	return dyingPillbox(deadline.Add(time.Hour), cleanup)
}

// dyingScs stores what scs itself would store for idle.
func dyingScs(deadline time.Time, cleanup time.Duration) (dying, error) {
	codec := scs.GobCodec{}
	data, err := codec.Encode(deadline, idle())
	if err != nil {
		return dying{}, err
	}
	store := scsmem.NewWithCleanupInterval(cleanup)
	s := scsSite(newScs(store, codec), func() error { stop(store); return nil })
	return dying{site: s, hold: func() { runtime.KeepAlive(store) }, add: func() error {
		return store.Commit(rand.Text(), bytes.Clone(data), deadline)
	}}, nil
}

// massExpiry puts n sessions into a store that all end at the same moment, and
// sends requests of another session until every store has swept once.
func massExpiry(n int, fill, watch time.Duration, open func(deadline time.Time, cleanup time.Duration) (dying, error)) func(time.Duration) (measure.Figures, error) {
	return func(time.Duration) (figures measure.Figures, err error) {
		before := heap()
		began := time.Now()
		deadline := began.Add(fill)
		// A store that cleans up at an interval does it within the watch.
		s, err := open(deadline, fill+watch/10)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, s.close()) }()
		cookie, err := begin(s.site, values(1))
		if err != nil {
			return nil, err
		}
		for range n {
			if err := s.add(); err != nil {
				return nil, err
			}
		}
		full := heap()
		if late := time.Since(deadline); late > 0 {
			return nil, fmt.Errorf("storing %d sessions took %v longer than they live", n, late)
		}
		time.Sleep(time.Until(deadline))
		cookies := []string{cookie}
		s.job().work = read
		longest, over, requests := time.Duration(0), 0, 0
		for start := time.Now(); time.Since(start) < watch; requests++ {
			sent := time.Now()
			if err := s.call(cookies); err != nil {
				return nil, err
			}
			took := time.Since(sent)
			longest = max(longest, took)
			if took > time.Millisecond {
				over++
			}
			if requests%100 == 99 {
				time.Sleep(50 * time.Microsecond) // a server waits now and then
			}
		}
		left := heap() - before
		s.hold()
		return measure.Figures{
			"longest ms":   float64(longest) / float64(time.Millisecond),
			"over 1 ms":    float64(over),
			"requests":     float64(requests),
			"MiB held":     float64(full-before) / (1 << 20),
			"MiB not back": max(0, float64(left)/(1<<20)),
		}, nil
	}
}

func expiryRows(million int) []measure.Row {
	fill, watch := 6*time.Second, 10*time.Second
	if million < 100_000 {
		fill, watch = 300*time.Millisecond, 400*time.Millisecond
	}
	return []measure.Row{{
		Name: "1,000,000 sessions expire at once",
		Note: fmt.Sprintf("One goroutine sends requests that read another session, for %v from that moment on. "+
			"scs cleans up once a minute by default, here %v after that moment, and then as long as it takes; Pillbox begins at once, and goes in small steps. "+
			"“None expires” is the same with sessions that live on: what the garbage collector and other programs keep a request waiting for. “None stored” is an empty store, beside which the collector runs far more often.", watch, watch/10),
		Key:    "longest ms",
		Passes: 2,
		Aim: []measure.Limit{
			best(1, "longest ms", "no request waits over 1 ms"),
			best(4, "MiB not back", "less than 4 MiB are not returned"),
		},
		Open: func() ([]measure.Contender, error) {
			return []measure.Contender{
				{Name: measure.Pillbox, Run: massExpiry(million, fill, watch, dyingPillbox)},
				{Name: measure.Pillbox + ", none expires", Run: massExpiry(million, fill, watch, dyingLater)},
				{Name: measure.Pillbox + ", none stored", Run: massExpiry(0, fill, watch, dyingLater)},
				{Name: "scs (gob)", Run: massExpiry(million, fill, watch, dyingScs)},
			}, nil
		},
	}}
}
