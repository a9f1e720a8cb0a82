package medicine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pillboxgo/pillbox/session"
)

// pills is where a session has its pills: JSON objects, kept as they came.
const pills session.Key[[]json.RawMessage] = "pills"

const (
	// maxBody is what express.json() accepts by default: "100kb".
	maxBody = 100 << 10

	maxName = 100 // characters

	// maxDepth is how deep the objects and lists of a pill may nest. JSON
	// parsers have bounds of their own, and a pill has to stay below them
	// wherever it is put into a larger value.
	maxDepth = 100
)

func (a *App) listPills(w http.ResponseWriter, r *http.Request) {
	s := session.From(r.Context())
	list, err := pills.Get(s)
	if err == nil && list == nil && a.beginsSession(r) {
		err = pills.Set(s, []json.RawMessage{})
	}
	answerPills(w, r, list, err)
}

// beginsSession reports whether a new visitor's session begins with the list
// rather than with the first pill.
//
// The application's own pages send the first pill of a visitor alone. Clients on
// other origins do not: the original Medicine sends one for each click and waits
// for none, and nothing ties requests without a cookie together, so that ten
// fast clicks would begin ten sessions. They do ask for the list first, and its
// answer can bring the cookie that ties them. From another site it could not.
func (a *App) beginsSession(r *http.Request) bool {
	return a.guard.Trusts(r.Header.Get("Origin")) && r.Header.Get("Sec-Fetch-Site") != "cross-site"
}

func addPill(w http.ResponseWriter, r *http.Request) {
	pill, err := readPill(w, r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	list, err := pills.Update(session.From(r.Context()), func(list []json.RawMessage) []json.RawMessage {
		return append(list, pill)
	})
	answerPills(w, r, list, err)
}

func clearPills(w http.ResponseWriter, r *http.Request) {
	s := session.From(r.Context())
	err := pills.Delete(s)
	if err == nil {
		err = s.Save()
	}
	answerPills(w, r, nil, err)
}

// removePill removes the pill of this name at, or else nearest before, the
// index: the page may have shown a list that another tab has since shortened.
func removePill(w http.ResponseWriter, r *http.Request) {
	at, err := strconv.Atoi(r.PathValue("at"))
	if err != nil || at < 0 {
		refuse(w, r, &problem{status: http.StatusBadRequest, Code: "invalid_index", Message: "The index of a pill is a number from 0."})
		return
	}
	name := r.URL.Query().Get("name")
	s := session.From(r.Context())
	list, err := pills.Get(s)
	if err == nil && findPill(list, at, name) >= 0 {
		found := false
		list, err = pills.Update(s, func(list []json.RawMessage) []json.RawMessage {
			i := findPill(list, at, name)
			if found = i >= 0; found {
				list = slices.Delete(list, i, i+1)
			}
			return list
		})
		if err != nil || found {
			answerPills(w, r, list, err)
			return
		}
	}
	if err == nil {
		err = &problem{status: http.StatusNotFound, Code: "no_such_pill", Message: "This pill is not in your session any more."}
	}
	refuse(w, r, err)
}

// findPill returns the last index up to at that has a pill of this name, or -1.
func findPill(list []json.RawMessage, at int, name string) int {
	for i := min(at, len(list)-1); i >= 0; i-- {
		if pillName(list[i]) == name {
			return i
		}
	}
	return -1
}

// pillName returns the name of a pill, or "" where it has none: other clients of
// a shared session may leave anything in the list.
func pillName(pill json.RawMessage) string {
	// Not a struct: that would take "NAME" for "name".
	var members map[string]json.RawMessage
	var name string
	if json.Unmarshal(pill, &members) != nil || json.Unmarshal(members["name"], &name) != nil {
		return ""
	}
	return name
}

func answerPills(w http.ResponseWriter, r *http.Request, list []json.RawMessage, err error) {
	if err != nil {
		refuse(w, r, err)
		return
	}
	if list == nil {
		list = []json.RawMessage{} // [] and not null
	}
	answer(w, list)
}

// readPill returns the JSON object in the request's body.
func readPill(w http.ResponseWriter, r *http.Request) (json.RawMessage, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &problem{status: http.StatusRequestEntityTooLarge, Code: "body_too_large", Message: fmt.Sprintf("A pill has at most %d bytes.", maxBody)}
	case err != nil:
		return nil, &problem{status: http.StatusBadRequest, Code: "body_incomplete", Message: "The body did not arrive whole."}
	case len(body) == 0:
		return nil, &problem{status: http.StatusBadRequest, Code: "body_missing", Message: `Send a pill as JSON, such as {"name":"Ibuprofen"}.`}
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, &problem{status: http.StatusUnsupportedMediaType, Code: "encoded", Message: "Send the pill without Content-Encoding."}
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return nil, &problem{status: http.StatusUnsupportedMediaType, Code: "not_json", Message: "Send the pill with Content-Type: application/json, in UTF-8."}
	}
	var pill bytes.Buffer
	var members map[string]json.RawMessage
	if !utf8.Valid(body) || json.Compact(&pill, body) != nil {
		return nil, &problem{status: http.StatusBadRequest, Code: "bad_json", Message: "The body is not valid JSON in UTF-8."}
	}
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, &problem{status: http.StatusBadRequest, Code: "not_an_object", Message: `A pill is a JSON object, such as {"name":"Ibuprofen"}.`}
	}
	if depth(pill.Bytes()) > maxDepth {
		return nil, &problem{status: http.StatusBadRequest, Code: "too_deep", Message: fmt.Sprintf("A pill has at most %d levels of objects and lists.", maxDepth)}
	}
	if raw, ok := members["name"]; ok {
		var name any
		if err := json.Unmarshal(raw, &name); err != nil {
			return nil, &problem{status: http.StatusBadRequest, Code: "bad_json", Message: "The body is not valid JSON in UTF-8."}
		}
		text, ok := name.(string)
		if n := utf8.RuneCountInString(text); !ok || strings.TrimSpace(text) == "" || n > maxName {
			return nil, &problem{status: http.StatusBadRequest, Code: "invalid_name", Field: "name", Message: fmt.Sprintf("The name of a pill is a text of 1 to %d characters.", maxName)}
		}
	}
	return pill.Bytes(), nil
}

// depth returns how deep the objects and lists in a valid JSON text nest.
func depth(text []byte) int {
	deepest, at, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			at++
			deepest = max(deepest, at)
		case c == '}' || c == ']':
			at--
		}
	}
	return deepest
}

func isJSON(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return false
	}
	charset := params["charset"]
	return charset == "" || strings.EqualFold(charset, "utf-8")
}
