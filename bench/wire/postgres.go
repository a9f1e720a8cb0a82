package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
	"github.com/pillboxgo/pillbox/internal/servers"
)

const postgresNote = "16 goroutines on 16 connections call the handler in this process; each request reads and moves the deadline " +
	"(Pillbox's TouchEvery is off, scs has its IdleTimeout set). fsync and synchronous_commit are on. \"connect-pg-simple's table\" " +
	"has its columns, its index on the deadline and its two statements a request, sent from Go; connect-pg-simple itself is " +
	"Express over HTTP, which costs it more than the database does."

// naive is the contender that the aim is about.
const naive = "connect-pg-simple's table"

func postgresRows() []measure.Row {
	return []measure.Row{{
		Name: "PostgreSQL, reads with sliding expiry, 16 connections", Note: postgresNote, Key: "ops/s", Higher: true,
		Aim: []measure.Limit{{
			Text:  "4 times the naive table",
			Value: func(s measure.Summary) float64 { return s.Ratio(measure.Pillbox, naive, "ops/s") },
			Least: 4,
		}, {
			Text:  "4 times scs (gob)",
			Value: func(s measure.Summary) float64 { return s.Ratio(measure.Pillbox, "scs (gob)", "ops/s") },
			Least: 4,
		}},
		Open: on(func(s *stage) (all []measure.Contender) {
			url := s.postgres()
			at := setting{store: "postgres", url: url, slide: true}
			for _, p := range []struct {
				peer
				expire string // makes all sessions end soon
				moved  string // counts those that do not
			}{
				{peers[0], `UPDATE session SET expire = (now() + '5 min') AT TIME ZONE 'UTC'`, `SELECT count(*) FROM session WHERE expire > (now() + '6 min') AT TIME ZONE 'UTC'`},
				{peers[1], `UPDATE sessions SET expiry = now() + '5 min'`, `SELECT count(*) FROM sessions WHERE expiry > now() + '6 min'`},
				{peer{title: naive, stores: []string{"postgres"}, open: openNaive}, `UPDATE naive SET expire = now() + '5 min'`, `SELECT count(*) FROM naive WHERE expire > now() + '6 min'`},
			} {
				site, err := p.start(s.ctx, at)
				s.check(err)
				s.Cleanup(site.close)
				crowd := s.crowd(p.title, site.handler, connections, 64)
				s.check(touched(s.ctx, url, p.expire, p.moved, crowd[0][0].read))
				all = append(all, measure.Contender{Name: p.title, Run: func(d time.Duration) (measure.Figures, error) {
					return drive(crowd, d, (*guest).read)
				}})
			}
			c := s.express("connect-pg-simple", at)
			visitors := s.visitors(c, connections)
			return append(all, measure.Contender{Name: c.title, Run: func(d time.Duration) (measure.Figures, error) {
				used, ops, took, err := c.load(visitors, d, (*visitor).read)
				return measure.Figures{
					"ops/s": float64(ops) / took.Seconds(), "cpu ns/op": float64(used) / float64(ops),
				}, err
			}})
		}),
	}}
}

// postgres starts a PostgreSQL of the row's own, as its defaults have it where
// what is committed is concerned.
func (s *stage) postgres() (url string) {
	s.Helper()
	server := servers.Start(s, servers.Postgres)
	conn, err := pgx.Connect(s.ctx, server.URL)
	s.check(err)
	defer conn.Close(s.ctx)
	// Tests do without.
	for _, statement := range []string{"ALTER SYSTEM SET fsync = on", "SELECT pg_reload_conf()"} {
		_, err := conn.Exec(s.ctx, statement)
		s.check(err)
	}
	for range 500 {
		var safe bool
		s.check(conn.QueryRow(s.ctx, `SELECT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') = 'on'
	AND current_setting('full_page_writes') = 'on'`).Scan(&safe))
		if safe {
			var version string
			s.check(conn.QueryRow(s.ctx, "SHOW server_version").Scan(&version))
			seen("PostgreSQL", version)
			return server.URL
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.Fatal("PostgreSQL does not take fsync = on")
	return ""
}

// touched returns an error unless a read moves a deadline.
func touched(ctx context.Context, url, expire, moved string, read func() error) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, expire); err != nil {
		return err
	}
	if err := read(); err != nil {
		return err
	}
	var n int
	if err := conn.QueryRow(ctx, moved).Scan(&n); err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("%w: a read moves %d deadlines: %s", errWork, n, moved)
	}
	return nil
}

