package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// A writer changes sessions of its own without a pause, and remembers what was
// acknowledged, and when.
type writer struct {
	s    *redisstore.Store
	name string

	mu      sync.Mutex
	acked   map[string]note // by id: what is stored at least
	success time.Time       // of the last call
	longest time.Duration   // that a call took
	failed  int
}

// A note is what a writer knows of a session: version n is acknowledged, and
// gone if it was deleted.
type note struct {
	n    int
	gone bool
	at   time.Time
}

// call runs one method with the time that a request has.
func (w *writer) call(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	begun := time.Now()
	err := do(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.longest = max(w.longest, time.Since(begun))
	if err == nil {
		w.success = time.Now()
	} else {
		w.failed++
	}
	return err
}

func (w *writer) note(id string, n int, gone bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acked[id] = note{n, gone, time.Now()}
}

// run works until ctx is done. A session is created with 0, counted up to 5, and
// deleted if its number is odd.
func (w *writer) run(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		id := fmt.Sprint(w.name, "-", i)
		if w.call(ctx, func(ctx context.Context) error { return w.s.Create(ctx, id, record("0")) }) != nil {
			continue // made or not: nobody was told that it is
		}
		w.note(id, 0, false)
		for n := 0; n < 5 && ctx.Err() == nil; {
			err := w.call(ctx, func(ctx context.Context) error {
				return w.s.Update(ctx, id, []byte(strconv.Itoa(n)), []byte(strconv.Itoa(n+1)), in(time.Hour))
			})
			if err == nil {
				n++
				w.note(id, n, false)
				continue
			}
			// Unknown, or an earlier one that failed was made: look.
			var rec session.Record
			err = w.call(ctx, func(ctx context.Context) (err error) {
				rec, err = w.s.Load(ctx, id, session.Slide{})
				return err
			})
			if errors.Is(err, session.ErrNotFound) {
				break // lost: the check at the end tells whether it may be
			}
			if err == nil {
				n, _ = strconv.Atoi(string(rec.Data))
			}
		}
		if i%2 == 1 && w.call(ctx, func(ctx context.Context) error { return w.s.Delete(ctx, id, nil) }) == nil {
			w.note(id, 0, true)
		}
	}
}

// A master is killed while eight requests at a time change sessions. Each gets an
// answer in time; all works again by itself; and what had been acknowledged is
// there, unless replication was not waited for: then the last moment before the
// failover may be lost, which is what Redis promises.
func TestFailoverUnderLoad(t *testing.T) {
	for _, test := range []struct {
		kind   servers.Kind
		master int // the node that is killed
		wait   int
	}{
		{servers.RedisSentinel, 3, 0},
		{servers.RedisSentinel, 3, 1},
		{servers.RedisCluster, 0, 0},
		{servers.RedisCluster, 0, 1},
	} {
		t.Run(fmt.Sprintf("%s/WaitReplicas=%d", test.kind, test.wait), func(t *testing.T) {
			server := servers.Start(t, test.kind)
			s := open(t, server, redisstore.Options{WaitReplicas: test.wait, WaitTimeout: 500 * time.Millisecond})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var writers []*writer
			var wg sync.WaitGroup
			for i := range 8 {
				w := &writer{s: s, name: fmt.Sprint("writer", i), acked: map[string]note{}}
				writers = append(writers, w)
				wg.Go(func() { w.run(ctx) })
			}
			each := func(holds func(w *writer) bool) bool {
				for _, w := range writers {
					w.mu.Lock()
					ok := holds(w)
					w.mu.Unlock()
					if !ok {
						return false
					}
				}
				return true
			}
			until(t, "each writer has changed 20 sessions", func() bool {
				return each(func(w *writer) bool { return len(w.acked) > 20 })
			})
			server.Kill(t, test.master)
			killed := time.Now()
			if test.kind == servers.RedisCluster && test.wait > 0 {
				// Its replica has none left that could confirm; a Cluster's
				// operator brings the node back.
				until(t, "the Cluster has made its replica a master", func() bool {
					return slices.ContainsFunc(server.Addrs[3:], func(addr string) bool { return role(t, addr) == "master" })
				})
				server.Restart(t, test.master)
			}
			counts := make(map[*writer]int)
			for _, w := range writers {
				w.mu.Lock()
				counts[w] = len(w.acked)
				w.mu.Unlock()
			}
			// Long enough that every key has been met on its new master.
			until(t, "each writer has changed 50 sessions more after the failover", func() bool {
				return time.Since(killed) > 4*time.Second &&
					each(func(w *writer) bool { return len(w.acked) > counts[w]+50 && time.Since(w.success) < time.Second })
			})
			cancel()
			wg.Wait()

			lost, all, revived := 0, 0, 0
			var first time.Duration // how long before the kill the first loss was acknowledged
			failed := 0
			for _, w := range writers {
				if w.longest > 2*time.Second+slack {
					t.Errorf("a call took %v; want an answer within its 2 s", w.longest)
				}
				failed += w.failed
				for id, note := range w.acked {
					all++
					rec, err := s.Load(t.Context(), id, session.Slide{})
					n, _ := strconv.Atoi(string(rec.Data))
					switch {
					case note.gone && err == nil:
						revived++
					case note.gone && errors.Is(err, session.ErrNotFound), !note.gone && err == nil && n >= note.n:
						continue
					case err != nil && !errors.Is(err, session.ErrNotFound):
						t.Fatalf("Load = %v", err)
					case !note.gone && errors.Is(err, session.ErrNotFound) && note.n == 5:
						// Deleted without an answer.
						if i, _ := strconv.Atoi(id[len(w.name)+1:]); i%2 == 1 {
							continue
						}
					}
					lost++
					first = max(first, killed.Sub(note.at))
				}
			}
			t.Logf("%d sessions, %d lost, of which %d came back from their end; the first was acknowledged %v before the kill; %d calls failed",
				all, lost, revived, first, failed)
			if test.wait > 0 && lost > 0 {
				t.Errorf("%d acknowledged changes were lost, though replicas had confirmed them", lost)
			}
			if first > time.Second {
				t.Errorf("lost what had been acknowledged %v before the kill; want asynchronous replication to lose a moment only", first)
			}
		})
	}
}

