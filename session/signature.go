package session

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strings"
	"sync"
	"unicode/utf8"
)

// The value of a session cookie is what express-session and cookie-signature
// make of it: encodeURIComponent("s:" + id + "." + signature), the signature
// being the HMAC-SHA256 of the id in standard base64 without padding.

// signatureLen is the length of a signature as text.
const signatureLen = 43

// maxCookieValue bounds the cookie values that are looked at: an id of
// maxIDLen and its signature, with every byte percent-encoded.
const maxCookieValue = 3 * (len("s:") + maxIDLen + len(".") + signatureLen)

// A signer signs ids with its first secret, and verifies them with each.
type signer struct {
	secrets []*sync.Pool // of *mac
}

// A mac is one keyed hash with room for its results, so that signing and
// verifying allocate nothing. Its first Reset makes later ones cheap.
type mac struct {
	hash hash.Hash
	in   []byte
	sum  [sha256.Size]byte
	text [signatureLen]byte
}

func newSigner(secrets []string) *signer {
	s := &signer{}
	for _, secret := range secrets {
		s.secrets = append(s.secrets, &sync.Pool{New: func() any {
			return &mac{hash: hmac.New(sha256.New, []byte(secret))}
		}})
	}
	return s
}

// sign fills in m.text with the signature of an id.
func (m *mac) sign(id string) {
	m.hash.Reset()
	m.in = append(m.in[:0], id...)
	m.hash.Write(m.in)
	base64.RawStdEncoding.Encode(m.text[:], m.hash.Sum(m.sum[:0]))
}

// appendSigned appends the cookie's value for an id.
func (s *signer) appendSigned(b []byte, id string) []byte {
	m := s.secrets[0].Get().(*mac)
	defer s.secrets[0].Put(m)
	m.sign(id)
	b = append(b, "s%3A"...)
	b = appendURIComponent(b, id)
	b = append(b, '.')
	return appendURIComponent(b, m.text[:])
}

// verify reports whether the signature is one that a secret gives for the id.
// Only the exact text counts: padded and URL-safe base64 do not.
func (s *signer) verify(id string, signature []byte) bool {
	if len(signature) != signatureLen {
		return false
	}
	for _, pool := range s.secrets {
		m := pool.Get().(*mac)
		m.sign(id)
		ok := subtle.ConstantTimeCompare(m.text[:], signature) == 1
		pool.Put(m)
		if ok {
			return true
		}
	}
	return false
}

// unsign returns the id in a cookie's value if the value is signed, its
// signature is right and the id is one that a store may be asked for.
func (s *signer) unsign(value string) (id string, ok bool) {
	if len(value) > maxCookieValue {
		return "", false
	}
	// As browsers send it, only the signature has anything to decode. The id
	// is then a part of the header, and costs no allocation.
	if rest, ok := strings.CutPrefix(value, "s%3A"); ok {
		if dot := strings.LastIndexByte(rest, '.'); dot > 0 && validID(rest[:dot]) {
			var scratch [3 * signatureLen]byte
			if len(rest)-dot-1 > len(scratch) {
				return "", false
			}
			return rest[:dot], s.verify(rest[:dot], decodeURIComponent(scratch[:0], rest[dot+1:]))
		}
	}
	var scratch [maxCookieValue]byte
	text := string(decodeURIComponent(scratch[:0], value))
	text, ok = strings.CutPrefix(text, "s:")
	dot := strings.LastIndexByte(text, '.') // the last: an id may have dots of its own
	if !ok || dot < 1 || !validID(text[:dot]) {
		return "", false
	}
	return text[:dot], s.verify(text[:dot], []byte(text[dot+1:]))
}

// appendURIComponent appends text as JavaScript's encodeURIComponent gives it.
// url.QueryEscape and url.PathEscape leave other characters unescaped.
func appendURIComponent[text string | []byte](b []byte, t text) []byte {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(t) {
		if c := t[i]; unescaped[c] {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

// unescaped has the bytes that encodeURIComponent leaves as they are.
var unescaped = byteSet(letters + digits + "-_.!~*'()")

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

// byteSet returns the set of the bytes in members, to be indexed by a byte.
func byteSet(members string) (set [256]bool) {
	for i := range len(members) {
		set[members[i]] = true
	}
	return set
}

// decodeURIComponent appends what JavaScript's decodeURIComponent gives for
// text, or text itself where that would throw, as the npm package cookie does.
func decodeURIComponent(b []byte, text string) []byte {
	start, rest := len(b), text
	for {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			b = append(b, rest...)
			break
		}
		if i+2 >= len(rest) {
			return append(b[:start], text...)
		}
		hi, lo := unhex(rest[i+1]), unhex(rest[i+2])
		if hi > 15 || lo > 15 {
			return append(b[:start], text...)
		}
		b = append(append(b, rest[:i]...), hi<<4|lo)
		rest = rest[i+len("%XX"):]
	}
	if len(rest) < len(text) && !utf8.Valid(b[start:]) {
		return append(b[:start], text...)
	}
	return b
}

// unhex returns the value of a hexadecimal digit, or more than 15.
func unhex(c byte) byte {
	switch {
	case isDigit(c):
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10
	}
	return 255
}
