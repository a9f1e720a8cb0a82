package pgstore_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// naive is the table of connect-pg-simple, whose index on the deadline every
// touch has to write to, and which has no room on its pages.
const naive = `CREATE TABLE naive (
	sid varchar NOT NULL COLLATE "default" PRIMARY KEY,
	sess json NOT NULL,
	expire timestamp(6) NOT NULL
);
CREATE INDEX naive_expire ON naive (expire);
INSERT INTO naive SELECT 'id' || i, '%s', now() + interval '1 hour' FROM generate_series(0, %d) AS i`

// What does a read cost that moves the deadline, with 16 connections to a server
// that waits for its disk as a normal one does? Beside it, what it costs with the
// table and the two statements of connect-pg-simple, and what the second of these
// costs by itself.
//
// On two cores, which client and server share and on which other things ran, Pillbox
// read 1.4 to 2.4 times as often as with connect-pg-simple's statements while each
// Load was a statement of its own, and 2.9 to 5.3 times since Loads go together
// (go -C bench run . -only PostgreSQL, before and after in turn). One statement takes
// the server 80 to 90 µs, of which 8 are for the row; one for 8 rows takes 185, and
// one for 16 rows 240. A pipeline of 8 statements takes 400 to 500.
//
//	go test -run=- -bench=SlidingReads -benchtime=2s ./store/pgstore
func BenchmarkSlidingReads(b *testing.B) {
	const records, connections = 10_000, 16
	server := servers.Start(b, servers.Postgres)
	execute(b, server.URL, "ALTER SYSTEM SET fsync = on")
	execute(b, server.URL, "SELECT pg_reload_conf()")
	to := with(b, server.URL, "pool_max_conns", fmt.Sprint(connections))
	admin := connect(b, server.URL)
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		until(b, setting+" to be on", func() bool {
			return scan[string](b, admin, "SELECT current_setting($1)", setting) == "on"
		})
	}
	open(b, admin, pgstore.Options{})
	execute(b, server.URL, fmt.Sprintf(naive, bob, records-1))
	execute(b, server.URL, "INSERT INTO session (sid, sess, expire) SELECT sid, sess, expire FROM naive")
	execute(b, server.URL, "VACUUM ANALYZE")

	// Each read is to move a deadline, in whichever run.
	latest, moves := time.Now().Add(2*time.Hour), atomic.Int64{}
	for _, c := range []struct {
		name, table string
		do          func(pool *pgxpool.Pool, s *pgstore.Store, id string, to time.Time) error
	}{
		{"pgstore", "session", func(pool *pgxpool.Pool, s *pgstore.Store, id string, to time.Time) error {
			rec, err := s.Load(b.Context(), id, session.Slide{To: to})
			if err == nil && rec.Deadline.Before(to) {
				err = fmt.Errorf("the deadline is %v; want %v", rec.Deadline, to)
			}
			return err
		}},
		{"connect-pg-simple", "naive", func(pool *pgxpool.Pool, s *pgstore.Store, id string, to time.Time) error {
			var data []byte
			err := pool.QueryRow(b.Context(), "SELECT sess FROM naive WHERE sid = $1 AND expire >= to_timestamp($2::float8)",
				id, float64(time.Now().Unix())).Scan(&data)
			if err == nil {
				err = moveNaive(b.Context(), pool, id, to)
			}
			return err
		}},
		{"connect-pg-simple, touch alone", "naive", func(pool *pgxpool.Pool, s *pgstore.Store, id string, to time.Time) error {
			return moveNaive(b.Context(), pool, id, to)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			pool := connect(b, to)
			s := pgstore.New(pool, pgstore.Options{PruneEvery: -1})
			defer s.Close()
			before, hotBefore := updates(b, admin, c.table, 0)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range connections {
				wg.Go(func() {
					for {
						i := next.Add(1)
						if i > int64(b.N) {
							return
						}
						to := latest.Add(time.Duration(moves.Add(1)) * time.Millisecond)
						if err := c.do(pool, s, fmt.Sprint("id", i*7919%records), to); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
			pool.Close()
			after, hot := updates(b, admin, c.table, before+b.N)
			b.ReportMetric(float64(hot-hotBefore)/float64(max(1, after-before))*100, "%HOT")
		})
	}
}

func moveNaive(ctx context.Context, pool *pgxpool.Pool, id string, to time.Time) error {
	_, err := pool.Exec(ctx, "UPDATE naive SET expire = to_timestamp($1::float8) WHERE sid = $2", float64(to.UnixMilli())/1000, id)
	return err
}

// updates returns how many updates a table has seen and how many of these were
// HOT. A connection tells of its last ones when it ends, and so this waits a
// little until there are at least so many.
func updates(b *testing.B, admin *pgxpool.Pool, table string, least int) (all, hot int) {
	b.Helper()
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		all = scan[int](b, admin, "SELECT n_tup_upd::int FROM pg_stat_user_tables WHERE relname = $1", table)
		hot = scan[int](b, admin, "SELECT n_tup_hot_upd::int FROM pg_stat_user_tables WHERE relname = $1", table)
		if all >= least || time.Now().After(end) {
			return all, hot
		}
	}
}
