package mongostore_test

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mongostore"
)

// Four processes begin at the same time, and append to one record 1,000 times
// between them.
func TestProcessesKeepEveryAppend(t *testing.T) {
	const processes, each = 4, 250
	for _, form := range forms {
		t.Run(form.name, func(t *testing.T) {
			db := database(t)
			var all []*child
			for i := range processes {
				all = append(all, start(t, "append", db, form.name, strconv.Itoa(i), strconv.Itoa(each)))
			}
			for i, c := range all {
				if err := c.Wait(); err != nil {
					t.Errorf("process %d: %v", i, err)
				}
			}
			rec, err := open(t, db, form.Options).Load(t.Context(), "list", session.Slide{})
			if err != nil {
				t.Fatal(err)
			}
			kept := 0
			for i := range processes {
				for n := range each {
					kept += strings.Count(string(rec.Data), fmt.Sprintf(`"%d/%d"`, i, n))
				}
			}
			if total := processes * each; kept != total || strings.Count(string(rec.Data), ",") != total-1 {
				t.Errorf("of %d appends %d were kept, in a list of %d; want each once", total, kept, strings.Count(string(rec.Data), ",")+1)
			}
		})
	}
}

func TestEndedIsFinalAcrossProcesses(t *testing.T) {
	for _, form := range forms {
		for name, end := range map[string]func(s *mongostore.Store) error{
			"Delete": func(s *mongostore.Store) error { return s.Delete(t.Context(), "ended", nil) },
			"RevokeUser": func(s *mongostore.Store) error {
				return second(s.RevokeUser(t.Context(), "alice", time.Now()))
			},
			"Clear": func(s *mongostore.Store) error { return s.Clear(t.Context()) },
		} {
			t.Run(form.name+"/"+name, func(t *testing.T) {
				db := database(t)
				s := open(t, db, form.Options)
				err := s.Create(t.Context(), "ended", session.Record{
					Data:     []byte(`{"a":1}`),
					Deadline: in(hour),
					Owner:    session.Owner{User: "alice", AsOf: time.Now()},
				})
				if err != nil {
					t.Fatal(err)
				}
				c := start(t, "revive", db, form.name)
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
					t.Errorf("Load = %s, %v; want %v", rec.Data, err, session.ErrNotFound)
				}
			})
		}
	}
}
