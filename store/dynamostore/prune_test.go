package dynamostore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/store/dynamostore"
)

// The store's own goroutine removes what is dead, where it is asked to.
func TestPruneEvery(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		l.put(t, row{"id": str("sess:dead"), "expires": num("1"), "type": str("connect-session"), "sess": str(bob)})
		l.put(t, row{"id": str("foreign"), "expires": num("1")})
		if err := l.store.Create(t.Context(), "live", record(bob)); err != nil {
			t.Fatal(err)
		}
		s := l.open(t, l.client, dynamostore.Options{PruneEvery: 10 * time.Millisecond})
		eventually(t, "the pruner", func() bool { return len(l.get(t, "sess:dead")) == 0 })
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if len(l.get(t, "sess:live")) == 0 || len(l.get(t, "foreign")) == 0 {
			t.Error("what lives, or is none of the store's, is gone")
		}
	})
}

// Prune goes on where it ended: many small batches read the table once.
func TestPruneReadsTheTableOnce(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	if l.gateway == nil {
		return // Amazon's own does not say
	}
	const each, pages = 12, 2 * 12 / 3 // a page is a megabyte
	for i := range each {
		for name, expires := range map[string]string{"dead": "1", "live": expressSeconds(time.Hour)} {
			l.put(t, row{
				"id": str(fmt.Sprint("sess:", name, i)), "expires": num(expires),
				"type": str("connect-session"), "sess": str(object(300_000)),
			})
		}
	}
	removed, calls := 0, 0
	got := l.gateway.count(func() {
		for n := 1; n == 1; calls++ {
			var err error
			if n, err = l.store.Prune(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			removed += n
		}
	})
	if removed != each || got["Scan"] > pages+calls+1 {
		t.Errorf("Prune(1) removed %d in %d calls with %d Scans; want %d, and no page read for nothing", removed, calls, got["Scan"], each)
	}
}

// The index of a user whose sessions have died is tidied, and a revocation kept.
func TestPruneTidiesTheIndex(t *testing.T) {
	onEach(t, func(t *testing.T, l *lab) {
		for _, user := range []string{"alice", "bob"} {
			rec := record(bob)
			rec.Owner.User, rec.Owner.AsOf = user, time.Now()
			if err := l.store.Create(t.Context(), user, rec); err != nil {
				t.Fatal(err)
			}
			l.expressTouch(t, "sess:"+user, "1")
		}
		if _, err := l.store.RevokeUser(t.Context(), "bob", time.Now()); err != nil {
			t.Fatal(err)
		}
		// The dead record goes with its entry in the index, or by itself.
		if _, err := l.store.Prune(t.Context(), 100); err != nil {
			t.Errorf("Prune = %v", err)
		}
		rows := l.all(t)
		if len(rows) != 1 || shown(rows[0]["type"]) != "pillbox-user" || shown(rows[0]["expires"]) == "none" {
			t.Errorf("after Prune there are %d rows; want the revocation alone, with a time to go", len(rows))
		}
		rec := record(bob)
		rec.Owner.User, rec.Owner.AsOf = "bob", time.Now().Add(-time.Minute)
		if err := l.store.Create(t.Context(), "late", rec); err == nil {
			t.Error("Create as of before the revocation = nil; want an error")
		}
	})
}
