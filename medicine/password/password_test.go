package password_test

import (
	"context"
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/pillboxgo/pillbox/medicine/password"
)

// hashOf returns a hash as the reference implementation writes it.
func hashOf(pass string, memory, time uint32, threads uint8, salt string, length uint32) string {
	tag := argon2.IDKey([]byte(pass), []byte(salt), time, memory, threads, length)
	b64 := base64.RawStdEncoding.EncodeToString
	return "$argon2id$v=19$m=" + utoa(memory) + ",t=" + utoa(time) + ",p=" + utoa(uint32(threads)) + "$" + b64([]byte(salt)) + "$" + b64(tag)
}

func utoa(n uint32) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return utoa(n/10) + utoa(n%10)
}

func TestHash(t *testing.T) {
	h := password.New()
	hash, err := h.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	// OWASP's Password Storage Cheat Sheet: m=19456 (19 MiB), t=2, p=1.
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("Hash = %.35s…; want argon2id with 19 MiB, 2 passes and 1 thread", hash)
	}
	parts := strings.Split(hash, "$")
	for i, bytes := range map[int]int{4: 16, 5: 32} {
		if b, err := base64.RawStdEncoding.DecodeString(parts[i]); err != nil || len(b) != bytes {
			t.Errorf("part %d of the hash has %d bytes, %v; want %d", i, len(b), err, bytes)
		}
	}
	if again, err := h.Hash(t.Context(), "correct horse"); err != nil || again == hash {
		t.Errorf("Hash twice gives the same, %v; want another salt", err)
	}
	for _, test := range []struct {
		pass string
		want bool
	}{
		{"correct horse", true},
		{"correct\u00a0horse", true}, // OpaqueString: another space
		{"correct horse ", false},
		{"Correct horse", false},
		{"correct hors", false},
		{"correct horse\x00", false},
		{"", false},
		{"\xff", false},
		{strings.Repeat("x", 2000), false},
	} {
		ok, outdated, err := h.Check(t.Context(), hash, test.pass)
		if ok != test.want || outdated || err != nil {
			t.Errorf("Check(%.20q) = %v, outdated %v, %v; want %v", test.pass, ok, outdated, err, test.want)
		}
	}
}

// What is right is right in whatever bounds it was made, and is to be made anew
// if that was cheap.
func TestHashesOfOtherPrograms(t *testing.T) {
	h := password.New()
	const pass, salt = "correct horse", "0123456789abcdef"
	for _, test := range []struct {
		name     string
		hash     string
		outdated bool
	}{
		{"the same", hashOf(pass, 19456, 2, 1, salt, 32), false},
		{"more passes, less memory", hashOf(pass, 9216, 5, 1, salt, 32), false},
		{"more memory", hashOf(pass, 47104, 1, 1, salt, 32), false},
		{"four threads", hashOf(pass, 65536, 3, 4, salt, 64), false},
		{"little memory", hashOf(pass, 4096, 3, 1, salt, 32), true},
		{"one pass", hashOf(pass, 19456, 1, 1, salt, 32), true},
		{"short salt", hashOf(pass, 19456, 2, 1, salt[:8], 32), true},
		{"short tag", hashOf(pass, 19456, 2, 1, salt, 16), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if ok, outdated, err := h.Check(t.Context(), test.hash, pass); !ok || outdated != test.outdated || err != nil {
				t.Errorf("Check of the right password = %v, outdated %v, %v; want true, %v", ok, outdated, err, test.outdated)
			}
			if ok, outdated, err := h.Check(t.Context(), test.hash, pass+"x"); ok || outdated || err != nil {
				t.Errorf("Check of a wrong password = %v, outdated %v, %v; want false, false", ok, outdated, err)
			}
		})
	}
}

