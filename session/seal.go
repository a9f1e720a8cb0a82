package session

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"io"
)

// A sealed session is stored as
//
//	{"cookie":{…},"__pillbox":{"sealed":"base64 of nonce and ciphertext"}}
//
// with the whole plain object inside, so that it is JSON for stores whose
// column wants that. The store's key is the additional data: what is moved to
// another key does not open there.

// A sealer encrypts with its first key and decrypts with each.
type sealer struct {
	aeads []cipher.AEAD
}

func newSealer(keys [][]byte) (*sealer, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	s := &sealer{}
	for _, key := range keys {
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		s.aeads = append(s.aeads, aead)
	}
	return s, nil
}

func (m *Manager) seal(key string, cookie, plain []byte) ([]byte, error) {
	aead := m.sealer.aeads[0]
	box := make([]byte, aead.NonceSize(), aead.NonceSize()+len(plain)+aead.Overhead())
	if _, err := io.ReadFull(randomReader, box); err != nil {
		return nil, err
	}
	box = aead.Seal(box, box[:aead.NonceSize()], plain, []byte(key))
	b := append(make([]byte, 0, 2*len(box)+len(cookie)), `{"cookie":`...)
	b = append(b, cookie...)
	b = append(b, `,"`+metaKey+`":{"sealed":"`...)
	b = base64.StdEncoding.AppendEncode(b, box)
	return append(b, `"}}`...), nil
}

// open returns the plain object in a sealed text.
func (m *Manager) open(key string, sealed []byte) ([]byte, error) {
	if m.sealer == nil {
		return nil, errSealed
	}
	box := make([]byte, base64.StdEncoding.DecodedLen(len(sealed)))
	n, err := base64.StdEncoding.Decode(box, sealed)
	if err != nil {
		return nil, errUnseal
	}
	for _, aead := range m.sealer.aeads {
		if n < aead.NonceSize() {
			break
		}
		if plain, err := aead.Open(nil, box[:aead.NonceSize()], box[aead.NonceSize():n], []byte(key)); err == nil {
			return plain, nil
		}
	}
	return nil, errUnseal
}
