package sqlitestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

// Four processes open a file that none of them finds there, and append to one
// record of it 1,000 times between them.
func TestProcessesShareAFile(t *testing.T) {
	const processes, each = 4, 250
	path := temp(t)
	var all []*child
	for i := range processes {
		all = append(all, start(t, "append", path, strconv.Itoa(i), strconv.Itoa(each)))
	}
	for i, c := range all {
		if err := c.Wait(); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
	}
	rec, err := open(t, path).Load(t.Context(), "list", session.Slide{})
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]int{}
	for line := range strings.Lines(string(rec.Data)) {
		kept[line]++
	}
	for i := range processes {
		lost := 0
		for n := range each {
			if kept[fmt.Sprintf("%d/%d\n", i, n)] != 1 {
				lost++
			}
		}
		if lost > 0 {
			t.Errorf("of the %d appends of process %d, %d are not there exactly once", each, i, lost)
		}
	}
}

// Each round kills a process that is writing with four goroutines, and looks
// for every write that the process had heard was done.
func TestKill(t *testing.T) {
	path := temp(t)
	total := 0
	for round := range 8 {
		c := start(t, "record", path, strconv.Itoa(round))
		left := 150 + rand.N(300)   // kill it after so many acknowledged writes, amid the next
		last := map[string]string{} // the last acknowledged data by id; "" once deleted
		for lines := bufio.NewScanner(c.stdout); lines.Scan(); total++ {
			if left--; left == 0 {
				c.Process.Kill()
			}
			id, n, _ := strings.Cut(lines.Text()[1:], " ")
			last[id] = n
		}
		s, err := sqlitestore.Open(t.Context(), path, sqlitestore.Options{})
		if err != nil {
			t.Fatalf("Open after a kill: %v", err)
		}
		for id, want := range last {
			rec, err := s.Load(t.Context(), id, session.Slide{})
			if want == "" {
				if !errors.Is(err, session.ErrNotFound) {
					t.Errorf("round %d: %s was deleted; Load = %v; want %v", round, id, err, session.ErrNotFound)
				}
				continue
			}
			// What was begun but not acknowledged may have happened too.
			next, _ := strconv.Atoi(want)
			next++
			if got := string(rec.Data); got != want && got != strconv.Itoa(next) && !(next == 5 && errors.Is(err, session.ErrNotFound)) {
				t.Errorf("round %d: Load(%s) = %q, %v; want %q, or what came next", round, id, got, err, want)
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	t.Logf("%d acknowledged writes", total)
	if total < 1000 {
		t.Errorf("%d acknowledged writes in all; want enough of them to prove something", total)
	}
}

func TestEndedIsFinalAcrossProcesses(t *testing.T) {
	for name, end := range map[string]func(s *sqlitestore.Store) error{
		"Delete": func(s *sqlitestore.Store) error { return s.Delete(t.Context(), "ended", nil) },
		"RevokeUser": func(s *sqlitestore.Store) error {
			return second(s.RevokeUser(t.Context(), "alice", time.Now()))
		},
		"Clear": func(s *sqlitestore.Store) error { return s.Clear(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			path := temp(t)
			s := open(t, path)
			err := s.Create(t.Context(), "ended", session.Record{
				Data:     []byte("a"),
				Deadline: time.Now().Add(time.Hour).Truncate(time.Millisecond),
				Owner:    session.Owner{User: "alice", AsOf: time.Now()},
			})
			if err != nil {
				t.Fatal(err)
			}
			c := start(t, "revive", path)
			if _, err := c.stdout.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
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

// A process that writes without a pause leaves others their turn.
func TestWritersTakeTurns(t *testing.T) {
	path := temp(t)
	s := open(t, path)
	for i := range 2 {
		c := start(t, "greedy", path, strconv.Itoa(i))
		if _, err := c.stdout.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	in := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	if err := s.Create(t.Context(), "mine", session.Record{Data: []byte("x"), Deadline: in}); err != nil {
		t.Fatal(err)
	}
	var longest, sum time.Duration
	const rounds = 300
	for range rounds {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		begun := time.Now()
		err := s.Update(ctx, "mine", []byte("x"), []byte("x"), in)
		cancel()
		if err != nil {
			t.Fatalf("Update beside two busy processes: %v", err)
		}
		took := time.Since(begun)
		sum += took
		longest = max(longest, took)
	}
	t.Logf("waited %v on average, %v at most", sum/rounds, longest)
}
