package interop_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Of 200 parallel requests to one session, half go to Express and half to
// Pillbox, each to set a key of its own.
//
// Express reads the session, changes its copy and stores that whole, blindly:
// what others stored since it read is gone. Nobody beside it can prevent that,
// and it happens as well if all 200 go to Express. What Pillbox promises is that
// it adds nothing to that: a commit replaces exactly what it was made from. So
// in the sequence of what has lain in the row, each step that Pillbox made leaves
// every key that was there, of either side, with its value, and adds those of its
// requests that share the write; each request to it was answered with 200 and its
// key was added once; and its writes that would have replaced something newer were
// refused and done again.
//
// Redis and PostgreSQL tell the sequence themselves. Elsewhere commands that write
// reach the server one at a time and the row is looked at after each, so there the
// test does not see whether the server keeps single commands apart. What it reads
// and what it writes still mix as they come.
func (h *house) testParallel(t *testing.T) {
	const workers, rounds, n = 20, 5, 100
	journal := &journal{Store: h.open(t, h.tap.url, watched), latency: 20 * time.Millisecond}
	express, pillbox := h.app(tapped).url, h.pillbox(t, journal).url

	v := &visitor{t: t}
	v.must(pillbox, `[["set","user","bob"]]`)
	h.tap.begin(v.id())
	states := []string{h.row(t, watched, v.id()).data}
	crowd(t, v.cookie, workers, rounds, map[string]string{"express": express, "pillbox": pillbox})
	states = append(states, h.tap.states()...)

	steps, lost := make(map[string]int), make(map[string]int)
	added := make(map[string]bool) // by Pillbox
	for i, after := range states[1:] {
		before, after := ordered(t, states[i]), ordered(t, after)
		writer := after.writer()
		steps[writer]++
		for _, name := range before.names {
			value, kept := after.values[name]
			if !kept {
				lost[writer]++
			}
			if writer == "pillbox" && !bytes.Equal(value, before.values[name]) {
				t.Errorf("a commit of Pillbox made of %s: %s the value %q; want it untouched", name, before.values[name], value)
			}
		}
		if writer != "pillbox" {
			continue
		}
		for _, name := range after.names {
			if _, there := before.values[name]; there {
				continue
			}
			if !strings.HasPrefix(name, "pillbox") || added[name] {
				t.Errorf("a commit of Pillbox added %s; want a key of its own, once", name)
			}
			added[name] = true
		}
	}
	if steps["express"] != n || steps["pillbox"] == 0 || steps["pillbox"] > n {
		t.Errorf("the row was written by %v; want %d times by Express, and no more often by Pillbox", steps, n)
	}
	if len(added) != n {
		t.Errorf("commits of Pillbox added %d different keys; want %d", len(added), n)
	}
	if lost["pillbox"] != 0 {
		t.Errorf("Pillbox lost %d keys; want 0", lost["pillbox"])
	}
	if journal.overExpress == 0 {
		t.Error("Pillbox had no conflict with a write of Express; the two never met")
	}
	left := len(ordered(t, states[len(states)-1]).names) - 3 // cookie, Pillbox's own, user
	t.Logf("half to each: Pillbox lost %d keys in %d commits after %d conflicts, %d of them with Express; Express overwrote %d in %d writes; %d of %d are left",
		lost["pillbox"], steps["pillbox"], journal.conflicts, journal.overExpress, lost["express"], steps["express"], left, 2*n)

	v = &visitor{t: t}
	v.must(h.app(plain).url, `[["set","user","bob"]]`)
	crowd(t, v.cookie, 2*workers, rounds, map[string]string{"express": h.app(plain).url})
	left = len(v.must(h.app(plain).url, `[]`).data) - 1
	if left == 2*n {
		t.Errorf("all %d to Express: all are left; want fewer, or the requests were not parallel", 2*n)
	}
	t.Logf("all %d to Express: %d are left", 2*n, left)
}

// A session as its members, in the order in which they are stored.
type object struct {
	names  []string
	values map[string]json.RawMessage
}

func ordered(t *testing.T, text string) object {
	t.Helper()
	m := object{values: make(map[string]json.RawMessage)}
	d := json.NewDecoder(strings.NewReader(text))
	_, err := d.Token()
	for err == nil && d.More() {
		var name json.Token
		var value json.RawMessage
		if name, err = d.Token(); err == nil {
			err = d.Decode(&value)
			m.names = append(m.names, name.(string))
			m.values[name.(string)] = value
		}
	}
	if err != nil {
		t.Fatalf("stored %s: %v", text, err)
	}
	return m
}

// writer returns the side that set the last member: new ones go to the end of
// the object.
func (m object) writer() string {
	return strings.TrimRight(m.names[len(m.names)-1], "0123456789")
}
