package sqlitestore_test

import (
	"bufio"
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/processes"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

func TestProcessesShareAFile(t *testing.T) {
	path := temp(t)
	processes.KeepEveryAppend(t, open(t, path), path)
}

// Each round kills a process that is writing with four goroutines, and looks
// for every write that the process had heard was done.
func TestKill(t *testing.T) {
	path := temp(t)
	total := 0
	for round := range 8 {
		c := processes.Start(t, []string{path}, "record", strconv.Itoa(round))
		left := 150 + rand.N(300)   // kill it after so many acknowledged writes, amid the next
		last := map[string]string{} // the last acknowledged data by id; "" once deleted
		for lines := bufio.NewScanner(c.Stdout); lines.Scan(); total++ {
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
	processes.EndedIsFinal(t, func(t *testing.T) (session.Store, []string) {
		path := temp(t)
		return open(t, path), []string{path}
	})
}

// A process that writes without a pause leaves others their turn.
func TestWritersTakeTurns(t *testing.T) {
	path := temp(t)
	s := open(t, path)
	for i := range 2 {
		processes.Start(t, []string{path}, "greedy", strconv.Itoa(i)).Hear(t)
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
