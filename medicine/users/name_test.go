package users_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pillboxgo/pillbox/medicine/users"
)

var names = []struct{ name, typed, want string }{ // want "" for no name
	{"plain", "ilmer", "ilmer"},
	{"upper case", "Ilmer", "ilmer"},
	{"signs of ASCII", "a.b-c_d+e@example.org", "a.b-c_d+e@example.org"},
	{"digits", "007", "007"},
	{"one letter", "x", "x"},
	{"composed", "Zoë", "zoë"},
	{"decomposed", "Zoe\u0308", "zoë"},
	{"full width", "Ｉｌｍｅｒ", "ilmer"},
	{"Greek without a final sigma", "ΣΊΣΥΦΟΣ", "σίσυφοσ"},
	{"Cyrillic", "Имя", "имя"},
	{"Hebrew", "שלום", "שלום"},
	{"Chinese", "名前", "名前"},
	{"dotted I", "İ", "i̇"},
	{"64 letters", strings.Repeat("x", 64), strings.Repeat("x", 64)},
	{"64 letters of four bytes", strings.Repeat("𐐨", 64), strings.Repeat("𐐨", 64)},
	{"64 decomposed letters", strings.Repeat("e\u0308", 64), strings.Repeat("ë", 64)},
	{"65 letters", strings.Repeat("x", 65), ""},
	{"64 letters that fold to 128", strings.Repeat("İ", 64), ""},
	{"a million letters", strings.Repeat("x", 1<<20), ""},
	{"nothing", "", ""},
	{"space", " ", ""},
	{"space inside", "two words", ""},
	{"space at the end", "ilmer ", ""},
	{"no-break space", "two\u00a0words", ""},
	{"tab", "a\tb", ""},
	{"line break", "ilmer\n", ""},
	{"NUL", "ilmer\x00", ""},
	{"zero width space", "il\u200bmer", ""},
	{"zero width joiner without need", "il\u200dmer", ""},
	{"right-to-left override", "il\u202emer", ""},
	{"byte order mark", "\ufeffilmer", ""},
	{"both directions", "ilmerשלום", ""},
	{"ligature", "ﬁona", ""},
	{"emoji", "ilmer💊", ""},
	{"replacement character", "il\ufffdmer", ""},
	{"private use", "il\ue000mer", ""},
	{"invalid UTF-8", "il\xffmer", ""},
	{"half a surrogate pair", "il\xed\xa0\x80mer", ""},
	{"overlong slash", "il\xc0\xafmer", ""},
}

func TestFold(t *testing.T) {
	for _, test := range names {
		t.Run(test.name, func(t *testing.T) {
			got, err := users.Fold(test.typed)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Fatalf("Fold(%.40q) = %q, %v; want %q", test.typed, got, err, test.want)
			}
			checkNameError(t, test.typed, err)
		})
	}
}

func checkNameError(t *testing.T, typed string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var bad *users.NameError
	if !errors.As(err, &bad) || !strings.HasSuffix(bad.Reason, ".") {
		t.Errorf("Fold(%.40q) = %v; want a *NameError with a sentence", typed, err)
	}
	if len(typed) > 4 && strings.Contains(err.Error(), typed) {
		t.Errorf("Fold(%.40q) = %.80v; want an error that does not quote the name", typed, err)
	}
}

// What is a name is short, folds to itself, and is shown in a form that folds to
// the same.
func FuzzFold(f *testing.F) {
	for _, test := range names {
		if len(test.typed) < 1000 {
			f.Add(test.typed)
		}
	}
	f.Fuzz(func(t *testing.T, typed string) {
		folded, err := users.Fold(typed)
		if err != nil {
			checkNameError(t, typed, err)
			return
		}
		if n := utf8.RuneCountInString(folded); n < 1 || n > users.MaxName || !utf8.ValidString(folded) {
			t.Errorf("Fold(%q) = %q; want 1 to %d characters", typed, folded, users.MaxName)
		}
		var m users.Memory
		u, err := m.Create(t.Context(), typed, "h")
		if err != nil {
			t.Fatalf("Create(%q) = %v; want an account of a name that Fold takes", typed, err)
		}
		if len(u.Name) > 256 || len(folded) > 256 {
			t.Errorf("the name %q is kept in %d bytes, and folded in %d; want at most 256", typed, len(u.Name), len(folded))
		}
		if again, err := users.Fold(u.Name); again != folded {
			t.Errorf("Fold(%q) = %q, and of what is shown, %q, = %q, %v; want the same", typed, folded, u.Name, again, err)
		}
	})
}
