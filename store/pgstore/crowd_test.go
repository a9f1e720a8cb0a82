package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// A tally counts the statements of a pool.
type tally struct{ atomic.Int64 }

func (n *tally) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	n.Add(1)
	return ctx
}
func (*tally) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// distant returns connections over a network that takes its time, so that Loads
// that are made one right after the other are under way at the same time.
func distant(t *testing.T, params ...string) (*pgxpool.Pool, *tally) {
	t.Helper()
	server := servers.Shared(t, servers.Postgres)
	link := servers.Proxy(t, server.Addrs[0])
	cfg, err := pgxpool.ParseConfig(with(t, strings.Replace(server.URL, server.Addrs[0], link.Addr, 1),
		append(params, "pool_max_conns", "8")...))
	if err != nil {
		t.Fatal(err)
	}
	sent := &tally{}
	cfg.ConnConfig.Tracer = sent
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	link.Latency(20 * time.Millisecond)
	return pool, sent
}

// stock stores n records that end in an hour, and returns their data.
func stock(t *testing.T, name string, n int) (data func(i int) string, deadline time.Time) {
	t.Helper()
	deadline = in(time.Hour)
	execute(t, shared(t), fmt.Sprintf(`INSERT INTO %s (sid, sess, expire)
		SELECT 'id' || i, ('{"n":' || i || '}')::json, to_timestamp($1::float8) FROM generate_series(0, %d) AS i`, name, n-1),
		float64(deadline.UnixMilli())/1000)
	return func(i int) string { return fmt.Sprintf(`{"n":%d}`, i) }, deadline
}

