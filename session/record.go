package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// What is stored of a session has the shape that express-session gives it: one
// JSON object with the member "cookie" and beside it whatever the application
// put there. Pillbox adds one member of its own, which Express carries along.
//
//	{"cookie":{"originalMaxAge":null,"expires":null,"secure":true,…},
//	 "__pillbox":{"created":1795406335999},
//	 "pills":[{"name":"Ibuprofen"}]}

const (
	cookieKey = "cookie"
	metaKey   = "__pillbox"
)

// The same, as they are written. Nobody changes them.
var cookieName, metaName = []byte(cookieKey), []byte(metaKey)

// isReserved reports whether an application may not use a name: the two above,
// and what express-session silently drops when it reads a session.
func isReserved(key string) bool {
	switch key {
	case cookieKey, metaKey,
		"id", "req", "touch", "resetMaxAge", "save", "reload", "destroy", "regenerate",
		"constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable",
		"toLocaleString", "toString", "valueOf", "__proto__", "__defineGetter__",
		"__defineSetter__", "__lookupGetter__", "__lookupSetter__":
		return true
	}
	return false
}

// A record is a stored session, split but not decoded.
type record struct {
	raw      []byte // as the store has it: what a commit is compared with
	object          // the whole of it, opened if it was sealed
	meta     meta
	cookie   []byte        // the member "cookie", as it is
	maxAge   time.Duration // its originalMaxAge; 0: until the browser closes
	deadline time.Time     // of the row
	stamped  bool          // meta.created is not stored yet

	room [12]member // so that a session of the usual size takes no allocation
}

// meta is the member "__pillbox".
type meta struct {
	created  time.Time // zero: made by an Express application
	user     string
	signedIn time.Time
	moved    time.Time // not zero: renewed, and readable until then
	heir     string    // if moved: the key under which the session goes on
}

var (
	errNoCookie  = errors.New(`no member "cookie": this is no session, or an encrypted one of connect-mongo`)
	errLifetime  = errors.New("cookie.originalMaxAge is not a number of milliseconds")
	errMeta      = errors.New("member " + metaKey + " is damaged")
	errSealed    = errors.New("session is sealed, but EncryptionKeys is empty")
	errNotSealed = errors.New("session is not sealed, and InsecureUnsealed is not set")
	errUnseal    = errors.New("no key in EncryptionKeys opens the session")
)

// oversize is how many times Config.MaxBytes a stored session may be: a bound
// that was lowered, or an Express application without one, ends no session, and
// what could never have been one is not carried through every request.
const oversize = 8

// decode reads what a store holds under key into rec, which is zero. Its errors
// say what is wrong with the record and quote nothing of it.
func (m *Manager) decode(rec *record, key string, stored Record) error {
	rec.raw, rec.deadline = stored.Data, stored.Deadline
	if limit := oversize * m.config.MaxBytes; limit > 0 && len(stored.Data) > limit {
		return fmt.Errorf("%d bytes, more than %d times what is allowed (Config.MaxBytes)", len(stored.Data), oversize)
	}
	var err error
	if rec.object, err = m.split(stored.Data, rec.room[:0]); err != nil {
		return err
	}
	sealed, err := rec.meta.find(rec.object)
	switch {
	case err != nil:
		return err
	case sealed != nil:
		plain, err := m.open(key, sealed)
		if err != nil {
			return err
		}
		if rec.object, err = splitObject(plain, rec.members[:0]); err != nil {
			return err
		}
		rec.meta = meta{}
		if _, err := rec.meta.find(rec.object); err != nil {
			return err
		}
	case m.sealer != nil && !m.config.InsecureUnsealed:
		return errNotSealed
	}
	var ok bool
	if rec.cookie, ok = rec.find(cookieKey); !ok {
		return errNoCookie
	}
	if bytes.Equal(rec.cookie, m.plainCookie) {
		return nil // the usual case: no lifetime to read
	}
	rec.maxAge, err = decodeMaxAge(rec.cookie)
	return err
}

