package password_test

import (
	"testing"

	"github.com/pillboxgo/pillbox/medicine/password"
)

// Whatever stands in the table is refused, or is a hash within the bounds in the
// only way to write it.
func FuzzEncoding(f *testing.F) {
	good := hashOf("correct horse", 64, 1, 1, "0123456789abcdef", 32)
	for _, text := range []string{
		"", "$", "$$$$$", good, good + "=", good + "\n", "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=4294967295,t=4294967295,p=255$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=064,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		again, memory, passes, threads, ok := password.Encoded(text)
		if !ok {
			return
		}
		if again != text {
			t.Errorf("%q is taken for %q", text, again)
		}
		if memory > 64<<10 || passes > 10 || threads > 4 || memory < 8 || passes < 1 || threads < 1 {
			t.Errorf("%q is taken, with %d KiB, %d passes and %d threads", text, memory, passes, threads)
		}
	})
}
