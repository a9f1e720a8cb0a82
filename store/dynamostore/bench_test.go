package dynamostore_test

import (
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/dynamostore"
)

// What the store and the SDK add to a round trip, and whether a Load that moves the
// deadline waits longer than one that does not. The server is dynalite, so the
// times are an emulator's; the number of commands and the allocations are not.
func BenchmarkStore(b *testing.B) {
	server := sharedDynalite(b)
	l := newLab(b, server)
	if len(server.Addrs) > 0 {
		l.client = l.dial(b, server.Addrs[0])
	}
	ctx, data := b.Context(), []byte(object(1000))
	store := l.open(b, l.client, dynamostore.Options{})
	forgetful := l.open(b, l.client, dynamostore.Options{Remember: -1})
	if err := store.Create(ctx, "id", session.Record{Data: data, Deadline: in(time.Hour)}); err != nil {
		b.Fatal(err)
	}
	to := in(24 * time.Hour)
	next := func() session.Slide {
		to = to.Add(time.Second)
		return session.Slide{To: to}
	}
	for _, bench := range []struct {
		name string
		do   func() error
	}{
		{"Load", func() error { return second(store.Load(ctx, "id", session.Slide{To: in(time.Minute)})) }},
		{"LoadThatMoves", func() error { return second(store.Load(ctx, "id", next())) }},
		{"LoadThatMovesWithoutMemory", func() error { return second(forgetful.Load(ctx, "id", next())) }},
		{"Update", func() error { return store.Update(ctx, "id", data, data, in(time.Hour)) }},
		{"Touch", func() error { return store.Touch(ctx, "id", next().To) }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := bench.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
