package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

func (m *reference) user(user string) string {
	switch m.bug {
	case "folds the case of users":
		return strings.ToLower(user)
	case "trims users":
		return strings.TrimRight(user, " ")
	case "cuts long users":
		return user[:min(len(user), 254)]
	}
	return user
}

// of returns the ids of the user's live records in order of creation.
func (m *reference) of(user string) []string {
	var ids []string
	for id, r := range m.rows {
		dead := m.live(id) == nil
		if m.bug == "counts the dead" {
			dead = false
		}
		if !dead && m.user(r.user) == m.user(user) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		switch m.bug {
		case "orders a user's records by id":
			return cmp.Compare(a, b)
		case "orders a user's records by deadline":
			return m.rows[a].deadline.Compare(m.rows[b].deadline)
		}
		return cmp.Compare(m.rows[a].seq, m.rows[b].seq)
	})
	return ids
}

// admit does what an Owner asks of Create, with the lock held.
func (m *reference) admit(id string, owner session.Owner) error {
	if owner.User == "" && m.bug != "takes the empty user for a user" {
		return nil
	}
	at, revoked := m.revoked[m.user(owner.User)]
	switch m.bug {
	case "forgets AsOf":
		revoked = false
	case "takes AsOf for later than a revocation at the same moment":
		revoked = revoked && at.After(owner.AsOf)
	case "takes a zero AsOf for now":
		revoked = revoked && !owner.AsOf.IsZero()
	case "revokes everybody":
		for _, other := range m.revoked {
			if !other.Before(owner.AsOf) {
				return session.ErrRevoked
			}
		}
	}
	if revoked && !at.Before(owner.AsOf) {
		return session.ErrRevoked
	}
	m.pause("revokes without a lock")
	if owner.Max <= 0 {
		return nil
	}
	ids := m.of(owner.User)
	m.pause("bounds without a lock")
	if m.bug == "bounds one record too many" {
		owner.Max++
	}
	ids, room := m.spare(ids, owner)
	owner.Max += room
	if owner.Reject && len(ids) >= owner.Max {
		if m.bug == "ends the oldest in spite of Reject" {
			delete(m.rows, ids[0])
			return nil
		}
		return session.ErrTooManySessions
	}
	for len(ids) >= owner.Max {
		i := 0
		if m.bug == "ends the youngest" {
			i = len(ids) - 1
		}
		delete(m.rows, ids[i])
		ids = slices.Delete(ids, i, i+1)
		if m.bug == "ends only one" {
			break
		}
	}
	return nil
}

// spare takes the record that is being replaced out of the user's live ones. A
// broken store makes room beyond Max instead.
func (m *reference) spare(ids []string, owner session.Owner) (left []string, room int) {
	if owner.Replaces == "" {
		return ids, 0
	}
	i := slices.Index(ids, m.key(owner.Replaces))
	switch m.bug {
	case "ignores Replaces":
		return ids, 0
	case "counts what is replaced with Reject":
		if owner.Reject {
			return ids, 0
		}
	case "ends what is replaced":
		if i >= 0 {
			return ids, 1
		}
	case "makes room for whatever Replaces names":
		if i < 0 {
			return ids, 1
		}
	case "looks for what is replaced after it has counted":
		m.pause(m.bug)
		if m.live(owner.Replaces) == nil {
			return ids, 0
		}
	}
	if i >= 0 {
		ids = slices.Delete(ids, i, i+1)
	}
	return ids, 0
}

func (m *reference) UserIDs(ctx context.Context, user string) ([]string, error) {
	if err := m.begin(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	ids := m.of(user)
	if m.bug == "lists what another user has by now" {
		for id := range m.rows {
			if m.was[id] == user {
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

func (m *reference) RevokeUser(ctx context.Context, user string, at time.Time, except ...string) (int, error) {
	if err := m.begin(ctx); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if user == "" && m.bug != "takes the empty user for a user" {
		return 0, nil
	}
	n := 0
	for _, id := range m.of(user) {
		i := slices.Index(except, id)
		switch m.bug {
		case "ignores except":
			i = -1
		case "looks at the first of except alone":
			i = min(i, -i)
		case "cuts except at 64":
			if i >= 64 {
				i = -1
			}
		}
		if i >= 0 {
			continue
		}
		n++
		if m.bug != "revokes without ending anything" {
			delete(m.rows, id)
			m.tell(id)
		}
	}
	if user := m.user(user); m.bug == "lets the last revocation count" || at.After(m.revoked[user]) {
		m.revoked[user] = at
	}
	if m.bug == "counts the excepted" {
		n += len(except)
	}
	return n, nil
}

func (m *reference) List(ctx context.Context, cursor string, limit int) ([]string, string, error) {
	if err := m.begin(ctx); err != nil {
		return nil, "", err
	}
	if limit < 1 {
		if m.bug == "takes any limit" {
			return nil, "", nil
		}
		return nil, "", fmt.Errorf("reference: limit %d is below 1", limit)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	if m.bug == "pages by offset" || m.bug == "pages by deadline" {
		return m.listByOffset(cursor, limit)
	}
	for _, id := range m.ids() {
		switch {
		case m.bug == "lists the cursor again" && id >= cursor, id > cursor:
			if m.live(id) != nil || m.bug == "lists the dead" {
				ids = append(ids, id)
			}
		}
	}
	if len(ids) <= limit {
		return ids, "", nil
	}
	if m.bug == "ends the listing early" && limit > 1 {
		return ids[:limit], "", nil
	}
	return ids[:limit], ids[limit-1], nil
}

// listByOffset breaks as soon as a record before the offset comes or goes.
func (m *reference) listByOffset(cursor string, limit int) ([]string, string, error) {
	ids := m.ids()
	ids = slices.DeleteFunc(ids, func(id string) bool { return m.live(id) == nil })
	if m.bug == "pages by deadline" {
		slices.SortStableFunc(ids, func(a, b string) int { return m.rows[a].deadline.Compare(m.rows[b].deadline) })
	}
	var offset int
	_, _ = fmt.Sscan(cursor, &offset)
	ids = ids[min(offset, len(ids)):]
	if len(ids) <= limit {
		return ids, "", nil
	}
	return ids[:limit], fmt.Sprint(offset + limit), nil
}

func (m *reference) Count(ctx context.Context) (int, error) {
	if err := m.begin(ctx); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for id := range m.rows {
		if m.live(id) != nil || m.bug == "counts the dead" {
			n++
		}
	}
	return n, nil
}

func (m *reference) Clear(ctx context.Context) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	left := 0
	for id := range m.rows {
		if m.bug == "clears all but a few" && left < 3 {
			left++
			continue
		}
		delete(m.rows, id)
	}
	return nil
}

func (m *reference) Prune(ctx context.Context, limit int) (int, error) {
	if err := m.begin(ctx); err != nil {
		return 0, err
	}
	if limit < 1 {
		if m.bug == "takes any limit" {
			return 0, nil
		}
		return 0, fmt.Errorf("reference: limit %d is below 1", limit)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, id := range m.ids() {
		if m.live(id) != nil && m.bug != "prunes the living" {
			continue
		}
		if n == limit && m.bug != "prunes beyond the limit" {
			break
		}
		if m.bug == "prunes less than it could" && n == limit-1 {
			break
		}
		delete(m.rows, id)
		n++
	}
	return n, nil
}
