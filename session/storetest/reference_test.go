package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// reference is a correct store, or, if bug is set, one that is broken in the
// one way that bug names. It runs on the fake clock of testing/synctest, and a
// broken one sleeps where it is to lose a race, never with its lock held.
type reference struct {
	bug string
	*shelf
}

// A shelf is what outlives a reference: its records.
type shelf struct {
	mu      sync.Mutex
	rows    map[string]*row
	seq     int
	revoked map[string]time.Time
	was     map[string]string // the owner that a record had under an id that is another's now
	failed  bool              // by Config.Break
	stalled chan struct{}     // by Config.Stall: closed when released

	listeners []*listener
}

type row struct {
	data     []byte
	deadline time.Time
	user     string
	seq      int // in order of creation
}

func newReference(bug string) *reference {
	return &reference{bug, &shelf{rows: map[string]*row{}, revoked: map[string]time.Time{}, was: map[string]string{}}}
}

var (
	errEngine   = errors.New("reference: engine failed")
	errDeadline = errors.New("reference: deadline is not in the future")
)

// begin is what every method does first.
func (m *reference) begin(ctx context.Context) error {
	switch m.bug {
	case "does its work with a context that is done":
		return nil
	case "takes a context that is done for ErrNotFound":
		if ctx.Err() != nil {
			return session.ErrNotFound
		}
	case "hides the cause when ctx is done":
		if ctx.Err() != nil {
			return errEngine
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("reference: %w", err)
	}
	m.mu.Lock()
	stalled, failed := m.stalled, m.failed
	m.mu.Unlock()
	if stalled != nil {
		if m.bug == "waits without regard to ctx" {
			<-stalled
		} else {
			select {
			case <-stalled:
			case <-ctx.Done():
				return fmt.Errorf("reference: %w", ctx.Err())
			}
		}
	}
	if failed {
		if m.bug == "takes a failure for ErrNotFound" {
			return session.ErrNotFound
		}
		return errEngine
	}
	return nil
}

// pause is where a broken store loses a race.
func (m *reference) pause(bug string) {
	if m.bug == bug {
		m.mu.Unlock()
		time.Sleep(time.Millisecond)
		m.mu.Lock()
	}
}

func (m *reference) key(id string) string {
	switch m.bug {
	case "folds the case of ids":
		return strings.ToLower(id)
	case "cuts long ids":
		return id[:min(len(id), 127)]
	}
	return id
}

// live returns the live row under id, or nil.
func (m *reference) live(id string) *row {
	r := m.rows[m.key(id)]
	if r == nil || !time.Now().Before(r.deadline) && !r.immortal(m) {
		return nil
	}
	return r
}

func (r *row) immortal(m *reference) bool {
	return m.bug == "takes a deadline that is past for no deadline" && r.deadline.Before(time.UnixMilli(1000))
}

func (m *reference) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	if err := m.begin(ctx); err != nil {
		return session.Record{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.live(id)
	switch m.bug {
	case "loads dead records":
		r = m.rows[m.key(id)]
	case "revives by a slide":
		if r = m.rows[m.key(id)]; r != nil && !slide.Moves(r.deadline) && !time.Now().Before(r.deadline) {
			r = nil
		}
	case "answers an unknown id with an empty record":
		if r == nil {
			return session.Record{}, nil
		}
	case "dies a little early":
		if r != nil && !time.Now().Before(r.deadline.Add(-20*time.Millisecond)) {
			r = nil
		}
	}
	if r == nil {
		return session.Record{}, session.ErrNotFound
	}
	rec := session.Record{Data: bytes.Clone(r.data), Deadline: r.deadline}
	moves := slide.Moves(r.deadline)
	switch m.bug {
	case "slides back":
		moves = !slide.To.IsZero() && (slide.Before.IsZero() || r.deadline.Before(slide.Before))
	case "slides to the zero time":
		moves = moves || slide.To.IsZero()
		if slide.To.IsZero() {
			slide.To = in(30 * time.Minute)
		}
	case "ignores Slide.Before":
		moves = slide.To.After(r.deadline)
	case "slides a record whose deadline is Slide.Before":
		moves = slide.To.After(r.deadline) && !r.deadline.After(slide.Before)
	case "never slides":
		moves = false
	}
	if moves {
		if m.bug == "slides by writing the whole record" {
			copied := *r
			m.pause(m.bug)
			r = &copied
			m.rows[m.key(id)] = r
		}
		m.pause("slides without a lock")
		r.deadline = slide.To
		if m.bug != "returns the deadline from before the slide" {
			rec.Deadline = slide.To
		}
	}
	if m.bug == "returns its own slice" {
		rec.Data = r.data
	}
	return rec, nil
}

func (m *reference) Create(ctx context.Context, id string, rec session.Record) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	past := !rec.Deadline.After(time.Now())
	switch m.bug {
	case "takes a deadline that is past for no deadline", "creates dead records":
	case "ends a record by creating one that is past":
		if past {
			delete(m.rows, m.key(id))
			return errDeadline
		}
	default:
		if past {
			return errDeadline
		}
	}
	if m.bug == "admits before it looks for a live record" {
		if err := m.admit(id, rec.Owner); err != nil {
			return err
		}
	}
	exists := m.live(id) != nil
	switch m.bug {
	case "never replaces the dead":
		exists = m.rows[m.key(id)] != nil
	case "creates over live records":
		exists = false
	}
	if exists {
		if m.bug == "shows the id in errors" {
			return fmt.Errorf("%w: %s", session.ErrExists, id)
		}
		return session.ErrExists
	}
	if _, dead := m.rows[m.key(id)]; dead {
		m.pause("replaces the dead without a lock")
	} else {
		m.pause("creates without a lock")
	}
	if err := m.admit(id, rec.Owner); err != nil {
		return err
	}
	if m.bug == "keeps the slice that Create was given" {
		return m.put(id, rec.Data, rec)
	}
	return m.put(id, m.encode(rec.Data), rec)
}

// encode is where a broken store has an opinion about the data.
func (m *reference) encode(data []byte) []byte {
	switch m.bug {
	case "cuts data at 64 KiB":
		data = data[:min(len(data), 64<<10)]
	case "unescapes JSON":
		data = bytes.ReplaceAll(data, []byte(`\/`), []byte(`/`))
	case "trims data":
		data = bytes.TrimSpace(data)
	}
	return bytes.Clone(data)
}

func (m *reference) put(id string, data []byte, rec session.Record) error {
	m.seq++
	r := &row{data: data, deadline: rec.Deadline, user: rec.Owner.User, seq: m.seq}
	switch m.bug {
	case "keeps seconds in 32 bits":
		r.deadline = time.Unix(min(r.deadline.Unix(), 1<<31-1), 0)
	case "rounds deadlines down to seconds":
		r.deadline = r.deadline.Truncate(time.Second)
	case "refuses owners":
		if r.user != "" {
			return errEngine
		}
	}
	if before := m.rows[m.key(id)]; before != nil && before.user != r.user {
		m.was[m.key(id)] = before.user
	}
	m.rows[m.key(id)] = r
	m.tell(id)
	return nil
}

// reopen is the reference as a new process finds it.
func (m *reference) reopen() *reference {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bug == "forgets everything when it is reopened" {
		clear(m.rows)
	}
	return &reference{m.bug, m.shelf}
}

// ids returns the ids of all rows in order.
func (m *reference) ids() []string { return slices.Sorted(maps.Keys(m.rows)) }
