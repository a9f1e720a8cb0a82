package mongostore

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A session's JSON becomes a subdocument in the way in which it would by
// JSON.parse and the driver for Node.js: that is what Express reads, and writes
// back. Numbers become int32 where they fit, else double; the last of several
// equal keys counts; half of a surrogate pair becomes U+FFFD. The text is kept
// beside the subdocument where that loses something.

// maxDepth bounds how deep a subdocument nests. MongoDB promises 100 levels.
const maxDepth = 90

// isoLayout is how JavaScript writes a Date in JSON.
const isoLayout = "2006-01-02T15:04:05.000Z"

func validText(data []byte) bool { return utf8.Valid(data) }

// object returns a JSON object as BSON, or false where it cannot be one: it is
// no object, nests too deep, or has a NUL in a key.
//
// Kept is the BSON that the result is to replace, or zero. A value that says the
// same as the one there keeps the type that it has there: a Date that nobody has
// touched stays one, and so does an ObjectId.
func object(text []byte, kept bson.RawValue) (bson.RawValue, bool) {
	if !json.Valid(text) {
		return bson.RawValue{}, false
	}
	p := parser{text: text}
	if p.next() != '{' {
		return bson.RawValue{}, false
	}
	out, ok := p.object(make([]byte, 0, len(text)+len(text)/2), kept, 1, atTop)
	return bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: out}, ok
}

// A parser reads valid JSON.
type parser struct {
	text []byte
	pos  int
}

// next skips space and returns the byte after it.
func (p *parser) next() byte {
	for {
		switch c := p.text[p.pos]; c {
		case ' ', '\t', '\r', '\n':
			p.pos++
		default:
			return c
		}
	}
}

// A place is where in a session a value is, as far as that matters.
type place int

const (
	elsewhere place = iota
	atTop
	atCookie
	atCookieExpires
)

// below returns the place of a member.
func (p place) below(key string) place {
	switch {
	case p == atTop && key == "cookie":
		return atCookie
	case p == atCookie && key == "expires":
		return atCookieExpires
	}
	return elsewhere
}

// A member is where a member of an object lies in the output.
type member struct {
	key        string
	start, end int
}

// object appends the object at p.
func (p *parser) object(out []byte, kept bson.RawValue, depth int, at place) ([]byte, bool) {
	if depth > maxDepth {
		return nil, false
	}
	old := membersOf(kept)
	begin := len(out)
	out = append(out, 0, 0, 0, 0)
	var room [16]member
	members := room[:0]
	for p.pos++; p.next() != '}'; { // past the brace, or a comma
		if p.text[p.pos] == ',' {
			p.pos++
			p.next()
		}
		key := p.string()
		if strings.IndexByte(key, 0) >= 0 {
			return nil, false
		}
		p.next()
		p.pos++ // the colon
		start := len(out)
		out = append(append(append(out, 0), key...), 0)
		var kind bson.Type
		var ok bool
		if kind, out, ok = p.value(out, old[key], depth, at.below(key)); !ok {
			return nil, false
		}
		out[start] = byte(kind)
		members = append(members, member{key, start, len(out)})
	}
	p.pos++
	out = lastOfEach(out, members)
	return terminate(out, begin), true
}

// membersOf returns the members of a subdocument by key, or nil if value is none.
func membersOf(value bson.RawValue) map[string]bson.RawValue {
	doc, ok := value.DocumentOK()
	if !ok {
		return nil
	}
	elements, err := doc.Elements()
	if err != nil {
		return nil
	}
	members := make(map[string]bson.RawValue, len(elements))
	for _, e := range elements {
		members[e.Key()] = e.Value()
	}
	return members
}

// lastOfEach leaves of several members with one key the last, in the place of
// the first, as JSON.parse does.
func lastOfEach(out []byte, members []member) []byte {
	if len(members) < 2 {
		return out
	}
	first := make(map[string]int, len(members))
	for i, m := range members {
		if _, ok := first[m.key]; !ok {
			first[m.key] = i
		}
	}
	if len(first) == len(members) {
		return out
	}
	last := make(map[string]member, len(first))
	for _, m := range members {
		last[m.key] = m
	}
	begin := members[0].start
	var kept []byte
	for i, m := range members {
		if first[m.key] == i {
			m = last[m.key]
			kept = append(kept, out[m.start:m.end]...)
		}
	}
	return append(out[:begin], kept...)
}

