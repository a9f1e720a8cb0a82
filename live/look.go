package live

import (
	"context"
	"encoding/json"
	"hash/maphash"
	"slices"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// A mark says which value a key had, without keeping the value.
type mark struct {
	key string
	sum uint64
}

// A state is what a follower remembers of a session between two looks.
type state struct {
	marks []mark // in the order in which the keys are stored
	user  string // "" for nobody

	idle     time.Time // zero: the session ends by no idling
	absolute time.Time // zero: never
	end      time.Time // idle, which is never after absolute, be there one or not
	warn     time.Duration
}

// A snapshot is what one look at a session found.
type snapshot struct {
	state
	id     string // public
	digest string
	values map[string]json.RawMessage // of the keys that may leave the server
}

// endless is the idle timeout from which on a session counts as one without.
const endless = 9 * 365 * 24 * time.Hour

// peek looks at the session with this public id.
func (h *Hub) peek(id string) (*snapshot, error) {
	ctx, cancel := context.WithTimeout(h.ctx, lookTimeout)
	defer cancel()
	s, err := h.manager.Peek(ctx, id)
	if err != nil {
		return nil, err
	}
	return h.read(s)
}

// read takes from a session what its pages are told of.
func (h *Hub) read(s *session.Session) (*snapshot, error) {
	info, err := s.Info()
	if err != nil {
		return nil, err
	}
	digest, err := s.Digest()
	if err != nil {
		return nil, err
	}
	own, err := s.MaxAge()
	if err != nil {
		return nil, err
	}
	names, err := s.Keys()
	if err != nil {
		return nil, err
	}
	window := h.idle
	if own > 0 {
		window = min(window, own)
	}
	snap := &snapshot{id: info.PublicID, digest: digest, state: state{
		marks: make([]mark, len(names)), user: info.User,
		idle: info.IdleDeadline, absolute: info.AbsoluteDeadline, end: info.IdleDeadline,
		warn: min(h.config.WarnBefore, window/3),
	}}
	if window >= endless {
		snap.idle = time.Time{}
	}
	for i, name := range names {
		// What cannot be read has a mark of its own, and no value.
		raw, err := session.Key[json.RawMessage](name).Get(s)
		snap.marks[i].key = name
		if err != nil {
			continue
		}
		snap.marks[i].sum = maphash.Bytes(h.seed, raw)
		if slices.Contains(h.config.Keys, name) {
			if snap.values == nil {
				snap.values = make(map[string]json.RawMessage)
			}
			snap.values[name] = raw
		}
	}
	return snap, nil
}

// keys returns the names of the session's keys.
func (s *state) keys() []string {
	names := make([]string, len(s.marks))
	for i, m := range s.marks {
		names[i] = m.key
	}
	return names
}

func (s *state) find(key string) (sum uint64, ok bool) {
	for _, m := range s.marks {
		if m.key == key {
			return m.sum, true
		}
	}
	return 0, false
}

// jitter is how far a deadline may be off that a store tells as the time left.
const jitter = 100 * time.Millisecond

// moved reports whether the session's end is another one in now than in s.
func (s *state) moved(now *state) bool { return now.end.Sub(s.end).Abs() >= jitter }

// A change is what became of a session's keys. It is shared between streams and
// never modified.
type change struct {
	keys    []string // set, changed or removed
	removed []string
	values  map[string]json.RawMessage
}

// diff returns what changed from s to now, or nil if nothing did.
func (s *state) diff(now *snapshot) *change {
	c := &change{values: make(map[string]json.RawMessage)}
	for _, m := range now.marks {
		if sum, ok := s.find(m.key); ok && sum == m.sum {
			continue
		}
		c.keys = append(c.keys, m.key)
		if v, ok := now.values[m.key]; ok {
			c.values[m.key] = v
		}
	}
	for _, m := range s.marks {
		if _, ok := now.find(m.key); !ok {
			c.keys = append(c.keys, m.key)
			c.removed = append(c.removed, m.key)
		}
	}
	if len(c.keys) == 0 {
		return nil
	}
	return c
}

// then returns the one change that two changes make, next being the later one.
func (c *change) then(next *change) *change {
	if c == nil {
		return next
	}
	all := &change{keys: slices.Clone(next.keys), removed: slices.Clone(next.removed), values: make(map[string]json.RawMessage)}
	for k, v := range next.values {
		all.values[k] = v
	}
	for _, k := range c.keys {
		if slices.Contains(next.keys, k) {
			continue
		}
		all.keys = append(all.keys, k)
		if slices.Contains(c.removed, k) {
			all.removed = append(all.removed, k)
		}
		if v, ok := c.values[k]; ok {
			all.values[k] = v
		}
	}
	return all
}
