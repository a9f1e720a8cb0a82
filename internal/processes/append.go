package processes

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// own are the roles of this package's tests.
var own = map[string]Role{
	"append": appendNumbers,
	"revive": revive,
}

// A list is the record that processes append to.
type list struct {
	Numbers []int `json:"list"`
}

// KeepEveryAppend checks that of four processes, which all find nothing there and
// append to one record 1,000 times between them, none loses anything. store is the
// test's own, on what the processes open by where.
func KeepEveryAppend(t *testing.T, store session.Store, where ...string) {
	t.Helper()
	const processes, each = 4, 250
	var all []*Process
	for i := range processes {
		all = append(all, Start(t, where, "append", strconv.Itoa(i*each), strconv.Itoa(each)))
	}
	for i, p := range all {
		if err := p.Wait(); err != nil {
			t.Errorf("process %d: %v", i, err)
		}
	}
	rec, err := store.Load(t.Context(), "list", session.Slide{})
	if err != nil {
		t.Fatal(err)
	}
	var l list
	if err := json.Unmarshal(rec.Data, &l); err != nil {
		t.Fatal(err)
	}
	times := map[int]int{}
	for _, n := range l.Numbers {
		times[n]++
	}
	kept := 0
	for n := range processes * each {
		if times[n] == 1 {
			kept++
		}
	}
	if total := processes * each; kept != total || len(l.Numbers) != total {
		t.Errorf("of %d appends %d are there exactly once, in a list of %d", total, kept, len(l.Numbers))
	}
}

// appendNumbers appends the numbers from args[0] on, as many as args[1] says.
func appendNumbers(ctx context.Context, s session.Store, args []string) error {
	first, err1 := strconv.Atoi(args[0])
	n, err2 := strconv.Atoi(args[1])
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	until := time.Now().Add(time.Hour).Truncate(time.Second)
	err := s.Create(ctx, "list", session.Record{Data: []byte(`{"list":[]}`), Deadline: until})
	if err != nil && !errors.Is(err, session.ErrExists) {
		return err
	}
	for i := range n {
		for {
			rec, err := s.Load(ctx, "list", session.Slide{To: until.Add(time.Duration(i) * time.Second)})
			if err != nil {
				return err
			}
			var l list
			if err := json.Unmarshal(rec.Data, &l); err != nil {
				return err
			}
			l.Numbers = append(l.Numbers, first+i)
			data, err := json.Marshal(l)
			if err != nil {
				return err
			}
			if err = s.Update(ctx, "list", rec.Data, data, until); err == nil {
				break
			}
			if !errors.Is(err, session.ErrConflict) {
				return err
			}
		}
	}
	return nil
}
