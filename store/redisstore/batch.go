package redisstore

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/redis/rueidis"
)

const (
	// maxBatch bounds how many calls wait for each other's answers. rueidis
	// takes from 2,000 on for a reason to use another connection.
	maxBatch = 64

	// maxBatched bounds the arguments of a call in a batch, in bytes: what
	// takes long to send holds up nobody else's answer.
	maxBatched = 16 << 10

	// maxYields bounds how often a batch lets other goroutines go first.
	maxYields = 4
)

// A batcher sends together what many goroutines ask for at the same moment: one
// goroutine, one exchange with the client and one packet for all of them, in place
// of one for each.
//
// No call waits for the answers to others before it is sent, nor for a timer: a
// batch leaves when the goroutines that can run have run, and at once if no other
// call is under way. So it costs no time where the server is far away.
type batcher struct {
	client rueidis.Client

	mu       sync.Mutex
	next     *batch // what has not left yet; nil for none, and if it is full
	underway int    // calls without an answer
	crowded  bool   // the batch that was answered last held several
}

// A batch is exchanged by the goroutine that its first call starts.
type batch struct {
	calls []*call
	built []rueidis.Completed
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// newBatcher returns nil if the client's commands are to be sent one by one. In a
// Cluster one batch would wait for several nodes, and all calls for one that is
// down. A client that follows redirections (Standalone.EnableRedirect) sends a
// whole batch again if one of its commands was redirected. One that wraps another
// wants to see each command with the context of its request. rueidis has no other
// name for the rest.
func newBatcher(client rueidis.Client) *batcher {
	switch fmt.Sprintf("%T", client) {
	case "*rueidis.singleClient", "*rueidis.sentinelClient":
		return &batcher{client: client}
	}
	return nil
}

// add has the call finished.
func (b *batcher) add(c *call) {
	b.mu.Lock()
	b.underway++
	alone := b.underway == 1 && !b.crowded
	next, first := b.next, b.next == nil
	if first {
		next = batches.Get().(*batch)
		b.next = next
	}
	next.calls = append(next.calls, c)
	if len(next.calls) == maxBatch {
		b.next = nil
	}
	b.mu.Unlock()
	if first {
		go b.exchange(next, alone)
	}
}

// exchange sends a batch and finishes its calls.
func (b *batcher) exchange(x *batch, alone bool) {
	if !alone {
		b.gather(x)
	}
	b.mu.Lock()
	if b.next == x {
		b.next = nil // nobody joins it any more
	}
	b.mu.Unlock()
	all := len(x.calls)
	sent := x.calls[:0]
	for _, c := range x.calls {
		// Whoever has left knows no more than that it may have been done. It
		// has not, and is better not done now.
		if !c.gone.Load() {
			sent = append(sent, c)
			x.built = append(x.built, build(b.client, c.cmd))
		}
	}
	// The calls' own deadlines are not for the client: see [detach].
	var results []rueidis.RedisResult
	var one [1]rueidis.RedisResult
	switch len(sent) {
	case 0:
	case 1: // without DoMulti's garbage
		one[0] = b.client.Do(context.Background(), x.built[0])
		results = one[:]
	default:
		results = b.client.DoMulti(context.Background(), x.built...)
	}
	// Before the answers: whoever has one and calls again is not another.
	b.mu.Lock()
	b.underway -= all
	b.crowded = len(sent) > 1
	b.mu.Unlock()
	for i, c := range sent {
		c.finish(nativeReply(results[i]))
	}
	clear(x.calls[:all])
	clear(x.built)
	x.calls, x.built = x.calls[:0], x.built[:0]
	batches.Put(x)
}

// gather lets other goroutines run while they add to the batch.
func (b *batcher) gather(x *batch) {
	for before, round := 0, 0; round < maxYields; round++ {
		b.mu.Lock()
		n, open := len(x.calls), b.next == x
		b.mu.Unlock()
		if n == before || !open {
			return
		}
		before = n
		runtime.Gosched()
	}
}
