package password_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pillboxgo/pillbox/medicine/password"
)

var passwords = []struct{ name, typed, want, reason string }{ // want or reason
	{"plain", "password", "password", ""},
	{"eight", "12345678", "12345678", ""},
	{"seven", "1234567", "", "at least 8"},
	{"eight letters of two bytes", "пароль12", "пароль12", ""},
	{"four letters of two bytes", "паро", "", "at least 8"},
	{"emoji", "💊💊💊💊💊💊💊💊", "💊💊💊💊💊💊💊💊", ""},
	{"seven emoji", "💊💊💊💊💊💊💊", "", "at least 8"},
	{"spaces count", "  pass  ", "  pass  ", ""},
	{"case counts", "PassWord", "PassWord", ""},
	{"another space", "pass\u00a0word\u3000", "pass word ", ""},
	{"decomposed", "cafe\u0301 noir", "café noir", ""},
	{"eight that compose to seven", "e\u0301234567", "", "at least 8"},
	{"full width stays", "ｐａｓｓｗｏｒｄ", "ｐａｓｓｗｏｒｄ", ""},
	{"longest", strings.Repeat("x", 1024), strings.Repeat("x", 1024), ""},
	{"too long", strings.Repeat("x", 1025), "", "at most 1024 bytes"},
	{"much too long", strings.Repeat("x", 1<<20), "", "at most 1024 bytes"},
	{"longest in letters of two bytes", strings.Repeat("ж", 512), strings.Repeat("ж", 512), ""},
	{"too long in letters of two bytes", strings.Repeat("ж", 513), "", "at most 1024 bytes"},
	{"nothing", "", "", "Enter"},
	{"NUL", "pass\x00word", "", "control"},
	{"line break", "password\n", "", "control"},
	{"tab", "pass\tword", "", "control"},
	{"delete", "password\x7f", "", "control"},
	{"invalid UTF-8", "password\xff", "", "arrive whole"},
	{"what decoders make of it", "password\ufffd", "", "arrive whole"},
	{"half a surrogate pair", "password\xed\xa0\x80", "", "arrive whole"},
}

func TestPrepare(t *testing.T) {
	for _, test := range passwords {
		t.Run(test.name, func(t *testing.T) {
			got, err := password.Prepare(test.typed)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Fatalf("Prepare(%.40q) = %.40q, %v; want %.40q", test.typed, got, err, test.want)
			}
			checkError(t, test.typed, err)
			if err != nil && !strings.Contains(err.Error(), test.reason) {
				t.Errorf("Prepare(%.40q) = %v; want an error about %q", test.typed, err, test.reason)
			}
		})
	}
}

func checkError(t *testing.T, typed string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var bad *password.Error
	if !errors.As(err, &bad) || !strings.HasSuffix(bad.Reason, ".") {
		t.Errorf("Prepare(%.40q) = %v; want an *Error with a sentence", typed, err)
	}
	if len(typed) > 8 && strings.Contains(err.Error(), typed) {
		t.Errorf("Prepare(%.40q) = %.80v; want an error that does not quote it", typed, err)
	}
}

// What is prepared is within the bounds and is prepared to itself, so that a
// password that was hashed is found again.
func FuzzPrepare(f *testing.F) {
	for _, test := range passwords {
		if len(test.typed) < 2000 {
			f.Add(test.typed)
		}
	}
	f.Fuzz(func(t *testing.T, typed string) {
		prepared, err := password.Prepare(typed)
		if err != nil {
			checkError(t, typed, err)
			return
		}
		if n := utf8.RuneCountInString(prepared); n < password.MinCharacters || len(prepared) > password.MaxBytes || !utf8.ValidString(prepared) {
			t.Errorf("Prepare(%q) = %q; want %d characters to %d bytes", typed, prepared, password.MinCharacters, password.MaxBytes)
		}
		if again, err := password.Prepare(prepared); again != prepared {
			t.Errorf("Prepare(%q) = %q, and of that %q, %v; want the same", typed, prepared, again, err)
		}
	})
}
