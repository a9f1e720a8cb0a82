package pgstore_test

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/pgstore"
)

// Four processes, none of which finds the table there, append to one record
// 1,000 times between them.
func TestProcessesShareATable(t *testing.T) {
	const processes, each = 4, 250
	to, name := shared(t), table()
	var all []*child
	for i := range processes {
		all = append(all, start(t, "append", to, name, strconv.Itoa(1+i*each), strconv.Itoa(each)))
	}
	for i, c := range all {
		if err := c.Wait(); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
	}
	rec, err := open(t, connect(t, to), pgstore.Options{Table: name}).Load(t.Context(), "list", session.Slide{})
	if err != nil {
		t.Fatal(err)
	}
	var list []int
	if err := json.Unmarshal(rec.Data, &list); err != nil {
		t.Fatal(err)
	}
	times := map[int]int{}
	for _, n := range list {
		times[n]++
	}
	lost := 0
	for n := range 1 + processes*each {
		if times[n] != 1 {
			lost++
		}
	}
	if lost > 0 || len(list) != 1+processes*each {
		t.Errorf("the list has %d entries, and %d of %d are not there exactly once", len(list), lost, 1+processes*each)
	}
}

func TestEndedIsFinalAcrossProcesses(t *testing.T) {
	for name, end := range map[string]func(s *pgstore.Store) error{
		"Delete": func(s *pgstore.Store) error { return s.Delete(t.Context(), "ended", nil) },
		"RevokeUser": func(s *pgstore.Store) error {
			return second(s.RevokeUser(t.Context(), "alice", time.Now()))
		},
		"Clear": func(s *pgstore.Store) error { return s.Clear(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			to, name := shared(t), table()
			s := open(t, connect(t, to), pgstore.Options{Table: name})
			if err := s.Create(t.Context(), "ended", signIn(0)); err != nil {
				t.Fatal(err)
			}
			c := start(t, "revive", to, name)
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
}