// split is splitObject for a whole record. Nearly every record begins with the
// same cookie, which then needs no second look.
func (m *Manager) split(text []byte, room []member) (object, error) {
	if len(text) <= len(m.plainStart) || text[len(m.plainStart)] != ',' || !bytes.HasPrefix(text, m.plainStart) ||
		uint64(len(text)) > maxText {
		return splitObject(text, room)
	}
	cookie := member{
		name: uint32(len(`{"`)), nameEnd: uint32(len(`{"` + cookieKey)),
		value: uint32(len(`{"` + cookieKey + `":`)), valueEnd: uint32(len(m.plainStart)),
	}
	s := scanner{text: text, pos: len(m.plainStart) + len(`,`)}
	s.space()
	return s.members(append(room, cookie))
}

// decodeMaxAge returns originalMaxAge, 0 where the cookie ends with the browser,
// and a negative lifetime for one that is over.
func decodeMaxAge(cookie []byte) (time.Duration, error) {
	var room [12]member
	o, err := splitObject(cookie, room[:0])
	if err != nil {
		return 0, errNoCookie
	}
	text, ok := o.find("originalMaxAge")
	if !ok || string(text) == "null" || string(text) == "false" {
		return 0, nil
	}
	ms, err := strconv.ParseFloat(string(text), 64)
	switch {
	case err != nil:
		return 0, errLifetime
	case ms <= 0:
		return -1, nil
	case ms < 1:
		return time.Millisecond, nil
	}
	return time.Duration(math.Min(ms, float64(maxTimeout.Milliseconds()))) * time.Millisecond, nil
}

// storedExpires returns the member "expires" of a stored cookie, which stores
// that touch only the row leave behind; zero where there is none.
func storedExpires(cookie []byte) time.Time {
	var parsed struct{ Expires any }
	if json.Unmarshal(cookie, &parsed) != nil {
		return time.Time{}
	}
	text, _ := parsed.Expires.(string)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}

// find fills in what Pillbox noted of a session: nothing where an Express
// application made it. Where the session is sealed, it returns that.
func (t *meta) find(o object) (sealed []byte, err error) {
	text, ok := o.find(metaKey)
	if !ok {
		return nil, nil
	}
	if rest, ok := bytes.CutPrefix(text, []byte(`{"created":`)); ok {
		// Nobody has signed in: there is usually no more than this.
		if ms, ok := plainInt(rest[:len(rest)-1]); ok {
			t.created = time.UnixMilli(ms)
			return nil, nil
		}
	}
	var room [6]member
	noted, err := splitObject(text, room[:0])
	if err != nil {
		return nil, errMeta
	}
	for _, m := range noted.members {
		value := text[m.value:m.valueEnd]
		switch string(text[m.name:m.nameEnd]) {
		case "created":
			t.created, err = decodeMillis(value)
		case "signedIn":
			t.signedIn, err = decodeMillis(value)
		case "moved":
			t.moved, err = decodeMillis(value)
		case "user":
			t.user, err = decodeString(value)
		case "heir":
			t.heir, err = decodeString(value)
		case "sealed":
			if len(value) < 2 || value[0] != '"' {
				return nil, errMeta
			}
			sealed = value[1 : len(value)-1]
		}
		if err != nil {
			return nil, errMeta
		}
	}
	return sealed, nil
}

// decodeString decodes a JSON string.
func decodeString(text []byte) (string, error) {
	if s, ok := plainString(text); ok {
		return s, nil
	}
	var s string
	err := json.Unmarshal(text, &s)
	return s, err
}

func decodeMillis(text []byte) (time.Time, error) {
	ms, ok := plainInt(text)
	if !ok {
		return time.Time{}, errMeta
	}
	return time.UnixMilli(ms), nil
}

func (t meta) encode() ([]byte, error) {
	b := append(make([]byte, 0, 96), `{"created":`...)
	b = strconv.AppendInt(b, t.created.UnixMilli(), 10)
	if t.user != "" {
		user, err := encodeJSON(t.user)
		if err != nil {
			return nil, err
		}
		b = append(append(b, `,"user":`...), user...)
		b = strconv.AppendInt(append(b, `,"signedIn":`...), t.signedIn.UnixMilli(), 10)
	}
	if !t.moved.IsZero() {
		b = strconv.AppendInt(append(b, `,"moved":`...), t.moved.UnixMilli(), 10)
		b = append(append(append(b, `,"heir":"`...), t.heir...), '"') // an id needs no escapes
	}
	return append(b, '}'), nil
}

