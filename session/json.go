package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// A session is stored as one JSON object. This file splits such an object into
// its top-level fields without decoding them, and joins fields into an object
// again. What nobody touches is copied as bytes: encoding/json would round
// numbers beyond 2^53, sort keys, and replace lone surrogates, all of which
// other programs that share the store are entitled to keep.

// maxDepth bounds the nesting of stored JSON, as encoding/json does.
const maxDepth = 10000

// A field is one top-level member of an object, as raw text.
type field struct {
	name    []byte // between the quotes, escapes and all
	value   []byte // without surrounding white space
	escaped bool   // the name has escapes
}

// is reports whether the field's name, once unescaped, is name.
func (f *field) is(name string) bool {
	if f.escaped {
		return unescape(f.name) == name
	}
	return string(f.name) == name
}

// key returns the field's name, unescaped.
func (f *field) key() string {
	if f.escaped {
		return unescape(f.name)
	}
	return string(f.name)
}

// unescape decodes the text between the quotes of a valid JSON string. A lone
// surrogate becomes U+FFFD: such a name cannot be asked for, only carried along.
func unescape(text []byte) string {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		i++
		switch text[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(text[i+1:])
			i += 4
			if utf16.IsSurrogate(r) && i+6 < len(text) && text[i+1] == '\\' && text[i+2] == 'u' {
				if pair := utf16.DecodeRune(r, hex4(text[i+3:])); pair != utf8.RuneError {
					r = pair
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
		default: // '"', '\\' and '/' stand for themselves
			out = append(out, text[i])
		}
	}
	return string(out)
}

func hex4(digits []byte) rune {
	n, err := strconv.ParseUint(string(digits[:4]), 16, 16)
	if err != nil {
		return utf8.RuneError
	}
	return rune(n)
}

// find returns the value of the field with this name. Of several the last one
// counts, as it does for JSON.parse.
func find(fields []field, name string) (value []byte, ok bool) {
	for i := len(fields) - 1; i >= 0; i-- {
		if fields[i].is(name) {
			return fields[i].value, true
		}
	}
	return nil, false
}

// remove returns fields without those of this name, in a new slice.
func remove(fields []field, name string) []field {
	out := make([]field, 0, len(fields))
	for i := range fields {
		if !fields[i].is(name) {
			out = append(out, fields[i])
		}
	}
	return out
}

// replace returns fields with one field of this name, in the place of the last
// that had it, or at the end. It may reuse the slice.
func replace(fields []field, name string, value []byte) []field {
	for i := len(fields) - 1; i >= 0; i-- {
		if fields[i].is(name) {
			fields[i].value = value
			return fields
		}
	}
	text := quoteName(name)
	return append(fields, field{name: text, value: value, escaped: len(text) != len(name)})
}

// quoteName returns name as the text between the quotes of a JSON string.
func quoteName(name string) []byte {
	for i := range len(name) {
		if c := name[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			text, err := encodeJSON(name)
			if err != nil { // a string always encodes
				panic(err)
			}
			return text[1 : len(text)-1]
		}
	}
	return []byte(name)
}

// appendObject appends the fields as one JSON object without white space.
func appendObject(b []byte, fields []field) []byte {
	b = append(b, '{')
	for i, f := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, f.name...)
		b = append(b, '"', ':')
		b = append(b, f.value...)
	}
	return append(b, '}')
}

// encodeJSON encodes a value as JSON.stringify would where it matters: '<',
// '>' and '&' stay themselves, so that both sides of a shared store write the
// same bytes.
func encodeJSON(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

var errNotObject = errors.New("not a JSON object")

// splitObject appends the top-level fields of the JSON object that text is to
// fields. It accepts what encoding/json accepts, and errors say where the text
// is wrong but never quote it.
func splitObject(text []byte, fields []field) ([]field, error) {
	s := scanner{text: text}
	s.space()
	if s.peek() != '{' {
		return fields, errNotObject
	}
	s.pos++
	s.space()
	if s.peek() == '}' {
		s.pos++
		return fields, s.end()
	}
	return s.members(fields)
}

// members appends the members of an object, from the first or any later one to
// the closing brace.
func (s *scanner) members(fields []field) ([]field, error) {
	for {
		if s.peek() != '"' {
			return fields, s.wrong("a name")
		}
		start := s.pos
		escaped, err := s.str()
		if err != nil {
			return fields, err
		}
		f := field{name: s.text[start+1 : s.pos-1], escaped: escaped}
		s.space()
		if s.peek() != ':' {
			return fields, s.wrong("a colon")
		}
		s.pos++
		s.space()
		start = s.pos
		if err := s.value(1); err != nil {
			return fields, err
		}
		f.value = s.text[start:s.pos]
		if len(fields) == cap(fields) {
			fields = slices.Grow(fields, 12) // once is enough for most
		}
		fields = append(fields, f)
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case '}':
			s.pos++
			return fields, s.end()
		default:
			return fields, s.wrong("a comma or brace")
		}
	}
}

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

func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return s.wrong("end of nesting")
	}
	switch c := s.peek(); {
	case c == '"':
		_, err := s.str()
		return err
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
		if s.peek() != '"' {
			return s.wrong("a name")
		}
		if _, err := s.str(); err != nil {
			return err
		}
		s.space()
		if s.peek() != ':' {
			return s.wrong("a colon")
		}
		s.pos++
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case '}':
			s.pos++
			return nil
		default:
			return s.wrong("a comma or brace")
		}
	}
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
		s.space()
		switch s.peek() {
		case ',':
			s.pos++
			s.space()
		case ']':
			s.pos++
			return nil
		default:
			return s.wrong("a comma or bracket")
		}
	}
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.text[s.pos:], []byte(word)) {
		return s.wrong("value")
	}
	s.pos += len(word)
	return nil
}

// str skips a string, the opening quote included, and reports whether it has
// escapes.
func (s *scanner) str() (escaped bool, err error) {
	for i := s.pos + 1; i < len(s.text); i++ {
		if !special[s.text[i]] {
			continue
		}
		switch s.text[i] {
		case '"':
			s.pos = i + 1
			return escaped, nil
		case '\\':
			escaped = true
			n := escapeLen(s.text[i+1:])
			if n == 0 {
				s.pos = i
				return escaped, s.wrong("escape")
			}
			i += n
		default:
			s.pos = i
			return escaped, s.wrong("printable character")
		}
	}
	s.pos = len(s.text)
	return escaped, s.wrong("closing quote")
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
