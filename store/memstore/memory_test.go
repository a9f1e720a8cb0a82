package memstore_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// A million small sessions take at most 150 bytes each, after they were
// created, after all of them were changed, and after many came and went.
func TestMemory(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector has its own memory: nothing is measured")
		return
	}
	const n = 1_000_000
	s := memstore.New(memstore.Options{})
	defer s.Close()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = randomID()
	}
	ctx, deadline := t.Context(), time.Now().Add(time.Hour)
	before := heapInUse()
	perSession := func() int64 { return (heapInUse() - before) / n }
	for _, id := range ids {
		if err := s.Create(ctx, id, session.Record{Data: small("Ibuprofen"), Deadline: deadline}); err != nil {
			t.Fatal(err)
		}
	}
	created := perSession()
	for i, id := range ids {
		err := s.Update(ctx, id, small("Ibuprofen"), small(fmt.Sprint("Acetylcysteine"[:i%15])), deadline)
		if err != nil {
			t.Fatal(err)
		}
	}
	updated := perSession()
	for i := 0; i < n; i += 4 { // a quarter goes, another comes
		if err := s.Delete(ctx, ids[i], nil); err != nil {
			t.Fatal(err)
		}
		ids[i] = ids[i][16:] + ids[i][:16]
		if err := s.Create(ctx, ids[i], session.Record{Data: small("Ibuprofen"), Deadline: deadline}); err != nil {
			t.Fatal(err)
		}
	}
	churned := perSession()
	t.Logf("B/session: %d when created, %d when updated, %d after churn", created, updated, churned)
	if most := max(created, updated, churned); most > 150 {
		t.Errorf("a session takes %d bytes; want at most 150", most)
	}
	runtime.KeepAlive(ids)
}

// A million sessions that die at once hold nobody up: their room is given back
// in steps, and during none of them is a lock held for long. The clock runs on
// while the machine does other things, so the longest is only logged, and the
// best of a few attempts counts.
func TestMassExpiryHoldsNobodyUp(t *testing.T) {
	n, attempts, p999 := 1_000_000, 5, time.Hour
	if raceEnabled || testing.Short() {
		n, attempts = 50_000, 1 // the order of things is checked, not the time
	}
	for attempt := 0; attempt < attempts && p999 > time.Millisecond; attempt++ {
		s := memstore.New(memstore.Options{MaxSessions: -1, MaxBytes: -1})
		fill(t, s, n, time.Hour)
		runtime.GC()
		var held []time.Duration
		start := time.Now()
		s.SweepSlots(time.Now().Add(2*time.Hour), func(d time.Duration) { held = append(held, d) })
		took := time.Since(start)
		if left, _ := s.Held(); left != 0 {
			t.Errorf("%d records are left", left)
		}
		slices.Sort(held)
		p999 = held[len(held)*999/1000]
		t.Logf("%d records were removed in %v, in %d steps: median %v, 99.9%% %v, longest %v",
			n, took, len(held), held[len(held)/2], p999, held[len(held)-1])
		s.Close()
	}
	if p999 > time.Millisecond && attempts > 1 {
		t.Errorf("the lock of a shard was held for %v in one of a thousand steps; want less than 1ms", p999)
	}
}

// Requests are answered while many sessions die: those that read, those that
// change something, and those that begin and end a session. The best of a few
// attempts counts, since the machine does other things, too.
func TestRequestsDuringMassExpiry(t *testing.T) {
	attempts, p9999 := 5, time.Hour
	if raceEnabled || testing.Short() {
		attempts = 1
	}
	for attempt := 0; attempt < attempts && p9999 > time.Millisecond && !t.Failed(); attempt++ {
		p9999 = requestsDuringMassExpiry(t)
	}
	if p9999 > time.Millisecond && attempts > 1 {
		t.Errorf("one of ten thousand requests took more than %v; want less than 1ms", p9999)
	}
}

