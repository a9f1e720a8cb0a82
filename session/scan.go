package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// A scanner walks over JSON text and checks its grammar (RFC 8259).
type scanner struct {
	text []byte
	pos  int
}

func (s *scanner) wrong(wanted string) error {
	return fmt.Errorf("invalid JSON at byte %d of %d: no %s", s.pos, len(s.text), wanted)
}

// peek returns the next byte, or 0 at the end; 0 is never valid here.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// end checks that only white space is left.
func (s *scanner) end() error {
	s.space()
	if s.pos < len(s.text) {
		return s.wrong("end")
	}
	return nil
}

// members appends the members of an object to room, from the first or any later
// one to the end of the text.
func (s *scanner) members(room []member) (object, error) {
	for {
		m, err := s.member(1)
		if err != nil {
			return object{}, err
		}
		if len(room) == cap(room) {
			room = slices.Grow(room, 12) // once is enough for most
		}
		room = append(room, m)
		if more, err := s.more('}'); err != nil {
			return object{}, err
		} else if !more {
			return object{s.text, room}, s.end()
		}
	}
}

func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return s.wrong("end of nesting")
	}
	switch c := s.peek(); {
	case c == '"':
		return s.str()
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	case c == '-' || isDigit(c):
		return s.number()
	}
	return s.wrong("value")
}

func (s *scanner) object(depth int) error {
	s.pos++
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		if _, err := s.member(depth + 1); err != nil {
			return err
		}
		if more, err := s.more('}'); !more {
			return err
		}
	}
}

// member scans the name, colon and value of a member.
func (s *scanner) member(depth int) (m member, err error) {
	if s.peek() != '"' {
		return m, s.wrong("a name")
	}
	m.name = uint32(s.pos + 1)
	if err = s.str(); err != nil {
		return m, err
	}
	m.nameEnd = uint32(s.pos - 1)
	s.space()
	if s.peek() != ':' {
		return m, s.wrong("a colon")
	}
	s.pos++
	s.space()
	m.value = uint32(s.pos)
	err = s.value(depth)
	m.valueEnd = uint32(s.pos)
	return m, err
}

func (s *scanner) array(depth int) error {
	s.pos++
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := s.value(depth + 1); err != nil {
			return err
		}
		if more, err := s.more(']'); !more {
			return err
		}
	}
}

// more scans what follows a member or an element: a comma before the next one,
// or the end of the list.
func (s *scanner) more(end byte) (bool, error) {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		s.space()
		return true, nil
	case end:
		s.pos++
		return false, nil
	}
	return false, s.wrong("comma or " + string(end))
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.text[s.pos:], []byte(word)) {
		return s.wrong("value")
	}
	s.pos += len(word)
	return nil
}

// str skips a string, the opening quote included.
func (s *scanner) str() error {
	for i := s.plain(s.pos + 1); i < len(s.text); i = s.plain(i + 1) {
		switch s.text[i] {
		case '"':
			s.pos = i + 1
			return nil
		case '\\':
			n := escapeLen(s.text[i+1:])
			if n == 0 {
				s.pos = i
				return s.wrong("escape")
			}
			i += n
		default:
			s.pos = i
			return s.wrong("printable character")
		}
	}
	s.pos = len(s.text)
	return s.wrong("closing quote")
}

// plain returns where the first byte at or after i is that does not stand for
// itself in a string, or the length of the text. It looks at eight bytes at a time:
// a byte is below ' ', or equal to '"' or '\\', where subtracting borrows from its
// highest bit. A borrow can spoil only what is above it, so the lowest is right.
func (s *scanner) plain(i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(s.text); i += 8 {
		word := binary.LittleEndian.Uint64(s.text[i:])
		quote, slash := word^('"'*ones), word^('\\'*ones)
		if found := ((word-' '*ones)&^word | (quote-ones)&^quote | (slash-ones)&^slash) & highs; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(s.text) && !special[s.text[i]] {
		i++
	}
	return i
}

// special has the bytes that do not stand for themselves in a JSON string.
var special = func() (table [256]bool) {
	for c := range ' ' {
		table[c] = true
	}
	table['"'], table['\\'] = true, true
	return table
}()

// escapeLen returns how many bytes follow the backslash in this escape, or 0
// where it is none.
func escapeLen(rest []byte) int {
	if len(rest) == 0 {
		return 0
	}
	switch rest[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(rest) < 5 {
			return 0
		}
		for _, c := range rest[1:5] {
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 5
	}
	return 0
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	switch c := s.peek(); {
	case c == '0':
		s.pos++
	case isDigit(c):
		s.digits()
	default:
		return s.wrong("digit")
	}
	if s.peek() == '.' {
		s.pos++
		if !isDigit(s.peek()) {
			return s.wrong("digit")
		}
		s.digits()
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !isDigit(s.peek()) {
			return s.wrong("digit")
		}
		s.digits()
	}
	return nil
}

func (s *scanner) digits() {
	for isDigit(s.peek()) {
		s.pos++
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
