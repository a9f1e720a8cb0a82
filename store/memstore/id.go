package memstore

import "hash/maphash"

const maxID = 128

// A key is an id in the form in which it is kept: groups of four characters of
// the base64url alphabet as three bytes, and the rest as it is. An id with a
// character from outside the alphabet is kept as it is altogether. Given the
// length of the id the form is reversible, so that different ids are different
// keys.
type key struct {
	hash   uint64
	id     int // length of the id
	packed bool
	size   int
	bytes  [maxID]byte
}

// set makes k the key of id and reports whether id has a permitted length.
func (k *key) set(seed maphash.Seed, id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	k.hash = maphash.String(seed, id)
	k.id = len(id)
	k.size, k.packed = pack(&k.bytes, id)
	return true
}

func hashString(seed maphash.Seed, s string) uint64 { return maphash.String(seed, s) }

// shard returns the number of the shard that the key belongs to. It uses other
// bits of the hash than the shard's own index does.
func (k *key) shard() int { return shardOf(k.hash) }

func shardOf(hash uint64) int { return int(hash >> (64 - shardBits)) }

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// digits has the value of each character of the alphabet, and 0xff elsewhere.
var digits = func() (digits [256]uint8) {
	for i := range digits {
		digits[i] = 0xff
	}
	for i := range len(alphabet) {
		digits[alphabet[i]] = uint8(i)
	}
	return
}()

func pack(dst *[maxID]byte, id string) (size int, packed bool) {
	rest := id
	var n int
	var outside uint8
	for len(rest) >= 4 {
		a, b, c, d := digits[rest[0]], digits[rest[1]], digits[rest[2]], digits[rest[3]]
		outside |= a | b | c | d
		to := dst[n : n+3 : maxID]
		to[0], to[1], to[2] = a<<2|b>>4, b<<4|c>>2, c<<6|d
		n += 3
		rest = rest[4:]
	}
	if outside > 63 {
		return copy(dst[:], id), false
	}
	return n + copy(dst[n:], rest), true
}

// packedSize returns how many bytes the id of this length takes.
func packedSize(id int, packed bool) int {
	if !packed {
		return id
	}
	return id/4*3 + id%4
}

// unpack is the inverse of pack.
func unpack(src []byte, id int, packed bool) string {
	if !packed {
		return string(src)
	}
	var text [maxID]byte
	n := 0
	for ; n+4 <= id; n += 4 {
		a, b, c := src[0], src[1], src[2]
		text[n], text[n+1] = alphabet[a>>2], alphabet[(a<<4|b>>4)&63]
		text[n+2], text[n+3] = alphabet[(b<<2|c>>6)&63], alphabet[c&63]
		src = src[3:]
	}
	n += copy(text[n:id], src)
	return string(text[:n])
}
