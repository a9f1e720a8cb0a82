package dynamostore_test

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/dynamostore"
)

// Four processes begin at the same time, and append to one record 1,000 times
// between them. What races for its own sake runs on dynalite only: moto's writes
// are atomic because they go one at a time, which says nothing.
func TestProcessesKeepEveryAppend(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	const processes, each = 4, 250
	var all []*child
	for i := range processes {
		all = append(all, l.start(t, "append", strconv.Itoa(i), strconv.Itoa(each)))
	}
	for i, c := range all {
		if err := c.Wait(); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
	}
	rec, err := l.store.Load(t.Context(), "list", session.Slide{})
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
}

func TestEndedIsFinalAcrossProcesses(t *testing.T) {
	l := newLab(t, sharedDynalite(t))
	for name, end := range map[string]func(s *dynamostore.Store) error{
		"Delete": func(s *dynamostore.Store) error { return s.Delete(t.Context(), "ended", nil) },
		"RevokeUser": func(s *dynamostore.Store) error {
			return second(s.RevokeUser(t.Context(), "alice", time.Now()))
		},
		"Clear": func(s *dynamostore.Store) error { return s.Clear(t.Context()) },
	} {
		rec := record(`{"a":1}`)
		rec.Owner = session.Owner{User: "alice", AsOf: time.Now()}
		if err := l.store.Create(t.Context(), "ended", rec); err != nil {
			t.Fatal(err)
		}
		c := l.start(t, "revive")
		if _, err := c.stdout.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if err := end(l.store); err != nil {
			t.Fatal(err)
		}
		io.WriteString(c.stdin, "ended\n")
		if err := c.Wait(); err != nil {
			t.Errorf("%s: the other process: %v", name, err)
		}
		if rec, err := l.store.Load(t.Context(), "ended", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("after %s: Load = %s, %v; want %v", name, rec.Data, err, session.ErrNotFound)
		}
	}
}
