package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
)

// maxIDLen is the longest id that every store of express-session keeps.
const maxIDLen = 128

// minIDLen is how many characters an id needs to carry 128 bits (OWASP ASVS
// 5.0 §7.2.3), at six bits a character.
const minIDLen = 22

// newID returns an id of express-session's form: 24 bytes as base64url.
func newID(random io.Reader) (string, error) {
	var b [24]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("pillbox: generate session id: %w", err)
	}
	var text [32]byte
	base64.RawURLEncoding.Encode(text[:], b[:])
	return string(text[:]), nil
}

// validID reports whether a store may be asked for the id. The alphabet has
// base64, base64url, UUIDs and dotted ids, and nothing that a store's own
// syntax could take for its own: no space, quote, slash, brace, bracket,
// control character or wildcard.
func validID(id string) bool {
	if len(id) == 0 || len(id) > maxIDLen {
		return false
	}
	for i := range len(id) {
		if !idBytes[id[i]] {
			return false
		}
	}
	return true
}

var idBytes = byteSet(letters + digits + "-_.~:+=@")

// hashID returns what the store sees of an id where Config.HashIDs is set.
func hashID(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// randomReader is where ids and nonces come from. Since Go 1.24 it never fails:
// the program ends instead.
var randomReader = rand.Reader

// A publicIDCodec turns a store's key into the session's public id and back.
//
// The public id is the key encrypted, with a synthetic nonce (the HMAC of the
// key, which also authenticates it: the SIV construction of RFC 5297). So it
// is the same each time, needs no index to revoke by, works for sessions that
// an Express application made, and is of no use without the server's secrets.
type publicIDCodec struct {
	keys []publicIDKey // of each secret; the first one encodes
}

type publicIDKey struct {
	mac   []byte
	block cipher.Block
}

func newPublicIDCodec(secrets []string) (*publicIDCodec, error) {
	c := &publicIDCodec{}
	for _, secret := range secrets {
		derived, err := hkdf.Key(sha256.New, []byte(secret), nil, "pillbox public id", 64)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(derived[32:])
		if err != nil {
			return nil, err
		}
		c.keys = append(c.keys, publicIDKey{mac: derived[:32], block: block})
	}
	return c, nil
}

func (k publicIDKey) nonce(key []byte) []byte {
	h := hmac.New(sha256.New, k.mac)
	h.Write(key)
	return h.Sum(nil)[:aes.BlockSize]
}

func (c *publicIDCodec) encode(key string) string {
	if key == "" {
		return ""
	}
	k := c.keys[0]
	nonce := k.nonce([]byte(key))
	out := append([]byte(nil), nonce...)
	out = append(out, key...)
	cipher.NewCTR(k.block, nonce).XORKeyStream(out[aes.BlockSize:], out[aes.BlockSize:])
	return base64.RawURLEncoding.EncodeToString(out)
}

// decode returns the store's key for a public id, and false where no secret
// opens it.
func (c *publicIDCodec) decode(publicID string) (key string, ok bool) {
	if len(publicID) > base64.RawURLEncoding.EncodedLen(aes.BlockSize+maxIDLen) {
		return "", false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(publicID)
	if err != nil || len(sealed) <= aes.BlockSize {
		return "", false
	}
	nonce, text := sealed[:aes.BlockSize], make([]byte, len(sealed)-aes.BlockSize)
	for _, k := range c.keys {
		cipher.NewCTR(k.block, nonce).XORKeyStream(text, sealed[aes.BlockSize:])
		if hmac.Equal(k.nonce(text), nonce) && validID(string(text)) {
			return string(text), true
		}
	}
	return "", false
}
