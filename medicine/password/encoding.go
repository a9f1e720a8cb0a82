package password

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// params are the cost of a hash.
type params struct {
	memory  uint32 // KiB
	time    uint32 // passes
	threads uint8
}

// What a hash in the table may ask for: whoever can write there could otherwise
// have a sign-in take all memory, or hours.
const (
	maxMemory  = 64 << 10 // KiB
	maxTime    = 10
	maxThreads = 4
	minSalt    = 8 // bytes, as RFC 9106 §3.1 has it
	maxSalt    = 64
	minTag     = 16
	maxTag     = 64
)

// weakerThan reports whether p costs an attacker less than q does, by what OWASP
// takes for equal: memory times passes.
func (p params) weakerThan(q params) bool {
	return uint64(p.memory)*uint64(p.time) < uint64(q.memory)*uint64(q.time)
}

// errEncoding quotes nothing of the hash.
var errEncoding = errors.New("medicine: the hash of a password is not one of argon2id that can be checked")

var base = base64.RawStdEncoding.Strict()

// encode writes a hash in the PHC string format, as the reference
// implementation of Argon2 does.
func encode(p params, salt, tag []byte) string {
	var b strings.Builder
	b.WriteString("$argon2id$v=" + strconv.Itoa(argon2.Version) +
		"$m=" + strconv.FormatUint(uint64(p.memory), 10) +
		",t=" + strconv.FormatUint(uint64(p.time), 10) +
		",p=" + strconv.FormatUint(uint64(p.threads), 10) +
		"$" + base.EncodeToString(salt) + "$" + base.EncodeToString(tag))
	return b.String()
}

// decode reads what encode writes, and the hashes of other programs within the
// bounds. What it takes, encode writes byte for byte.
func decode(text string) (p params, salt, tag []byte, err error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return params{}, nil, nil, errEncoding
	}
	cost := strings.Split(parts[3], ",")
	if len(cost) != 3 {
		return params{}, nil, nil, errEncoding
	}
	memory, ok1 := number(cost[0], "m=", maxMemory)
	time, ok2 := number(cost[1], "t=", maxTime)
	threads, ok3 := number(cost[2], "p=", maxThreads)
	if !ok1 || !ok2 || !ok3 || memory < 8*threads { // RFC 9106 §3.1
		return params{}, nil, nil, errEncoding
	}
	if len(parts[4])+len(parts[5]) > 2*(maxSalt+maxTag) {
		return params{}, nil, nil, errEncoding
	}
	salt, err1 := base.DecodeString(parts[4])
	tag, err2 := base.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(salt) < minSalt || len(salt) > maxSalt || len(tag) < minTag || len(tag) > maxTag {
		return params{}, nil, nil, errEncoding
	}
	// Base64 decoders skip line breaks.
	if strings.ContainsAny(parts[4]+parts[5], "\r\n") {
		return params{}, nil, nil, errEncoding
	}
	return params{uint32(memory), uint32(time), uint8(threads)}, salt, tag, nil
}

// number reads NAME= and a number from 1 to most, without zeros before it.
func number(text, name string, most uint64) (uint64, bool) {
	digits, ok := strings.CutPrefix(text, name)
	if !ok || digits == "" || digits[0] < '1' || digits[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return n, err == nil && n <= most
}