// What stands in the table may not cost what its writer likes.
func TestBadHashes(t *testing.T) {
	h := password.New()
	good := hashOf("correct horse", 64, 1, 1, "0123456789abcdef", 32)
	if ok, _, err := h.Check(t.Context(), good, "correct horse"); !ok || err != nil {
		t.Fatalf("Check of the hash that is to be made bad = %v, %v; want true", ok, err)
	}
	computed := h.Count()
	replace := func(old, by string) string { return strings.Replace(good, old, by, 1) }
	for name, hash := range map[string]string{
		"plain":            "correct horse",
		"bcrypt":           "$2b$12$abcdefghijklmnopqrstuuKXb6bYf7u3MlZfBBQlx0dB1iCBtVH5K",
		"argon2i":          replace("argon2id", "argon2i"),
		"argon2d":          replace("argon2id", "argon2d"),
		"old version":      replace("v=19", "v=16"),
		"no version":       replace("v=19$", ""),
		"4 GiB":            replace("m=64", "m=4194304"),
		"over 64 MiB":      replace("m=64", "m=65537"),
		"overflow":         replace("m=64", "m=4294967360"),
		"no memory":        replace("m=64", "m=0"),
		"memory below 8p":  replace("p=1", "p=9"),
		"11 passes":        replace("t=1", "t=11"),
		"no pass":          replace("t=1", "t=0"),
		"negative":         replace("t=1", "t=-1"),
		"no thread":        replace("p=1", "p=0"),
		"5 threads":        replace("p=1", "p=5"),
		"zero before":      replace("m=64", "m=064"),
		"plus":             replace("m=64", "m=+64"),
		"other order":      replace("m=64,t=1", "t=1,m=64"),
		"key id":           replace("p=1", "p=1,keyid=a"),
		"short salt":       hashOf("correct horse", 64, 1, 1, "0123456", 32),
		"long salt":        hashOf("correct horse", 64, 1, 1, strings.Repeat("x", 65), 32),
		"short tag":        hashOf("correct horse", 64, 1, 1, "0123456789abcdef", 15),
		"long tag":         hashOf("correct horse", 64, 1, 1, "0123456789abcdef", 65),
		"padded":           good + "=",
		"line break":       good[:len(good)-4] + "\n" + good[len(good)-4:],
		"one part more":    good + "$",
		"one part less":    good[:strings.LastIndex(good, "$")],
		"text before":      "x" + good,
		"space":            good + " ",
		"URL's alphabet":   strings.Repeat("-", 3) + good,
		"a million":        good + strings.Repeat("A", 1<<20),
		"bits that remain": good[:len(good)-1] + "/",
	} {
		if ok, _, err := h.Check(t.Context(), hash, "correct horse"); ok || err == nil || errors.Is(err, password.ErrBusy) {
			t.Errorf("%s: Check = %v, %v; want an error", name, ok, err)
		} else if strings.Contains(err.Error(), "0123456789") || len(err.Error()) > 200 {
			t.Errorf("%s: Check = %.300v; want an error that does not quote the hash", name, err)
		}
	}
	if n := h.Count() - computed; n != 0 {
		t.Errorf("%d hashes were computed; want none", n)
	}
}

// A hash that stands for no account is as much work as any other.
func TestNobodyCostsTheSame(t *testing.T) {
	h := password.New()
	for _, pass := range []string{"correct horse", "", "\xff", strings.Repeat("x", 5000)} {
		before := h.Count()
		ok, outdated, err := h.Check(t.Context(), "", pass)
		if ok || outdated || err != nil {
			t.Errorf("Check(%.20q) of nobody = %v, %v, %v; want false", pass, ok, outdated, err)
		}
		if n := h.Count() - before; n != 1 {
			t.Errorf("Check(%.20q) of nobody computes %d hashes; want 1", pass, n)
		}
	}
}

// As many hashes as there are processors at a time; who waits, waits no longer
// than it wants.
func TestHashesTakeTurns(t *testing.T) {
	h := password.New()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Hash(ended, "correct horse"); !errors.Is(err, password.ErrBusy) || !errors.Is(err, context.Canceled) {
		t.Errorf("Hash for somebody who has left = %v; want ErrBusy", err)
	}
	if n := h.Count(); n != 0 {
		t.Errorf("%d hashes were computed; want none", n)
	}

	// Memory tells how many run at a time: each needs 19 MiB.
	var wg sync.WaitGroup
	var done atomic.Int64
	impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	const many = 60
	for range many {
		wg.Go(func() {
			switch _, err := h.Hash(impatient, "correct horse"); {
			case err == nil:
				done.Add(1)
			case !errors.Is(err, password.ErrBusy) || !errors.Is(err, context.DeadlineExceeded):
				t.Errorf("Hash = %v; want ErrBusy", err)
			}
		})
	}
	wg.Wait()
	// Those that began within the millisecond: a turn each, or a few in the time
	// that a machine may take to notice that the millisecond is over.
	if n := done.Load(); n >= many {
		t.Errorf("all %d hashes were computed, with %d processors and a millisecond", n, runtime.GOMAXPROCS(0))
	}
	if n := int64(h.Count()); n != done.Load() {
		t.Errorf("%d hashes were computed and %d returned; want no work for those who gave up", n, done.Load())
	}
	if _, err := h.Hash(t.Context(), "correct horse"); err != nil {
		t.Errorf("Hash after the rush = %v; want nil", err)
	}
}