// requestsDuringMassExpiry returns what all but one of ten thousand requests
// took at most.
func requestsDuringMassExpiry(t *testing.T) time.Duration {
	n := 200_000
	if raceEnabled || testing.Short() {
		n = 20_000
	}
	s := memstore.New(memstore.Options{MaxSessions: -1, MaxBytes: -1})
	defer s.Close()
	ctx, deadline, later := t.Context(), time.Now().Add(2*time.Second), time.Now().Add(time.Hour)
	for i := range n {
		rec := session.Record{Data: small("Ibuprofen"), Deadline: deadline}
		if err := s.Create(ctx, randomID(), rec); err != nil {
			n = i // the machine is slow, and the deadline past
			break
		}
	}
	live := fill(t, s, 1000, time.Hour)
	data, other := small("Ibuprofen"), small("Acetylcysteine")
	full := heapInUse()
	time.Sleep(time.Until(deadline))
	requests := []struct {
		name string
		do   func(id string) error
	}{
		{"Load", func(id string) error { return second(s.Load(ctx, id, session.Slide{To: later})) }},
		{"Update", func(id string) error { return s.Update(ctx, id, data, other, later) }},
		{"Update back", func(id string) error { return s.Update(ctx, id, other, data, later) }},
		{"Create", func(id string) error {
			return s.Create(ctx, id[1:], session.Record{Data: data, Deadline: later})
		}},
		{"Delete", func(id string) error { return s.Delete(ctx, id[1:], data) }},
	}
	var took []time.Duration
	start := time.Now()
	held := n
	for i := 0; held > len(live) && time.Since(start) < 20*time.Second; i++ {
		for _, r := range requests {
			start := time.Now()
			if err := r.do(live[i%len(live)]); err != nil {
				t.Fatalf("%s: %v", r.name, err)
			}
			took = append(took, time.Since(start))
		}
		if i%20 == 0 {
			time.Sleep(100 * time.Microsecond)
			held, _ = s.Held()
		}
	}
	slices.Sort(took)
	p9999 := took[len(took)*9999/10000]
	t.Logf("%d of %d records were removed within %v; of %d requests meanwhile 99.99%% took at most %v, the longest %v",
		n+len(live)-held, n, time.Since(start), len(took), p9999, took[len(took)-1])
	took = nil
	left := heapInUse()
	t.Logf("%d KiB of the heap were in use, %d KiB are now", full>>10, left>>10)
	if given := full - left; given < int64(n-held+len(live))*80 && !raceEnabled {
		t.Errorf("%d bytes of the heap were given back when %d records died; want at least 80 for each", given, n-held+len(live))
	}
	return p9999
}

func second[T any](_ T, err error) error { return err }

// A user who is signed in costs an entry; a user who is gone costs nothing,
// nor does a revocation once it no longer counts.
func TestAccountsGiveBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := memstore.New(memstore.Options{})
		defer s.Close()
		before := heapInUse()
		const n = 50_000
		for i := range n {
			rec := session.Record{Data: small("Ibuprofen"), Deadline: time.Now().Add(time.Hour)}
			rec.Owner = session.Owner{User: fmt.Sprint("user", i), AsOf: time.Now()}
			if err := s.Create(ctx, randomID(), rec); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%d B/session, each of another user", (heapInUse()-before)/n)
		at := time.Now()
		if _, err := s.RevokeUser(ctx, "revoked", at); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Hour)
		if held, accounts := s.Held(); held != 0 || accounts != 1 {
			t.Errorf("%d records and %d users are held after all records have died; want 0 and the 1 who was revoked", held, accounts)
		}
		if left := heapInUse() - before; !raceEnabled && left > 1_000_000 {
			t.Errorf("%d bytes are left after all records have died", left)
		}
		if raceEnabled {
			t.Log("the race detector is too slow for a day of sweeping: the end of a revocation is not looked at")
			return
		}
		time.Sleep(21*time.Hour - time.Millisecond) // 24 hours after the revocation
		rec := session.Record{Data: small("a"), Deadline: time.Now().Add(time.Minute), Owner: session.Owner{User: "revoked", AsOf: at}}
		if err := s.Create(ctx, "id", rec); err != session.ErrRevoked {
			t.Errorf("Create 24 hours after a revocation = %v; want %v", err, session.ErrRevoked)
		}
		time.Sleep(2 * time.Hour)
		if _, accounts := s.Held(); accounts != 0 || s.Sweeping() {
			t.Errorf("%d users are held after the revocation no longer counts; want none", accounts)
		}
	})
}

// A user whose sessions come and go for ever does not fill the memory with
// those that went, bounded or not.
func TestEntriesStayFew(t *testing.T) {
	s := memstore.New(memstore.Options{})
	defer s.Close()
	for i := range 10_000 {
		id := randomID()
		rec := session.Record{Data: small("a"), Deadline: time.Now().Add(time.Hour), Owner: session.Owner{User: "alice", AsOf: time.Now()}}
		if err := s.Create(t.Context(), id, rec); err != nil {
			t.Fatal(err)
		}
		if i%100 > 0 {
			if err := s.Delete(t.Context(), id, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := s.Entries(); n > 300 {
		t.Errorf("a user with 100 records has %d entries", n)
	}
	if ids, err := s.UserIDs(t.Context(), "alice"); len(ids) != 100 || err != nil {
		t.Errorf("UserIDs = %d ids, %v; want 100", len(ids), err)
	}
}
