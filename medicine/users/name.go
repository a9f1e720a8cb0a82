package users

import (
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// MaxName is how many characters a user name has at most.
const MaxName = 64

// maxTyped bounds what is looked at, in bytes: a name may be longer before it is
// composed.
const maxTyped = 16 * MaxName

// A NameError says what is wrong with a user name, in a sentence for the person
// who chose it. It does not quote the name.
type NameError struct {
	// Reason is one sentence, such as "A user name has at most 64 characters."
	Reason string
}

// Error implements error.
func (e *NameError) Error() string { return "user name: " + e.Reason }

// Fold returns the form by which names are compared: UsernameCaseMapped of RFC
// 8265 §3.3, so that "Ilmer", "ilmer" and the same in full-width letters are one
// name. A name is 1 to [MaxName] characters that RFC 8264 allows in identifiers:
// letters and digits of any script and the printable signs of ASCII, no spaces.
// Otherwise the error is a [*NameError].
//
// Letters of different scripts that look alike stay different.
func Fold(name string) (string, error) {
	switch {
	case name == "":
		return "", &NameError{"Enter a user name."}
	case len(name) > maxTyped:
		return "", tooLong()
	case !utf8.ValidString(name):
		return "", &NameError{"A user name is text in UTF-8."}
	}
	folded, err := precis.UsernameCaseMapped.String(name)
	if err != nil {
		return "", &NameError{"A user name has letters, digits and signs such as - _ . @ and no spaces."}
	}
	// What is shown has to fit, too.
	if utf8.RuneCountInString(folded) > MaxName || utf8.RuneCountInString(shown(name)) > MaxName {
		return "", tooLong()
	}
	return folded, nil
}

func tooLong() error {
	return &NameError{fmt.Sprintf("A user name has at most %d characters.", MaxName)}
}

// shown returns a name that Fold takes with its letters in the case in which
// they were typed, and in the form that other systems expect (NFC).
func shown(name string) string {
	if s, err := precis.UsernameCasePreserved.String(name); err == nil {
		return s
	}
	return name
}