// Many Loads at the same moment, of different records and of the same ones, take
// few statements, and each gets the answer that it would have got by itself.
func TestLoadsGoTogether(t *testing.T) {
	const records = 100
	later, latest := in(2*time.Hour), in(3*time.Hour)
	for _, test := range []struct {
		name  string
		slide func(i, turn int) session.Slide
		want  func(i int, deadline time.Time) []time.Time // what Loads of record i may see
		odd   time.Time                                   // what every other one sees, unless zero
	}{
		{
			name:  "none moves",
			slide: func(i, _ int) session.Slide { return session.Slide{} },
			want:  func(_ int, deadline time.Time) []time.Time { return []time.Time{deadline} },
		},
		{
			name:  "all move",
			slide: func(i, _ int) session.Slide { return session.Slide{To: later.Add(time.Duration(i) * time.Second)} },
			want:  func(i int, _ time.Time) []time.Time { return []time.Time{later.Add(time.Duration(i) * time.Second)} },
		},
		{
			name:  "none moves back",
			slide: func(i, _ int) session.Slide { return session.Slide{To: time.Now().Add(30 * time.Minute)} },
			want:  func(_ int, deadline time.Time) []time.Time { return []time.Time{deadline} },
		},
		{
			name:  "none is due",
			slide: func(i, _ int) session.Slide { return session.Slide{To: later, Before: time.Now().Add(time.Minute)} },
			want:  func(_ int, deadline time.Time) []time.Time { return []time.Time{deadline} },
		},
		{
			name: "some are due",
			slide: func(i, _ int) session.Slide {
				return session.Slide{To: later, Before: in(time.Duration(i%2) * 100 * time.Minute)}
			},
			want: func(i int, deadline time.Time) []time.Time {
				return []time.Time{[]time.Time{deadline, later}[i%2]}
			},
		},
		{
			name: "two ways",
			slide: func(_, turn int) session.Slide {
				// That which goes further has nothing to move.
				return []session.Slide{{To: latest, Before: time.Now()}, {To: later}}[turn%2]
			},
			want: func(_ int, deadline time.Time) []time.Time { return []time.Time{deadline, later} },
			odd:  later,
		},
		{
			name:  "one goes further",
			slide: func(_, turn int) session.Slide { return session.Slide{To: []time.Time{later, latest}[turn%2]} },
			want:  func(_ int, _ time.Time) []time.Time { return []time.Time{later, latest} },
			odd:   latest,
		},
		{
			name:  "a moment that is past",
			slide: func(_, _ int) session.Slide { return session.Slide{To: time.Now().Add(-time.Hour)} },
			want:  func(_ int, deadline time.Time) []time.Time { return []time.Time{deadline} },
		},
	} {
		for _, mode := range []string{"cache_statement", "simple_protocol"} {
			t.Run(test.name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				pool, sent := distant(t, "default_query_exec_mode", mode, "timezone", "America/St_Johns")
				name := table()
				s := open(t, pool, pgstore.Options{Table: name})
				to := with(t, shared(t), "timezone", "America/St_Johns")
				deadline := in(time.Hour)
				execute(t, to, fmt.Sprintf(`INSERT INTO %s (sid, sess, expire) SELECT 'id' || i, ('{"n":' || i || '}')::json,
					to_timestamp($1::float8) - CASE WHEN i >= %d THEN interval '2 hours' ELSE '0' END
					FROM generate_series(0, %d) AS i`, name, records, records+4), float64(deadline.UnixMilli())/1000)
				if _, err := s.Load(t.Context(), "id", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
					t.Fatal(err)
				}
				before := sent.Load()
				// The first two go by themselves.
				type answer struct {
					rec session.Record
					err error
				}
				var wg sync.WaitGroup
				answers := make([]answer, 2*records)
				for n := range answers {
					wg.Go(func() {
						i := n / 2
						answers[n].rec, answers[n].err = s.Load(t.Context(), fmt.Sprint("id", i), test.slide(i, n))
					})
				}
				for i := range 5 {
					wg.Go(func() {
						_, err := s.Load(t.Context(), fmt.Sprint("id", records+i), test.slide(i, 1))
						if !errors.Is(err, session.ErrNotFound) {
							t.Errorf("Load of a dead record among others = %v; want %v", err, session.ErrNotFound)
						}
					})
				}
				// What PostgreSQL does not take as a text.
				for _, bad := range []string{"a\x00", "\xff"} {
					wg.Go(func() {
						_, err := s.Load(t.Context(), bad, session.Slide{})
						if err == nil {
							t.Errorf("Load(%q) among others = nil", bad)
						}
					})
				}
				wg.Wait()
				if n := sent.Load() - before; n > 3*records/2 {
					t.Errorf("%d Loads at the same moment were %d statements; want far fewer", len(answers), n)
				}
				for n, a := range answers {
					i := n / 2
					want := test.want(i, deadline)
					if a.err != nil || string(a.rec.Data) != fmt.Sprintf(`{"n":%d}`, i) ||
						!slices.ContainsFunc(want, a.rec.Deadline.Equal) {
						t.Errorf("Load of record %d among others = %s until %v, %v; want one of %v", i, a.rec.Data, a.rec.Deadline, a.err, want)
						continue
					}
					if n%2 == 1 && !test.odd.IsZero() && !a.rec.Deadline.Equal(test.odd) {
						t.Errorf("Load that has to move its deadline to %v saw it at %v", test.odd, a.rec.Deadline)
					}
					a.rec.Data[0] = '!' // it is the caller's own
				}
				near := pgstore.New(connect(t, to), pgstore.Options{Table: name, PruneEvery: -1})
				defer near.Close()
				for i := range records {
					want := test.want(i, deadline)
					holds(t, near, fmt.Sprint("id", i), fmt.Sprintf(`{"n":%d}`, i), want[len(want)-1])
				}
			})
		}
	}
}

