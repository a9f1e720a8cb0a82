package medicine

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/pillboxgo/pillbox/session"
)

// A notice is what the next page says of the form that led to it: once, to
// whichever shows that page, the server or the script in it.
type notice struct {
	Kind    string `json:"kind"` // "error" or "done"
	Message string `json:"message"`

	// Field is the field at fault, if it is one.
	Field string `json:"field,omitempty"`

	// Values is what was typed into the fields, so that nobody types it again.
	// No password is among it.
	Values map[string]string `json:"values,omitempty"`
}

// put keeps a notice for the page, in place of one that was never shown. It is
// saved with the session's next change, or with the response.
func (n notice) put(s *session.Session, page string) error {
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if _, err := s.Flashes(page); err != nil {
		return err
	}
	return s.Flash(page, string(text))
}

// leave is put, and saves.
func (n notice) leave(s *session.Session, page string) error {
	if err := n.put(s, page); err != nil {
		return err
	}
	return s.Save()
}

// takeNotice returns the notice that was left for the page of a request, or nil,
// and removes it if a visitor is going to see it. A notice that cannot be read is
// none: it is not worth a page that can be shown, and another application may
// have left anything on a shared session.
func takeNotice(r *http.Request) *notice {
	// What is fetched by a script, or in advance, may never be shown.
	dest := r.Header.Get("Sec-Fetch-Dest")
	if r.Method != http.MethodGet || dest != "" && dest != "document" || strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		return nil
	}
	messages, err := session.From(r.Context()).Flashes(r.URL.Path)
	if err != nil || len(messages) == 0 {
		return nil
	}
	var n notice
	if json.Unmarshal([]byte(messages[len(messages)-1]), &n) != nil || n.Message == "" {
		return nil
	}
	return &n
}

// String returns the notice as the script in the page reads it, or "" for none.
func (n *notice) String() string {
	if n == nil {
		return ""
	}
	text, err := json.Marshal(n)
	if err != nil {
		return ""
	}
	return string(text)
}
