package mysqlstore_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// TABLE
const benchRecords = 10_000

func benchID(i uint32) string {
	return fmt.Sprintf("%08x%s", (i%benchRecords)*2654435761, strings.Repeat("x", 24))
}

// benchStore returns a store with records of 1 kB, as Open makes it or, with
// "New" parameters of a DSN, as New does.
func benchStore(b *testing.B, k servers.Kind, own bool, conns int) (*mysqlstore.Store, []byte) {
	cfg, table := config(b, servers.Shared(b, k), ""), tableName()
	s := migrated(b, cfg, mysqlstore.Options{Table: table, MaxConns: conns})
	data := bytes.Repeat([]byte("x"), 1000)
	db := pool(b, cfg)
	for i := uint32(0); i < benchRecords; {
		var rows []string
		for range 1000 {
			rows = append(rows, fmt.Sprintf("('%s', %d, '%s')", benchID(i), time.Now().Unix()+3600, data))
			i++
		}
		do(b, db, "INSERT INTO "+table+" (session_id, expires, data) VALUES "+strings.Join(rows, ","))
	}
	if own {
		return s, data
	}
	db = pool(b, cfg)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	s = mysqlstore.New(db, mysqlstore.Options{Table: table, PruneEvery: -1})
	b.Cleanup(func() { s.Close() })
	return s, data
}

// What does a request wait for, and how many a second get through?
func BenchmarkStore(b *testing.B) {
	ctx := context.Background()
	for _, k := range []servers.Kind{servers.MariaDB, servers.MySQL} {
		for _, conns := range []int{1, 16} {
			for _, made := range []string{"Open", "New"} {
				s, data := benchStore(b, k, made == "Open", conns)
				var n atomic.Uint32
				to := time.Now().Add(2 * time.Hour).Truncate(time.Second)
				for _, call := range []struct {
					name string
					do   func(id string, n uint32) error
				}{
					{"Load", func(id string, _ uint32) error { return second(s.Load(ctx, id, session.Slide{})) }},
					{"LoadNotDue", func(id string, _ uint32) error {
						return second(s.Load(ctx, id, session.Slide{To: to, Before: to.Add(-90 * time.Minute)}))
					}},
					{"LoadSlide", func(id string, n uint32) error {
						return second(s.Load(ctx, id, session.Slide{To: to.Add(time.Duration(n) * time.Second)}))
					}},
					{"Update", func(id string, n uint32) error {
						return s.Update(ctx, id, data, data, to.Add(time.Duration(n)*time.Second))
					}},
				} {
					b.Run(fmt.Sprintf("%s/%d/%s/%s", k, conns, made, call.name), func(b *testing.B) {
						b.SetParallelism((conns + 1) / 2)
						b.ReportAllocs()
						if conns == 1 {
							for b.Loop() {
								i := n.Add(1)
								if err := call.do(benchID(i), i); err != nil {
									b.Fatal(err)
								}
							}
							return
						}
						b.RunParallel(func(pb *testing.PB) {
							for pb.Next() {
								i := n.Add(1)
								if err := call.do(benchID(i), i); err != nil {
									b.Error(err)
								}
							}
						})
					})
				}
			}
		}
	}
}
