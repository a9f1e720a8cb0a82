package storetest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// same reports whether a row still holds old.
func (m *reference) same(r *row, old []byte) bool {
	switch m.bug {
	case "compares lengths":
		return len(r.data) == len(old)
	case "compares beginnings":
		return bytes.HasPrefix(r.data, old[:min(len(old), 255)])
	case "compares without case":
		return bytes.EqualFold(r.data, old)
	case "compares like a padded column":
		return bytes.Equal(bytes.TrimRight(r.data, " \n\x00"), bytes.TrimRight(old, " \n\x00"))
	case "takes an empty old for a wildcard":
		return len(old) == 0 || bytes.Equal(r.data, old)
	case "compares nothing":
		return true
	}
	return bytes.Equal(r.data, old)
}

func (m *reference) Update(ctx context.Context, id string, old, data []byte, deadline time.Time) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch past := !deadline.After(time.Now()); {
	case past && m.bug == "deletes by an update that is past":
		delete(m.rows, m.key(id))
		return errDeadline
	case past && m.bug != "updates to the past":
		return errDeadline
	}
	r := m.live(id)
	switch m.bug {
	case "upserts by Update":
		if r == nil {
			return m.put(id, bytes.Clone(data), session.Record{Deadline: deadline})
		}
	case "updates the dead":
		r = m.rows[m.key(id)]
	case "answers ErrConflict where there is nothing to update":
		if r == nil {
			return session.ErrConflict
		}
	}
	if r == nil {
		return session.ErrNotFound
	}
	if !m.same(r, old) {
		switch m.bug {
		case "moves the deadline in spite of a conflict":
			r.deadline = deadline
		case "shows the data in errors":
			return fmt.Errorf("%w: have %s", session.ErrConflict, r.data)
		}
		return session.ErrConflict
	}
	if m.bug == "answers ErrNotFound where no byte changes" && bytes.Equal(r.data, data) && r.deadline.Equal(deadline) {
		return session.ErrNotFound
	}
	switch m.bug {
	case "updates without a lock":
		m.pause(m.bug)
	case "writes back what was deleted":
		m.pause(m.bug)
		m.rows[m.key(id)] = r
	case "stops half-way when ctx is done":
		r.deadline = deadline
		m.pause(m.bug)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	case "hides the cause when ctx is done midway":
		m.pause(m.bug)
		if ctx.Err() != nil {
			return errEngine
		}
	}
	if m.bug == "tells before it stores" {
		m.tell(id)
		m.pause(m.bug)
	} else {
		defer m.tell(id)
	}
	r.data = m.encode(data)
	switch m.bug {
	case "keeps the slice that Update was given":
		r.data = data
	case "overwrites data in place":
		r.data = data
	}
	if m.bug != "updates no deadline" && (m.bug != "updates deadlines only forward" || deadline.After(r.deadline)) {
		r.deadline = deadline
	}
	if m.bug == "loses the owner in Update" {
		r.user = ""
	}
	return nil
}

func (m *reference) Touch(ctx context.Context, id string, deadline time.Time) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.live(id)
	switch m.bug {
	case "upserts by Touch":
		if r == nil && deadline.After(time.Now()) {
			return m.put(id, []byte("{}"), session.Record{Deadline: deadline})
		}
	case "touches the dead":
		r = m.rows[m.key(id)]
	case "answers nothing to a Touch of what is not there":
		if r == nil {
			return nil
		}
	case "refuses to touch back":
		if r != nil && !deadline.After(time.Now()) {
			return errDeadline
		}
	case "answers ErrNotFound where no byte changes":
		if r != nil && r.deadline.Equal(deadline) {
			return session.ErrNotFound
		}
	}
	if r == nil {
		return session.ErrNotFound
	}
	forward := deadline.After(r.deadline) || m.bug == "touches back"
	if m.bug == "touches nothing" {
		forward = false
	}
	if forward {
		switch m.bug {
		case "touches by writing the whole record":
			copied := *r
			m.pause(m.bug)
			r = &copied
			m.rows[m.key(id)] = r
		case "touches without a lock":
			m.pause(m.bug)
		case "touches everybody":
			for _, other := range m.rows {
				other.deadline = deadline
			}
		}
		r.deadline = deadline
	}
	return nil
}

func (m *reference) Delete(ctx context.Context, id string, old []byte) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.live(id)
	if old == nil || m.bug == "ignores old in Delete" || m.bug == "takes an empty old in Delete for nil" && len(old) == 0 {
		switch m.bug {
		case "answers ErrNotFound to a Delete of what is not there":
			if r == nil {
				return session.ErrNotFound
			}
		case "deletes by pattern":
			pattern := strings.TrimSuffix(strings.TrimSuffix(id, "*"), "%")
			maps.DeleteFunc(m.rows, func(id string, _ *row) bool { return strings.HasPrefix(id, pattern) })
		case "keeps what is deleted":
			return nil
		}
		delete(m.rows, m.key(id))
		m.tell(id)
		return nil
	}
	if r == nil {
		if m.bug == "deletes the absent with an old" {
			return nil
		}
		return session.ErrNotFound
	}
	if !m.same(r, old) {
		return session.ErrConflict
	}
	m.pause("deletes with an old without a lock")
	if m.bug == "never deletes with an old" {
		return nil
	}
	delete(m.rows, m.key(id))
	if m.bug != "forgets to tell of a Delete" {
		m.tell(id)
	}
	return nil
}
