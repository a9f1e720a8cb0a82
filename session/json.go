package session

import (
	"bytes"
	"encoding/json"
	"errors"
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
