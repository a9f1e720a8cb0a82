package mongostore

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// What connect-mongo encrypts, with either of its options, is one text in
// base64, base64url or hexadecimal.
var (
	errCrypto = fmt.Errorf(`the session is encrypted by connect-mongo's option "crypto": remove the option from the `+
		"Express application, or give Pillbox a collection of its own: %w", errors.ErrUnsupported)
	errCryptoAdapter = fmt.Errorf(`the session is encrypted, as by connect-mongo's option "cryptoAdapter": remove the option from the `+
		"Express application, or give Pillbox a collection of its own: %w", errors.ErrUnsupported)
)

// minCiphertext is the least that the Web Crypto adapter makes: a nonce of 12
// bytes, a tag of 16, and {} in between.
const minCiphertext = 12 + 2 + 16

// readable returns an error for a text that connect-mongo has encrypted. To take
// it for a damaged session would have it deleted.
func readable(text string) error {
	if strings.HasPrefix(text, "{") {
		return nil
	}
	data, ok := decode(text)
	switch {
	case !ok || len(data) < minCiphertext:
		return nil
	case isKruptein(data):
		return errCrypto
	}
	return errCryptoAdapter
}

func decode(text string) ([]byte, bool) {
	if data, err := hex.DecodeString(text); err == nil {
		return data, true
	}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.RawURLEncoding, base64.URLEncoding} {
		if data, err := encoding.DecodeString(text); err == nil {
			return data, true
		}
	}
	return nil, false
}

// isKruptein reports whether data has the shape of what the package kruptein
// makes: in DER, a SEQUENCE that begins with an OCTET STRING and ends with the
// data.
func isKruptein(data []byte) bool {
	const sequence, octetString = 0x30, 0x04
	content, ok := derContent(data, sequence)
	return ok && len(content) > 0 && content[0] == octetString
}

// derContent returns the content of an element that fills data.
func derContent(data []byte, tag byte) ([]byte, bool) {
	if len(data) < 2 || data[0] != tag {
		return nil, false
	}
	length, rest := int(data[1]), data[2:]
	if length >= 0x80 { // the long form: that many bytes say how long it is
		n := length & 0x7f
		if n > 4 || n > len(rest) {
			return nil, false
		}
		length = 0
		for _, b := range rest[:n] {
			length = length<<8 | int(b)
		}
		rest = rest[n:]
	}
	return rest, length == len(rest)
}
