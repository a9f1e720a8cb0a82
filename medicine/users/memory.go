package users

import (
	"context"
	"sync"
)

// Memory is a [Table] in the memory of this process, for tests and for a program
// that is to keep nothing. Its zero value is empty and ready for use.
type Memory struct {
	mu     sync.RWMutex
	byName map[string]string // folded name → id
	byID   map[string]entry
}

type entry struct {
	User
	folded string
}

var _ Table = (*Memory)(nil)

// Create implements [Table].
func (m *Memory) Create(_ context.Context, name, hash string) (User, error) {
	u, folded, err := newUser(name, hash)
	if err != nil {
		return User{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.byName[folded]; ok {
		return User{}, ErrTaken
	}
	if m.byID == nil {
		m.byName, m.byID = make(map[string]string), make(map[string]entry)
	}
	m.byName[folded], m.byID[u.ID] = u.ID, entry{u, folded}
	return u, nil
}

// ByName implements [Table].
func (m *Memory) ByName(_ context.Context, name string) (User, error) {
	folded, err := Fold(name)
	if err != nil {
		return User{}, ErrNotFound
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.get(m.byName[folded])
}

// ByID implements [Table].
func (m *Memory) ByID(_ context.Context, id string) (User, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.get(id)
}

func (m *Memory) get(id string) (User, error) {
	e, ok := m.byID[id]
	if !ok {
		return User{}, ErrNotFound
	}
	return e.User, nil
}

// UpdateHash implements [Table].
func (m *Memory) UpdateHash(_ context.Context, id, old, hash string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.byID[id]; ok && e.Hash == old {
		e.Hash = hash
		m.byID[id] = e
	}
	return nil
}

// Delete implements [Table].
func (m *Memory) Delete(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.byID[id]; ok {
		delete(m.byName, e.folded)
		delete(m.byID, id)
	}
	return nil
}
