package medicine

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

const (
	// maxForm is how many bytes a form may have. All that was typed into one
	// finds room in the session for as long as it takes to show the page again.
	maxForm = 16 << 10

	// maxDrained is how much of a form that is too large is read before it is
	// refused: a browser that is still sending may take the end of the
	// connection for the answer.
	maxDrained = 24 << 20
)

// A form is what a page without JavaScript sends: each field's values in order.
type form url.Values

// isForm reports whether a request comes from the form of a page rather than
// from a script.
func isForm(r *http.Request) bool {
	kind := mediaType(r)
	return kind == formType || kind == "multipart/form-data"
}

const formType = "application/x-www-form-urlencoded"

// mediaType returns what a request's body says that it is, without parameters,
// which may be malformed.
func mediaType(r *http.Request) string {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// readForm returns the form in a request's body, or a [*problem] that concerns
// the body as a whole.
func readForm(r *http.Request) (form, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, &problem{status: http.StatusUnsupportedMediaType, Code: "encoded", Message: "This form is taken without Content-Encoding only."}
	}
	if kind := mediaType(r); kind != formType {
		return nil, &problem{status: http.StatusUnsupportedMediaType, Code: "not_a_form", Message: "This form is taken as " + formType + " only, and with no files."}
	}
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset := params["charset"]; err != nil || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, &problem{status: http.StatusUnsupportedMediaType, Code: "wrong_charset", Message: "This form is taken in UTF-8 only."}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil {
		return nil, &problem{status: http.StatusBadRequest, Code: "body_incomplete", Message: "What you sent did not arrive whole."}
	}
	if len(body) > maxForm {
		// How far this comes makes no difference to the answer.
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxDrained))
		return nil, &problem{
			status: http.StatusRequestEntityTooLarge, Code: "body_too_large",
			Message: fmt.Sprintf("What you sent is too long: this form takes %d bytes in all.", maxForm),
		}
	}
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, &problem{status: http.StatusBadRequest, Code: "bad_form", Message: "What you sent is no form that can be read."}
	}
	return form(values), nil
}

// has reports whether the form has the field at all.
func (f form) has(field string) bool { return len(f[field]) > 0 }

// text returns what was typed into a field, or "" for a field that is missing.
// The error is a [*problem] with the field. label is what the page calls it, at
// the beginning of a sentence.
func (f form) text(field, label string) (string, error) {
	values := f[field]
	bad := func(message string) error {
		return &problem{status: http.StatusBadRequest, Code: "invalid_" + field, Message: label + " " + message, Field: field}
	}
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", bad(fmt.Sprintf("came %d times in one form. Send it once.", len(values)))
	case !utf8.ValidString(values[0]):
		return "", bad("is not text in UTF-8. Type it again.")
	case strings.ContainsRune(values[0], 0):
		return "", bad("holds a character that nobody can type (NUL). Type it again.")
	}
	return values[0], nil
}

// typed returns what was typed into these fields, as far as it can be shown
// again.
func (f form) typed(fields ...string) map[string]string {
	typed := map[string]string{}
	for _, field := range fields {
		if values := f[field]; len(values) > 0 && values[0] != "" {
			typed[field] = strings.ReplaceAll(strings.ToValidUTF8(values[0], "\ufffd"), "\x00", "\ufffd")
		}
	}
	return typed
}

// codeSignedOut is the code of what signedOut returns.
const codeSignedOut = "signed_out"

// problemOf returns what to tell a visitor of an error. What is no problem of the
// request's own is one of the session.
func problemOf(err error) *problem {
	var p *problem
	if errors.As(err, &p) {
		return p
	}
	return sessionProblem(err)
}
