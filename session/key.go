package session

import (
	"encoding/json"
	"fmt"
	"strconv"
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
	return k.decode(raw)
}

// Has reports whether the key is in the session, be its value zero or null.
func (k Key[T]) Has(s *Session) (bool, error) {
	_, ok, err := s.read(string(k))
	return ok, err
}

// Set remembers a value for the key. It is encoded at once, so that later
// changes to v have no effect, and committed with the response. Parallel
// requests that set different keys keep both; of those that set the same key
// the last one wins. To change a value in place, use Update. After the response
// has begun a failure to save can only be logged; use Save or Update there.
func (k Key[T]) Set(s *Session, v T) error {
	raw, err := k.encode(v)
	if err != nil {
		return err
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
// result. It must not use the session, which would wait for itself for ever.
//
// On an error nothing of the update is stored, as far as the store can tell.
func (k Key[T]) Update(s *Session, change func(T) T) (T, error) {
	var now T
	err := s.transform(string(k), func(old []byte) ([]byte, error) {
		var v T
		if old != nil {
			var err error
			if v, err = k.decode(old); err != nil {
				return nil, err
			}
		}
		now = change(v)
		return k.encode(now)
	})
	if err != nil {
		var zero T
		return zero, err
	}
	return now, nil
}

// encode returns v as it is stored.
func (k Key[T]) encode(v T) ([]byte, error) {
	switch v := any(v).(type) {
	case bool:
		return strconv.AppendBool(nil, v), nil
	case int:
		return strconv.AppendInt(nil, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(nil, v, 10), nil
	}
	raw, err := encodeJSON(v)
	if err != nil {
		return nil, fmt.Errorf("pillbox: encode session key %q: %w", string(k), err)
	}
	// What is nested so deeply that it could not be read back would take the
	// whole session with it. It has at least as many bytes as levels.
	if len(raw) > maxDepth && (&scanner{text: raw}).value(1) != nil {
		return nil, fmt.Errorf("pillbox: encode session key %q: nested more than %d levels deep: %w", string(k), maxDepth, ErrTooLarge)
	}
	return raw, nil
}

// decode reads a stored value. Errors of encoding/json can quote the value, so
// only their kind is told.
func (k Key[T]) decode(raw []byte) (T, error) {
	if v, ok := decodePlain[T](raw); ok {
		return v, nil
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		var zero T
		return zero, fmt.Errorf("pillbox: session key %q does not hold a %T", string(k), v)
	}
	return v, nil
}

// decodePlain decodes the commonest types as encoding/json would, in a tenth of
// its time and without its allocations. It leaves everything else, errors too,
// to encoding/json.
func decodePlain[T any](raw []byte) (v T, ok bool) {
	switch p := any(&v).(type) {
	case *string:
		*p, ok = plainString(raw)
	case *bool:
		*p = string(raw) == "true"
		ok = *p || string(raw) == "false"
	case *int:
		var n int64
		n, ok = plainInt(raw)
		*p = int(n)
		ok = ok && int64(*p) == n
	case *int64:
		*p, ok = plainInt(raw)
	}
	return v, ok
}

// plainString decodes a JSON string of printable ASCII without escapes.
func plainString(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' || raw[len(raw)-1] != '"' {
		return "", false
	}
	text := raw[1 : len(raw)-1]
	for _, c := range text {
		if c < ' ' || c > '~' || c == '\\' || c == '"' {
			return "", false
		}
	}
	return string(text), true
}

// plainInt decodes a JSON number of at most 18 digits without fraction and
// exponent.
func plainInt(raw []byte) (n int64, ok bool) {
	digits := raw
	if len(digits) > 0 && digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	for _, c := range digits {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(raw) > len(digits) {
		n = -n
	}
	return n, true
}
