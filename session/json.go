package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
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

// An object is the text of a JSON object, and where its members are.
type object struct {
	text    []byte
	members []member
}

// A member says where in the text a name and its value are: the name between
// its quotes, escapes and all, and the value without surrounding white space.
type member struct{ name, nameEnd, value, valueEnd uint32 }

// maxText is the longest text that a member can speak of.
const maxText = math.MaxUint32

// find returns the value of the member with this name. Of several the last one
// counts, as it does for JSON.parse.
func (o object) find(name string) (value []byte, ok bool) {
	for i := len(o.members) - 1; i >= 0; i-- {
		m := &o.members[i]
		if spells(o.text[m.name:m.nameEnd], name) {
			return o.text[m.value:m.valueEnd:m.valueEnd], true
		}
	}
	return nil, false
}

// appendFields appends the members to what is to be written.
func (o object) appendFields(fields []field) []field {
	for _, m := range o.members {
		fields = append(fields, field{o.text[m.name:m.nameEnd], o.text[m.value:m.valueEnd]})
	}
	return fields
}

// A field is a member of an object that is to be written, as raw text.
type field struct {
	name  []byte // between the quotes, escapes and all
	value []byte
}

// key returns the field's name, unescaped.
func (f *field) key() string { return unescape(f.name) }

// spells reports whether the text between the quotes of a JSON string stands for
// name. Escapes are longer than what they stand for.
func spells(text []byte, name string) bool {
	if len(text) > len(name) {
		return bytes.IndexByte(text, '\\') >= 0 && unescape(text) == name
	}
	return string(text) == name && bytes.IndexByte(text, '\\') < 0
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

// remove returns fields without those of this name, in a new slice.
func remove(fields []field, name string) []field {
	out := make([]field, 0, len(fields))
	for i := range fields {
		if !spells(fields[i].name, name) {
			out = append(out, fields[i])
		}
	}
	return out
}

// replace returns fields with one field of this name, in the place of the last
// that had it, or at the end. It may reuse the slice.
func replace(fields []field, name string, value []byte) []field {
	for i := len(fields) - 1; i >= 0; i-- {
		if spells(fields[i].name, name) {
			fields[i].value = value
			return fields
		}
	}
	return append(fields, field{quoteName(name), value})
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

// join returns the fields as one JSON object without white space. The members
// are appended to room.
func join(fields []field, room []member) (object, error) {
	size := len("{}")
	for i := range fields {
		size += len(fields[i].name) + len(fields[i].value) + len(`"":,`)
	}
	if uint64(size) > maxText {
		return object{}, fmt.Errorf("%w: %d bytes", ErrTooLarge, size)
	}
	b := append(make([]byte, 0, size), '{')
	room = slices.Grow(room, len(fields))
	for i := range fields {
		if i > 0 {
			b = append(b, ',')
		}
		f, m := &fields[i], member{}
		b = append(b, '"')
		m.name = uint32(len(b))
		b = append(b, f.name...)
		m.nameEnd = uint32(len(b))
		b = append(b, '"', ':')
		m.value = uint32(len(b))
		b = append(b, f.value...)
		m.valueEnd = uint32(len(b))
		room = append(room, m)
	}
	return object{append(b, '}'), room}, nil
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

// splitObject finds the top-level members of the JSON object that text is, and
// appends them to room. It accepts what encoding/json accepts, and errors say
// where the text is wrong but never quote it.
func splitObject(text []byte, room []member) (object, error) {
	if uint64(len(text)) > maxText {
		return object{}, errNotObject
	}
	s := scanner{text: text}
	s.space()
	if s.peek() != '{' {
		return object{}, errNotObject
	}
	s.pos++
	s.space()
	if s.peek() == '}' {
		s.pos++
		return object{text, room}, s.end()
	}
	return s.members(room)
}