// Somebody has locked a few records. Those who want others do not wait, though they
// go together with those who do, and these see what the lock was for.
func TestNobodyWaitsForAnothersRecord(t *testing.T) {
	const records, locked, loads = 40, 5, 200
	for _, before := range []time.Duration{0, 90 * time.Minute} {
		to, name := shared(t), table()
		s := open(t, connect(t, with(t, to, "pool_max_conns", "60")), pgstore.Options{Table: name})
		data, deadline := stock(t, name, records)
		later := in(2 * time.Hour)
		slide := session.Slide{To: later}
		if before > 0 {
			slide.Before = time.Now().Add(before)
		}
		tx := hold(t, to)
		// Every eighth; one of them is changed.
		if _, err := tx.Exec(t.Context(), fmt.Sprintf(`SELECT FROM %s WHERE sid = ANY (ARRAY(SELECT 'id' || 8*i FROM generate_series(0, %d) AS i)) FOR UPDATE`, name, locked-1)); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), fmt.Sprintf(`UPDATE %s SET sess = '{"n":-1}' WHERE sid = 'id0'`, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), fmt.Sprintf(`DELETE FROM %s WHERE sid = 'id8'`, name)); err != nil {
			t.Fatal(err)
		}
		load := func(ctx context.Context, i int) {
			rec, err := s.Load(ctx, fmt.Sprint("id", i), slide)
			want, wantErr := data(i), error(nil)
			switch i {
			case 0:
				want = `{"n":-1}`
			case 8:
				want, wantErr = "", session.ErrNotFound
			}
			if !errors.Is(err, wantErr) || string(rec.Data) != want || wantErr == nil && !rec.Deadline.Equal(later) {
				t.Errorf("Load of record %d, of which every eighth is locked = %s until %v, %v; want %s until %v, %v",
					i, rec.Data, rec.Deadline, err, want, later, wantErr)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		var free, waiting sync.WaitGroup
		for n := range loads {
			if i := n % records; i%8 == 0 {
				waiting.Go(func() { load(t.Context(), i) })
			} else {
				free.Go(func() { load(ctx, i) })
			}
		}
		free.Wait()
		cancel()
		if t.Failed() {
			t.Fatal("the records that others wanted were not locked")
		}
		if _, err := s.Load(t.Context(), "id16", session.Slide{}); err != nil {
			t.Errorf("Load that moves nothing, of a locked record = %v", err)
		}
		holds(t, s, "id16", data(16), deadline)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		waiting.Wait()
	}
}

// A caller whose context ends goes at once, and alone.
func TestContextsOfLoadsThatGoTogether(t *testing.T) {
	const loads = 60
	to, name := shared(t), table()
	s := open(t, connect(t, with(t, to, "pool_max_conns", "20")), pgstore.Options{Table: name})
	data, deadline := stock(t, name, loads)
	release := lock(t, to, name)
	ctx, cancel := context.WithCancel(t.Context())
	var left, stay sync.WaitGroup
	for i := range loads {
		if i%2 == 0 {
			left.Go(func() {
				if _, err := s.Load(ctx, fmt.Sprint("id", i), session.Slide{To: in(2 * time.Hour)}); !errors.Is(err, context.Canceled) {
					t.Errorf("Load whose context is canceled while it waits = %v; want %v", err, context.Canceled)
				}
			})
			continue
		}
		stay.Go(func() {
			rec, err := s.Load(t.Context(), fmt.Sprint("id", i), session.Slide{})
			if err != nil || string(rec.Data) != data(i) || !rec.Deadline.Equal(deadline) {
				t.Errorf("Load among others whose contexts end = %s until %v, %v; want %s until %v", rec.Data, rec.Deadline, err, data(i), deadline)
			}
		})
	}
	awaitWaiting(t, to, name, 3)
	cancel()
	begun := time.Now()
	left.Wait() // the table is still locked
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("Loads returned %v after their context was canceled", took)
	}
	release()
	stay.Wait()
}

// Loads that nobody waits for any more are given up, and nothing of them remains,
// though the server would keep them waiting.
func TestLoadsThatAllHaveLeft(t *testing.T) {
	to, name := shared(t), table()
	s := open(t, connect(t, with(t, to, "pool_max_conns", "4")), pgstore.Options{Table: name})
	stock(t, name, 100)
	idle := runtime.NumGoroutine()
	defer lock(t, to, name)()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if _, err := s.Load(ctx, fmt.Sprint("id", i), session.Slide{To: in(2 * time.Hour)}); !errors.Is(err, context.Canceled) {
				t.Errorf("Load whose context is canceled = %v; want %v", err, context.Canceled)
			}
		})
	}
	awaitWaiting(t, to, name, 3)
	cancel()
	wg.Wait()
	until(t, "goroutines to end", func() bool { return runtime.NumGoroutine() <= idle })
}