func (p *parser) array(out []byte, kept bson.RawValue, depth int) ([]byte, bool) {
	if depth > maxDepth {
		return nil, false
	}
	old, _ := kept.ArrayOK()
	before, err := old.Values()
	if err != nil {
		before = nil
	}
	begin := len(out)
	out = append(out, 0, 0, 0, 0)
	i := 0
	for p.pos++; p.next() != ']'; i++ {
		if p.text[p.pos] == ',' {
			p.pos++
			p.next()
		}
		at := len(out)
		out = append(out, 0)
		out = append(strconv.AppendInt(out, int64(i), 10), 0)
		var was bson.RawValue
		if i < len(before) {
			was = before[i]
		}
		var kind bson.Type
		var ok bool
		if kind, out, ok = p.value(out, was, depth, elsewhere); !ok {
			return nil, false
		}
		out[at] = byte(kind)
	}
	p.pos++
	return terminate(out, begin), true
}

// value appends the value at p and returns its type.
func (p *parser) value(out []byte, kept bson.RawValue, depth int, at place) (kind bson.Type, _ []byte, ok bool) {
	c := p.next()
	begin, from := len(out), p.pos
	switch c {
	case '{':
		kind = bson.TypeEmbeddedDocument
		out, ok = p.object(out, kept, depth+1, at)
	case '[':
		kind = bson.TypeArray
		out, ok = p.array(out, kept, depth+1)
	case '"':
		s := p.string()
		kind, ok = bson.TypeString, true
		if at == atCookieExpires {
			// express-session keeps it as a Date.
			if t, err := time.Parse(isoLayout, s); err == nil {
				kind, out = bson.TypeDateTime, appendInt64(out, t.UnixMilli())
				break
			}
		}
		out = appendString(out, s)
	case 't', 'f':
		kind, ok = bson.TypeBoolean, true
		if c == 't' {
			out, p.pos = append(out, 1), p.pos+len("true")
		} else {
			out, p.pos = append(out, 0), p.pos+len("false")
		}
	case 'n':
		kind, ok = bson.TypeNull, true
		p.pos += len("null")
	default:
		kind, out = p.number(out)
		ok = true
	}
	if ok && kept.Type != 0 && kept.Type != kind && says(kept, p.text[from:p.pos], bson.RawValue{Type: kind, Value: out[begin:]}) {
		return kept.Type, append(out[:begin], kept.Value...), true
	}
	return kind, out, ok
}

// says reports whether kept reads as the text of another value, or as the value
// itself: the digits of an int64 may be more than that of a double.
func says(kept bson.RawValue, text []byte, value bson.RawValue) bool {
	before, err := appendJSON(nil, kept)
	if err != nil || bytes.Equal(before, text) {
		return err == nil
	}
	now, err := appendJSON(nil, value)
	return err == nil && bytes.Equal(before, now)
}

// string returns the string at p.
func (p *parser) string() string {
	begin := p.pos
	plain := true
	for p.pos++; p.text[p.pos] != '"'; p.pos++ {
		if p.text[p.pos] == '\\' {
			plain = false
			p.pos++
		}
	}
	p.pos++
	if plain {
		return string(p.text[begin+1 : p.pos-1])
	}
	var s string
	_ = json.Unmarshal(p.text[begin:p.pos], &s) // it is valid
	return s
}

func (p *parser) number(out []byte) (bson.Type, []byte) {
	begin := p.pos
	for p.pos < len(p.text) && strings.IndexByte("+-.0123456789eE", p.text[p.pos]) >= 0 {
		p.pos++
	}
	// Out of range is an infinity, as in JavaScript.
	f, _ := strconv.ParseFloat(string(p.text[begin:p.pos]), 64)
	if i := int32(max(math.MinInt32, min(f, math.MaxInt32))); float64(i) == f && !(f == 0 && math.Signbit(f)) {
		return bson.TypeInt32, appendInt32(out, int(i))
	}
	return bson.TypeDouble, appendInt64(out, int64(math.Float64bits(f)))
}

// terminate ends the document that begins at begin.
func terminate(out []byte, begin int) []byte {
	out = append(out, 0)
	binary.LittleEndian.PutUint32(out[begin:], uint32(len(out)-begin))
	return out
}

func stringValue[T string | []byte](s T) bson.RawValue {
	return bson.RawValue{Type: bson.TypeString, Value: appendString(make([]byte, 0, len(s)+5), s)}
}

func appendString[T string | []byte](out []byte, s T) []byte {
	return append(append(appendInt32(out, len(s)+1), s...), 0)
}

func appendInt32(out []byte, i int) []byte { return binary.LittleEndian.AppendUint32(out, uint32(i)) }

func appendInt64(out []byte, i int64) []byte { return binary.LittleEndian.AppendUint64(out, uint64(i)) }
