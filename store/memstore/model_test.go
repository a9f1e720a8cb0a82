package memstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// A model is what a store is to be: a map.
type model struct {
	t    testing.TB
	s    *memstore.Store
	rand *rand.Rand
	ids  []string
	rows map[string]row
	seq  int
}

type row struct {
	data     []byte
	deadline time.Time
	user     string
	seq      int
}

func newModel(t testing.TB, seed uint64, ids int) *model {
	m := &model{
		t:    t,
		s:    memstore.New(memstore.Options{MaxSessions: -1, MaxBytes: -1}),
		rand: rand.New(rand.NewPCG(seed, 0)),
		rows: map[string]row{},
	}
	// A few shards only, so that each is as full as in a large store.
	for i := 0; len(m.ids) < ids; i++ {
		id := fmt.Sprintf("%032x", uint64(i)*0x9e3779b97f4a7c15)
		switch i % 8 {
		case 6:
			id = fmt.Sprintf("id.%d", i)
		case 7:
			id = strings.Repeat("x", i%90) + fmt.Sprint(i)
		}
		if m.s.ShardOf(id) < 2 {
			m.ids = append(m.ids, id)
		}
	}
	return m
}

func (m *model) live(id string) (row, bool) {
	r, ok := m.rows[id]
	return r, ok && time.Now().Before(r.deadline)
}

// data returns some data, mostly small and with one of a few beginnings.
func (m *model) data() []byte {
	n := m.rand.IntN(60)
	switch m.rand.IntN(40) {
	case 0:
		n = m.rand.IntN(3000)
	case 1:
		n = m.rand.IntN(40000)
	}
	return fmt.Appendf(nil, `{"cookie":{"path":"/","n":%d},"a":"%s"}`, m.rand.IntN(20)*m.rand.IntN(2), strings.Repeat("z", n))
}

func (m *model) want(what string, err, want error) {
	m.t.Helper()
	if !errors.Is(err, want) {
		m.t.Fatalf("%s = %v; want %v", what, err, want)
	}
}

// step does one random thing to the store and to the model, and compares.
func (m *model) step() {
	m.t.Helper()
	ctx := m.t.Context()
	id := m.ids[m.rand.IntN(len(m.ids))]
	was, live := m.live(id)
	life := time.Duration(1+m.rand.IntN(90_000)) * time.Millisecond
	deadline := time.Now().Add(life)
	absent := map[bool]error{true: nil, false: session.ErrNotFound}[live]
	switch op := m.rand.IntN(100); {
	case op < 30:
		rec := session.Record{Data: m.data(), Deadline: deadline}
		if m.rand.IntN(3) == 0 {
			rec.Owner.User = fmt.Sprint("user", m.rand.IntN(9))
			rec.Owner.AsOf = time.Now().Add(time.Hour)
		}
		err := m.s.Create(ctx, id, rec)
		if live {
			m.want("Create", err, session.ErrExists)
			return
		}
		m.want("Create", err, nil)
		m.seq++
		m.rows[id] = row{bytes.Clone(rec.Data), deadline, rec.Owner.User, m.seq}
	case op < 55:
		data := m.data()
		m.want("Update", m.s.Update(ctx, id, was.data, data, deadline), absent)
		if live {
			was.data, was.deadline = data, deadline
			m.rows[id] = was
		}
	case op < 58:
		err := m.s.Update(ctx, id, append(bytes.Clone(was.data), 'x'), m.data(), deadline)
		m.want("Update with other data", err, map[bool]error{true: session.ErrConflict, false: session.ErrNotFound}[live])
	case op < 65:
		m.want("Touch", m.s.Touch(ctx, id, deadline), absent)
		if live && deadline.After(was.deadline) {
			was.deadline = deadline
			m.rows[id] = was
		}
	case op < 75:
		old := append([]byte{}, was.data...) // not nil
		if m.rand.IntN(2) == 0 {
			old, absent = nil, nil
		}
		m.want("Delete", m.s.Delete(ctx, id, old), absent)
		delete(m.rows, id)
	case op < 76:
		user := fmt.Sprint("user", m.rand.IntN(9))
		n := 0
		for id, r := range m.rows {
			if _, live := m.live(id); live && r.user == user {
				n++
				delete(m.rows, id)
			}
		}
		if got, err := m.s.RevokeUser(ctx, user, time.Now()); got != n || err != nil {
			m.t.Fatalf("RevokeUser = %d, %v; want %d", got, err, n)
		}
	case op < 77:
		time.Sleep(time.Duration(m.rand.IntN(20_000)) * time.Millisecond)
	case op < 78 && m.rand.IntN(20) == 0:
		m.want("Clear", m.s.Clear(ctx), nil)
		clear(m.rows)
	default:
		rec, err := m.s.Load(ctx, id, session.Slide{To: deadline})
		m.want("Load", err, absent)
		if live {
			if deadline.After(was.deadline) {
				was.deadline = deadline
				m.rows[id] = was
			}
			if !bytes.Equal(rec.Data, was.data) || !rec.Deadline.Equal(was.deadline) {
				m.t.Fatalf("Load = %.60q until %v; want %.60q until %v", rec.Data, rec.Deadline, was.data, was.deadline)
			}
		}
	}
}

