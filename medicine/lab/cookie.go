package lab

import (
	"crypto/rand"
	"encoding/base64"
	"net/url"
	"strings"
)

// The value of a session cookie is encodeURIComponent("s:" + id + "." + signature).

// split returns the parts of a cookie's value. What is not signed has no
// signature, and is an id from end to end.
func split(value string) (id, signature string) {
	text, err := url.PathUnescape(value)
	if err != nil {
		text = value
	}
	text, signed := strings.CutPrefix(text, "s:")
	dot := strings.LastIndexByte(text, '.')
	if !signed || dot < 0 {
		return text, ""
	}
	return text[:dot], text[dot+1:]
}

func idOf(value string) string {
	id, _ := split(value)
	return id
}

// join returns the value of a cookie with these parts. The characters that
// QueryEscape leaves alone and encodeURIComponent does not, and the other way
// round, occur in neither part.
func join(id, signature string) string {
	return url.QueryEscape("s:" + id + "." + signature)
}

// changed returns text with the character in its middle replaced. The last one
// of a signature would prove less: two of its bits stand for nothing.
func changed(text string) string {
	b := []byte(text)
	if len(b) == 0 {
		return "A"
	}
	at := len(b) / 2
	if b[at] == 'A' {
		b[at] = 'B'
	} else {
		b[at] = 'A'
	}
	return string(b)
}

// random returns n random bytes as ids have them: in base64url.
func random(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}
