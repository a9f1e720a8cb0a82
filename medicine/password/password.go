// Package password keeps passwords as argon2id hashes, and bounds what computing
// them may cost the machine.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// ErrBusy: so many hashes are being computed that this one's turn did not come
// before its context was done.
var ErrBusy = errors.New("medicine: too many passwords are being checked")

// The cost of a hash: the second of the parameter sets, all of the same worth,
// that OWASP's Password Storage Cheat Sheet recommends for argon2id. About 25 ms
// of one processor.
var standard = params{memory: 19 << 10, time: 2, threads: 1}

const (
	saltBytes = 16
	tagBytes  = 32
)

// A Hasher computes and checks hashes, as many at a time as there are processors
// for Go, since each takes 19 MiB: whoever sends a thousand sign-ins at once has
// them wait. Make one with [New]. Its methods may be called concurrently.
type Hasher struct {
	turns chan struct{}
	count atomic.Uint64
	none  string // the hash of nobody's password
}

// New returns a Hasher. Two of them do not know of each other's work.
func New() *Hasher {
	h := &Hasher{turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
	// A tag of zeros: no password is known that has it, and none is accepted.
	h.none = encode(standard, make([]byte, saltBytes), make([]byte, tagBytes))
	return h
}

// Count returns how many hashes were computed, for checks and for creation.
func (h *Hasher) Count() uint64 { return h.count.Load() }

// Hash returns the hash of a password with a salt of its own, as a text in the
// PHC string format: $argon2id$v=19$m=19456,t=2,p=1$SALT$TAG. The password is one
// that [Prepare] returned. The error is [ErrBusy] where ctx was done first.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	tag, err := h.compute(ctx, standard, password, salt, tagBytes)
	if err != nil {
		return "", err
	}
	return encode(standard, salt, tag), nil
}

// Check reports whether hash was made of this password, and whether it should be
// made again because it was made at a lower cost than [Hasher.Hash] has now. It
// takes any password, prepared or not.
//
// An empty hash stands for an account that does not exist: the answer is false,
// after the same work as for one that does. The error is [ErrBusy] where ctx was
// done first, and another one where hash is none or would cost more than a
// check may.
func (h *Hasher) Check(ctx context.Context, hash, password string) (ok, outdated bool, err error) {
	nobody := hash == ""
	if nobody {
		hash = h.none
	}
	p, salt, want, err := decode(hash)
	if err != nil {
		return false, false, err
	}
	prepared, wrong := Prepare(password)
	if wrong != nil {
		prepared = "" // nobody has it; the work is done all the same
	}
	got, err := h.compute(ctx, p, prepared, salt, len(want))
	if err != nil {
		return false, false, err
	}
	same := subtle.ConstantTimeCompare(got, want) == 1
	ok = same && wrong == nil && !nobody
	return ok, ok && (p.weakerThan(standard) || len(salt) < saltBytes || len(want) < tagBytes), nil
}

// compute computes a tag when its turn comes. A computation that has begun is
// not given up.
func (h *Hasher) compute(ctx context.Context, p params, password string, salt []byte, length int) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBusy, err)
	}
	select {
	case h.turns <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	defer func() { <-h.turns }()
	h.count.Add(1)
	return argon2.IDKey([]byte(password), salt, p.time, p.memory, p.threads, uint32(length)), nil
}