// What goes wrong for Loads that went together, each of them is told, and never
// that there is no session; and it is over when the cause is.
func TestFailuresOfLoadsThatGoTogether(t *testing.T) {
	const loads = 60
	to, name := shared(t), table()
	for kind, s := range both(t, with(t, to, "application_name", name), pgstore.Options{Table: name, PruneEvery: -1}) {
		if err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
		stock(t, name, loads)
		all := func() (errs []error) {
			errs = make([]error, loads)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() {
					_, errs[i] = s.Load(t.Context(), fmt.Sprint("id", i), session.Slide{To: in(2*time.Hour + time.Duration(i)*time.Second)})
				})
			}
			wg.Wait()
			return errs
		}
		well := func(when string) {
			t.Helper()
			until(t, when, func() bool {
				return !slices.ContainsFunc(all(), func(err error) bool {
					if errors.Is(err, session.ErrNotFound) {
						t.Fatalf("%s: %s: Load = %v; the records are there", kind, when, err)
					}
					return err != nil
				})
			})
		}
		well("before")
		execute(t, to, fmt.Sprintf("ALTER TABLE %s RENAME TO %[1]s_away", name))
		for _, err := range all() {
			if err == nil || !strings.Contains(err.Error(), "call Migrate") {
				t.Errorf("%s: Load without a table = %v; want an error that names the remedy", kind, err)
			}
		}
		execute(t, to, fmt.Sprintf("ALTER TABLE %s_away RENAME TO %[1]s", name))
		well("with the table again")
		for range 3 {
			execute(t, to, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", name)
			well("after all connections were ended")
		}
	}
}

// What the server refuses at the very end, when it has already told what it found,
// only those are told whom it concerns: the others' deadlines are moved in earnest.
func TestOneLoadFailsAmongOthers(t *testing.T) {
	const loads, refused = 60, 30
	to, name := shared(t), table()
	s := open(t, connect(t, with(t, to, "pool_max_conns", "8")), pgstore.Options{Table: name})
	data, _ := stock(t, name, loads)
	execute(t, to, fmt.Sprintf(`CREATE FUNCTION %s_refuse() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN IF NEW.sid = 'id%d' THEN RAISE EXCEPTION 'this record cannot be changed'; END IF; RETURN NULL; END $$`, name, refused))
	execute(t, to, fmt.Sprintf(`CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON %s DEFERRABLE INITIALLY DEFERRED
		FOR EACH ROW EXECUTE FUNCTION %[1]s_refuse()`, name))
	for round := range 5 {
		later := in(time.Duration(round+2) * time.Hour)
		var wg sync.WaitGroup
		for i := range loads {
			wg.Go(func() {
				rec, err := s.Load(t.Context(), fmt.Sprint("id", i), session.Slide{To: later})
				switch {
				case i == refused:
					if err == nil || !strings.Contains(err.Error(), "cannot be changed") {
						t.Errorf("Load that is refused = %v; want the server's error", err)
					}
				case err != nil || string(rec.Data) != data(i) || !rec.Deadline.Equal(later):
					t.Errorf("Load = %s until %v, %v; want %s until %v", rec.Data, rec.Deadline, err, data(i), later)
				}
			})
		}
		wg.Wait()
		for i := range loads {
			if i != refused {
				holds(t, s, fmt.Sprint("id", i), data(i), later)
			}
		}
	}
}

// While all connections are in use elsewhere, Loads wait until their contexts end,
// and each of them can tell what it has waited for.
func TestLoadsThatGetNoConnection(t *testing.T) {
	pool := connect(t, with(t, shared(t), "pool_max_conns", "1"))
	name := table()
	s := open(t, pool, pgstore.Options{Table: name})
	stock(t, name, 30)
	c, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	const want = "all 1 connections of the pool are in use"
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			_, err := s.Load(ctx, fmt.Sprint("id", i), session.Slide{})
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), want) {
				t.Errorf("Load that got no connection = %v; want %v, and %q", err, context.DeadlineExceeded, want)
			}
		})
	}
	wg.Wait()
	c.Release()
	if _, err := s.Load(t.Context(), "id1", session.Slide{}); err != nil {
		t.Errorf("Load thereafter = %v", err)
	}
}