// fits refuses data that is larger than allowed, unless it is smaller than what
// it replaces: a session that has become too large can be cut down.
func (m *Manager) fits(data, old []byte) error {
	if limit := m.config.MaxBytes; limit > 0 && len(data) > limit && (old == nil || len(data) >= len(old)) {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed (Config.MaxBytes)", ErrTooLarge, len(data), limit)
	}
	return nil
}

// encode makes of rec what is to be stored under key: the fields and rec.cookie,
// with another member "__pillbox" unless rawMeta is nil, and with the cookie's
// expiry brought up to date, sealed if there are keys. It may change fields.
func (m *Manager) encode(rec *record, key string, fields []field, rawMeta []byte, expires time.Time) error {
	if rawMeta != nil {
		fields = replace(fields, metaKey, rawMeta)
	}
	cookie, err := rec.cookie, error(nil)
	if !expires.IsZero() {
		if cookie, err = withExpires(cookie, expires); err != nil {
			return err
		}
		fields = replace(fields, cookieKey, cookie)
	}
	if rec.object, err = join(fields, rec.room[:0]); err != nil {
		return err
	}
	rec.raw = rec.text
	if m.sealer != nil {
		rec.raw, err = m.seal(key, cookie, rec.text)
	}
	return err
}

func withExpires(cookie []byte, expires time.Time) ([]byte, error) {
	return withMember(cookie, "expires", isoTime(expires))
}

// withMember returns the text of an object with another value for a name.
func withMember(text []byte, name string, value []byte) ([]byte, error) {
	var room [12]member
	o, err := splitObject(text, room[:0])
	if err != nil {
		return nil, err
	}
	var fields [13]field
	o, err = join(replace(o.appendFields(fields[:0]), name, value), room[:0])
	return o.text, err
}

// withMaxAge returns the cookie with another lifetime; 0 means until the
// browser closes.
func withMaxAge(cookie []byte, maxAge time.Duration) ([]byte, error) {
	if maxAge > 0 {
		return withMember(cookie, "originalMaxAge", strconv.AppendInt(nil, maxAge.Milliseconds(), 10))
	}
	cookie, err := withMember(cookie, "originalMaxAge", []byte("null"))
	if err != nil {
		return nil, err
	}
	return withMember(cookie, "expires", []byte("null"))
}

func isoTime(t time.Time) []byte {
	return t.UTC().AppendFormat(make([]byte, 0, 26), `"2006-01-02T15:04:05.000Z"`)
}

// newCookie returns the member "cookie" of a new session, with the keys of
// express-session in its order. Its expires is filled in by encode.
func (m *Manager) newCookie(encrypted bool) []byte {
	c := &m.config.Cookie
	b := append(make([]byte, 0, 192), `{"originalMaxAge":`...)
	if c.MaxAge > 0 {
		b = strconv.AppendInt(b, c.MaxAge.Milliseconds(), 10)
	} else {
		b = append(b, "null"...)
	}
	if c.Partitioned {
		b = append(b, `,"partitioned":true`...)
	}
	if c.Priority != "" {
		b = append(append(append(b, `,"priority":"`...), strings.ToLower(string(c.Priority))...), '"')
	}
	b = append(b, `,"expires":null`...)
	if c.secure(encrypted) {
		b = append(b, `,"secure":true`...)
	}
	b = append(b, `,"httpOnly":`...)
	b = strconv.AppendBool(b, c.HTTPOnly == HTTPOnlyAlways)
	if c.Domain != "" {
		b = append(append(append(b, `,"domain":"`...), c.Domain...), '"')
	}
	b = append(b, `,"path":`...)
	path, err := encodeJSON(c.Path)
	if err != nil { // a string always encodes
		panic(err)
	}
	b = append(b, path...)
	if s := c.sameSite(encrypted); s != "" {
		b = append(append(append(b, `,"sameSite":"`...), strings.ToLower(s)...), '"')
	}
	return append(b, '}')
}