// A change that no replica has confirmed is not acknowledged.
func TestUnconfirmedChange(t *testing.T) {
	server := servers.Start(t, servers.RedisSentinel)
	const patience = 200 * time.Millisecond
	s := open(t, server, redisstore.Options{WaitReplicas: 2, WaitTimeout: patience})
	ctx := t.Context()
	if err := s.Create(ctx, "id", record("1")); err != nil {
		t.Fatal(err)
	}
	works(t, s, "before")
	server.Pause(t, 5)
	for what, do := range map[string]func() error{
		"Create":     func() error { return s.Create(ctx, "new", record("1")) },
		"sign-in":    func() error { return s.Create(ctx, "alices", owned("1", "alice")) },
		"Update":     func() error { return s.Update(ctx, "id", []byte("1"), []byte("1"), in(time.Hour)) },
		"Delete":     func() error { return s.Delete(ctx, "other", nil) },
		"RevokeUser": func() error { return second(s.RevokeUser(ctx, "bob", time.Now())) },
	} {
		begun := time.Now()
		err := do()
		if took := time.Since(begun); !errors.Is(err, redisstore.ErrUnconfirmed) || took > 2*patience+slack {
			t.Errorf("%s with one of two replicas = %v after %v; want %v", what, err, took, redisstore.ErrUnconfirmed)
		}
	}
	if _, err := s.Load(ctx, "id", session.Slide{To: in(8 * time.Hour)}); err != nil {
		t.Errorf("Load = %v; want reading to go on, slide included", err)
	}
	server.Resume(t, 5)
	works(t, s, "with both replicas again")
}

// A master that was away while another was made is a replica when it comes back.
// Nothing is written to it.
func TestDemotedMaster(t *testing.T) {
	server := servers.Start(t, servers.RedisSentinel)
	s := open(t, server, redisstore.Options{})
	if err := s.Create(t.Context(), "id", record("1")); err != nil {
		t.Fatal(err)
	}
	works(t, s, "before")
	server.Pause(t, 3)
	fails(t, s, "while the master is away")
	until(t, "the sentinels have made another master", func() bool {
		return role(t, server.Addrs[4]) == "master" || role(t, server.Addrs[5]) == "master"
	})
	server.Resume(t, 3)
	works(t, s, "after the master came back")
	until(t, "the old master is a replica", func() bool { return role(t, server.Addrs[3]) == "slave" })
	works(t, s, "after the old master became a replica")
}

// role returns what a node says that it is, or nothing if it does not.
func role(t *testing.T, addr string) string {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true})
	if client != nil {
		defer client.Close()
	}
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	all, err := client.Do(ctx, client.B().Role().Build()).ToArray()
	if err != nil || len(all) == 0 {
		return ""
	}
	role, _ := all[0].ToString()
	return role
}
