package session

import (
	"encoding/json"
	"fmt"
)

// A Key is the name of a value in a session, and says of which type it is:
//
//	const pills session.Key[[]Pill] = "pills"
//
// Values are kept as JSON, encoded and decoded by encoding/json. Names that
// express-session keeps for itself, such as "cookie", "id" and "save", are
// refused with [ErrReservedKey].
type Key[T any] string

// Get returns the key's value in the session, with the changes of this request.
// It returns T's zero value if the key is absent, and an error if the store
// fails, the session has ended under this request, or the value is of another
// type. The value belongs to the caller.
func (k Key[T]) Get(s *Session) (T, error) {
	var v T
	raw, ok, err := s.read(string(k))
	if err != nil || !ok {
		return v, err
	}
	err = k.decode(raw, &v)
	return v, err
}

// Has reports whether the key is in the session, be its value zero or null.
func (k Key[T]) Has(s *Session) (bool, error) {
	_, ok, err := s.read(string(k))
	return ok, err
}

// Set remembers a value for the key. It is encoded at once, so that later
// changes to v have no effect, and committed with the response. Parallel
// requests that set different keys keep both; of those that set the same key
// the last one wins. To change a value in place, use Update.
func (k Key[T]) Set(s *Session, v T) error {
	raw, err := encodeJSON(v)
	if err != nil {
		return fmt.Errorf("pillbox: encode session key %q: %w", string(k), err)
	}
	return s.write(string(k), raw)
}

// Delete remembers that the key is to go. It is committed with the response.
func (k Key[T]) Delete(s *Session) error {
	return s.write(string(k), nil)
}

// Update changes the key's value by a function of the old one, atomically
// across goroutines, processes and machines, commits it at once together with
// whatever the request has changed so far, and returns what is now stored.
// change gets T's zero value if the key is absent.
//
// Where another request was faster, change runs again on what that one stored.
// So it must depend on nothing but its argument and have no effect but its
// result, and it must not use the session.
//
// On an error nothing of the update is stored, as far as the store can tell.
func (k Key[T]) Update(s *Session, change func(T) T) (T, error) {
	var now T
	err := s.transform(string(k), func(old []byte) ([]byte, error) {
		var v T
		if old != nil {
			if err := k.decode(old, &v); err != nil {
				return nil, err
			}
		}
		now = change(v)
		raw, err := encodeJSON(now)
		if err != nil {
			return nil, fmt.Errorf("pillbox: encode session key %q: %w", string(k), err)
		}
		return raw, nil
	})
	if err != nil {
		var zero T
		return zero, err
	}
	return now, nil
}

// decode reads a stored value. Errors of encoding/json can quote the value, so
// only their kind is told.
func (k Key[T]) decode(raw []byte, v *T) error {
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("pillbox: session key %q does not hold a %T", string(k), *v)
	}
	return nil
}
