package session

import "encoding/json"

// flashKey is where connect-flash keeps its messages: an object with a list of
// messages for each kind.
const flashKey Key[map[string][]string] = "flash"

// Flash keeps a message for the next page that asks for its kind, such as
// "error": across the redirect after a form, for one. It is committed with the
// response. The messages lie where connect-flash has them.
func (s *Session) Flash(kind, message string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.load(); err != nil {
		return err
	}
	if err := s.changeable("change"); err != nil {
		return err
	}
	return s.st.apply(string(flashKey), func(old []byte) ([]byte, error) {
		var all map[string][]string
		if old != nil {
			var err error
			if all, err = flashKey.decode(old); err != nil {
				return nil, err
			}
		}
		if all == nil {
			all = map[string][]string{}
		}
		all[kind] = append(all[kind], message)
		return encodeJSON(all)
	})
}

// Flashes returns the messages of a kind, oldest first, and removes them at
// once, so that of several requests exactly one shows each.
func (s *Session) Flashes(kind string) ([]string, error) {
	raw, ok, err := s.read(string(flashKey))
	if err != nil || !ok {
		return nil, err
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(raw, &all) == nil && all[kind] == nil {
		return nil, nil
	}
	var taken []string
	_, err = flashKey.Update(s, func(all map[string][]string) map[string][]string {
		taken = all[kind]
		delete(all, kind)
		return all
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}
