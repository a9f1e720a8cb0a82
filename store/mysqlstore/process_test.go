package mysqlstore_test

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// Four processes make the table that none of them finds there, and append to one
// record of it 1,000 times between them.
func TestProcessesShareATable(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		const processes, each = 4, 250
		cfg, name := config(t, servers.Shared(t, k), ""), tableName()
		var all []*child
		for i := range processes {
			all = append(all, start(t, "append", cfg.FormatDSN(), name, strconv.Itoa(i), strconv.Itoa(each)))
		}
		for i, c := range all {
			if err := c.Wait(); err != nil {
				t.Errorf("process %d: %v", i, err)
			}
		}
		rec, err := open(t, cfg, mysqlstore.Options{Table: name}).Load(t.Context(), "list", session.Slide{})
		if err != nil {
			t.Fatal(err)
		}
		kept := map[string]int{}
		for line := range strings.Lines(string(rec.Data)) {
			kept[line]++
		}
		total := 0
		for i := range processes {
			lost := 0
			for n := range each {
				if kept[fmt.Sprintf("%d/%d\n", i, n)] != 1 {
					lost++
				}
			}
			total += each - lost
			if lost > 0 {
				t.Errorf("of the %d appends of process %d, %d are not there exactly once", each, i, lost)
			}
		}
		t.Logf("%d of %d appends kept", total, processes*each)
	})
}

func TestEndedIsFinalAcrossProcesses(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		for name, end := range map[string]func(s *mysqlstore.Store) error{
			"Delete": func(s *mysqlstore.Store) error { return s.Delete(t.Context(), "ended", nil) },
			"RevokeUser": func(s *mysqlstore.Store) error {
				return second(s.RevokeUser(t.Context(), "alice", time.Now()))
			},
			"Clear": func(s *mysqlstore.Store) error { return s.Clear(t.Context()) },
		} {
			t.Run(name, func(t *testing.T) {
				cfg, table := config(t, servers.Shared(t, k), ""), tableName()
				s := migrated(t, cfg, mysqlstore.Options{Table: table})
				err := s.Create(t.Context(), "ended", session.Record{
					Data:     []byte("a"),
					Deadline: in(time.Hour),
					Owner:    session.Owner{User: "alice", AsOf: time.Now()},
				})
				if err != nil {
					t.Fatal(err)
				}
				c := start(t, "revive", cfg.FormatDSN(), table)
				if _, err := c.stdout.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
				if err := end(s); err != nil {
					t.Fatal(err)
				}
				io.WriteString(c.stdin, "ended\n")
				if err := c.Wait(); err != nil {
					t.Errorf("the other process: %v", err)
				}
				if rec, err := s.Load(t.Context(), "ended", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("Load = %q, %v; want %v", rec.Data, err, session.ErrNotFound)
				}
			})
		}
	})
}