// compare compares all that the store has with the model.
func (m *model) compare() {
	m.t.Helper()
	ctx := m.t.Context()
	if err := m.s.Check(); err != nil {
		m.t.Fatal(err)
	}
	var want []string
	users := map[string][]string{}
	for id, r := range m.rows {
		if _, live := m.live(id); live {
			want = append(want, id)
			users[r.user] = append(users[r.user], id)
		}
	}
	var got []string
	for cursor := ""; ; {
		ids, next, err := m.s.List(ctx, cursor, 17)
		if err != nil {
			m.t.Fatal(err)
		}
		got = append(got, ids...)
		if cursor = next; next == "" {
			break
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		m.t.Fatalf("List has %d ids; want %d", len(got), len(want))
	}
	if n, err := m.s.Count(ctx); n != len(want) || err != nil {
		m.t.Fatalf("Count = %d, %v; want %d", n, err, len(want))
	}
	for i := range 9 {
		user := fmt.Sprint("user", i)
		want := users[user]
		slices.SortFunc(want, func(a, b string) int { return m.rows[a].seq - m.rows[b].seq })
		if got, err := m.s.UserIDs(ctx, user); !slices.Equal(got, want) || err != nil {
			m.t.Fatalf("UserIDs = %d ids, %v; want %d", len(got), err, len(want))
		}
	}
}

// play runs a model for so many steps on a fake clock.
func play(t *testing.T, seed uint64, ids, steps int) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, seed, ids)
		defer m.s.Close()
		for i := range steps {
			m.step()
			if i%500 == 0 {
				m.compare()
			}
		}
		m.compare()
		time.Sleep(5 * time.Minute)
		if err := m.s.Check(); err != nil {
			t.Fatal(err)
		}
		if n, _ := m.s.Held(); n != 0 {
			t.Errorf("the store holds %d records minutes after the last has died", n)
		}
	})
}

// Whatever is done to it, a store is what a map is.
func TestModel(t *testing.T) {
	steps := 60_000
	if testing.Short() || raceEnabled {
		steps = 6000
	}
	for _, ids := range []int{3, 40, 1500} {
		t.Run(fmt.Sprint("ids=", ids), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			play(t, seed, ids, steps)
		})
	}
}

func FuzzModel(f *testing.F) {
	f.Add(uint64(1), uint16(10), uint16(500))
	f.Add(uint64(2), uint16(300), uint16(3000))
	f.Fuzz(func(t *testing.T, seed uint64, ids, steps uint16) {
		play(t, seed, 1+int(ids)%400, int(steps)%5000)
	})
}

func FuzzID(f *testing.F) {
	for _, id := range []string{"a", "abcd", "abc-_", "AAAA=", "....", strings.Repeat("z", 128), strings.Repeat("~", 128)} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if id == "" || len(id) > 128 {
			return
		}
		got, n := memstore.PackedID(id)
		if got != id {
			t.Errorf("%q becomes %q when it is packed and unpacked", id, got)
		}
		if n > len(id) {
			t.Errorf("%q takes %d bytes", id, n)
		}
	})
}