// naiveTable is that of connect-pg-simple 10, table.sql.
const naiveTable = `CREATE TABLE naive (
	sid varchar NOT NULL COLLATE "default" PRIMARY KEY,
	sess json NOT NULL,
	expire timestamp(6) NOT NULL
);
CREATE INDEX naive_expire ON naive (expire);`

type naiveSession struct {
	User   string `json:"user"`
	Visits int    `json:"visits"`
}

// openNaive opens what connect-pg-simple does for a request, without Express: its
// table and its statements for getting and touching. Its cookie is the bare id.
func openNaive(ctx context.Context, s setting) (*site, error) {
	pool, err := pool(ctx, s.url)
	if err != nil {
		return nil, err
	}
	if _, err := pool.Exec(ctx, naiveTable); err != nil {
		pool.Close()
		return nil, err
	}
	n := naiveStore{pool}
	none := func(w http.ResponseWriter, _ *http.Request) { refuse(w, errors.New("not measured")) }
	return routes{
		start: n.start, read: n.read, write: n.write, append: none, list: none,
	}.site(func(h http.Handler) http.Handler { return h }, pool.Close), nil
}

type naiveStore struct{ *pgxpool.Pool }

func (n naiveStore) set(ctx context.Context, id string, visitor naiveSession) error {
	data, err := json.Marshal(visitor)
	if err == nil {
		_, err = n.Exec(ctx, `INSERT INTO naive (sess, expire, sid) SELECT $1::json, to_timestamp($2::float8), $3
ON CONFLICT (sid) DO UPDATE SET sess = $1::json, expire = to_timestamp($2::float8)`, data, deadline(), id)
	}
	return err
}

func (n naiveStore) get(r *http.Request) (id string, visitor naiveSession, err error) {
	cookie, err := r.Cookie("naive")
	if err != nil {
		return "", visitor, nil
	}
	var data []byte
	err = n.QueryRow(r.Context(), `SELECT sess FROM naive WHERE sid = $1 AND expire >= to_timestamp($2::float8)`,
		cookie.Value, float64(time.Now().UnixMilli())/1e3).Scan(&data)
	if err == nil {
		err = json.Unmarshal(data, &visitor)
	}
	return cookie.Value, visitor, err
}

// deadline is in seconds, as connect-pg-simple has it.
func deadline() float64 { return float64(time.Now().Add(idle).UnixMicro()) / 1e6 }

func (n naiveStore) start(w http.ResponseWriter, r *http.Request) {
	id := strconv.FormatInt(time.Now().UnixNano(), 36) + fmt.Sprintf("-%p", r)
	if err := n.set(r.Context(), id, naiveSession{User: "visitor"}); err != nil {
		refuse(w, err)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "naive", Value: id})
	say(w, "started")
}

func (n naiveStore) read(w http.ResponseWriter, r *http.Request) {
	id, visitor, err := n.get(r)
	if err == nil {
		_, err = n.Exec(r.Context(), `UPDATE naive SET expire = to_timestamp($1::float8) WHERE sid = $2`, deadline(), id)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	say(w, visitor.User)
}

func (n naiveStore) write(w http.ResponseWriter, r *http.Request) {
	id, visitor, err := n.get(r)
	visitor.Visits++
	if err == nil {
		err = n.set(r.Context(), id, visitor)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	say(w, strconv.Itoa(visitor.Visits))
}
