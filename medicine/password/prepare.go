package password

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// The bounds of a password. There is no rule of composition, and nothing is cut:
// NIST SP 800-63B-4 §3.1.1.2.
const (
	MinCharacters = 8    // after preparation
	MaxBytes      = 1024 // as sent, and after preparation
)

// An Error says what is wrong with a password that somebody has chosen, in a
// sentence for that person. It does not quote the password.
type Error struct {
	// Reason is one sentence, such as "A password has at least 8 characters."
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return "password: " + e.Reason }

// Prepare returns a password in the form that is hashed: OpaqueString of RFC 8265
// §4.2, so that the same keys on another keyboard make the same bytes. Case and
// spaces count. Otherwise the error is an [*Error].
func Prepare(password string) (string, error) {
	switch {
	case password == "":
		return "", &Error{"Enter a password."}
	case len(password) > MaxBytes:
		return "", tooLong()
	// A decoder puts U+FFFD in the place of what it cannot read: different
	// passwords would become one.
	case !utf8.ValidString(password) || strings.ContainsRune(password, utf8.RuneError):
		return "", &Error{"The password has a character that did not arrive whole."}
	}
	prepared, err := precis.OpaqueString.String(password)
	switch {
	case err != nil:
		return "", &Error{"A password has letters, digits, signs and spaces, and no control characters."}
	case len(prepared) > MaxBytes: // composing can make a text longer
		return "", tooLong()
	case utf8.RuneCountInString(prepared) < MinCharacters:
		return "", &Error{fmt.Sprintf("A password has at least %d characters.", MinCharacters)}
	}
	return prepared, nil
}

func tooLong() error {
	return &Error{fmt.Sprintf("A password has at most %d bytes.", MaxBytes)}
}
