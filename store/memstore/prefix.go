package memstore

import (
	"bytes"
	"hash/maphash"
)

const (
	maxPrefixes  = prefixMask
	minPrefixLen = 16
	maxPrefixLen = 1024
)

// prefixes are beginnings that several records of a shard share. A record
// keeps the number of its prefix, from 1, or 0 for none, and the rest of its
// data.
//
// The likely beginning is what comes before the second member of the JSON
// object: the cookie, which is the same in nearly all records. If that member
// is Pillbox's own, its name and the name of its first member belong to it too.
// It becomes a prefix when it is met for the second time within a few records,
// so that beginnings with a date in them do not take up the few places.
type prefixes struct {
	all  []prefix
	seen [4]uint32 // hashes of beginnings that were met lately
	next uint8     // the place in seen that is the oldest
}

type prefix struct {
	text string
	refs uint32 // records that use it; 0 means that the place is free
}

// text returns the prefix with this number.
func (p *prefixes) text(n uint8) string {
	if n == 0 {
		return ""
	}
	return p.all[n-1].text
}

// acquire returns the number of a prefix of data, trying guess first, and
// counts a use of it.
func (p *prefixes) acquire(seed maphash.Seed, data []byte, guess uint8) uint8 {
	if guess > 0 && hasPrefix(data, p.all[guess-1].text) {
		p.all[guess-1].refs++
		return guess
	}
	n := 0 // one beginning can be the beginning of another
	for i := range p.all {
		if e := &p.all[i]; e.refs > 0 && hasPrefix(data, e.text) && (n == 0 || len(e.text) > len(p.all[n-1].text)) {
			n = i + 1
		}
	}
	if n > 0 {
		p.all[n-1].refs++
		return uint8(n)
	}
	return p.learn(seed, data)
}

// learn considers whether the beginning of data is to become a prefix.
func (p *prefixes) learn(seed maphash.Seed, data []byte) uint8 {
	end := beginning(data[:min(len(data), maxPrefixLen)])
	if end < minPrefixLen {
		return 0
	}
	hash := uint32(maphash.Bytes(seed, data[:end]))
	known := false
	for _, seen := range p.seen {
		known = known || seen == hash
	}
	if !known {
		p.seen[p.next] = hash
		p.next = (p.next + 1) % uint8(len(p.seen))
		return 0
	}
	for i := range p.all {
		if p.all[i].refs == 0 {
			p.all[i] = prefix{string(data[:end]), 1}
			return uint8(i + 1)
		}
	}
	if len(p.all) == maxPrefixes {
		return 0
	}
	p.all = append(p.all, prefix{string(data[:end]), 1})
	return uint8(len(p.all))
}

// beginning returns how long the likely beginning of data is.
func beginning(data []byte) int {
	end := bytes.Index(data, []byte(`},`)) + 2
	if rest := data[end:]; bytes.HasPrefix(rest, []byte(`"__pillbox":{`)) {
		member := bytes.IndexByte(rest, '{')
		end += member + bytes.IndexByte(rest[member:], ':') + 1
	}
	return end
}

// release ends a use of a prefix.
func (p *prefixes) release(n uint8) {
	if n == 0 {
		return
	}
	e := &p.all[n-1]
	if e.refs--; e.refs == 0 {
		e.text = ""
	}
}

func hasPrefix(data []byte, prefix string) bool {
	return len(data) >= len(prefix) && string(data[:len(prefix)]) == prefix
}
