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

// The better of two runs against servers on the same machine, two processors that
// other work kept busy: only what is a multiple of something else counts. The
// servers did not force commits to the disk.
//
//	go test -run '^$' -bench . ./store/mysqlstore
//
//	                                     MariaDB 10.11   MySQL 9.7
//	Load, 16 connections                         58 µs      120 µs    2.6 kB    37 allocs
//	Load with a slide, not due, Open            201 µs      295 µs    4.2 kB    52 allocs
//	Load with a slide, not due, New              65 µs      122 µs    2.6 kB    37 allocs
//	Load with a slide, Open                     419 µs      426 µs    4.2 kB    52 allocs
//	Load with a slide, New                      247 µs      398 µs    4.0 kB    56 allocs
//	Update, 16 connections                      146 µs      191 µs    5.2 kB    28 allocs
//
// So the one round trip of Open costs the server more work, four statements for
// one: it pays where the network takes longer than a few tenths of a millisecond.
const benchRecords = 10_000

func benchID(i uint32) string {
	return fmt.Sprintf("%08x%s", (i%benchRecords)*2654435761, strings.Repeat("x", 24))
}

// benchStore returns a store with records of 1 kB and a pool of its own, or one
// that New makes of a plain pool.
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
