package live

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// retryLine is how long browsers wait before they connect again by themselves.
const retryLine = "retry: 2000\n\n"

// heartbeat is a comment, which clients skip.
const heartbeat = ":\n\n"

// appendEvent appends an event in the format of the HTML standard, §9.2.6.
func appendEvent(out *bytes.Buffer, name string, data any) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil {
		return err
	}
	// JSON from elsewhere may be no valid UTF-8. It has no line breaks left,
	// since the encoder compacts it.
	line := strings.ToValidUTF8(strings.TrimSuffix(text.String(), "\n"), "\uFFFD")
	out.WriteString("event: ")
	out.WriteString(name)
	out.WriteString("\ndata: ")
	out.WriteString(line)
	out.WriteString("\n\n")
	return nil
}

type values map[string]json.RawMessage

// A limits tells when the session ends, in milliseconds from now; nil for never.
type limits struct {
	Idle     *int64 `json:"idle"`
	Absolute *int64 `json:"absolute"`
}

func left(t, now time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	ms := max(0, t.Sub(now).Milliseconds())
	return &ms
}

type sessionEvent struct {
	Live     bool     `json:"live"`
	Session  string   `json:"session"`
	SignedIn bool     `json:"signedIn"`
	Keys     []string `json:"keys"`
	Values   values   `json:"values"`
	limits
}

type noSessionEvent struct {
	Live   bool `json:"live"`
	Cookie bool `json:"cookie"`
}

type changeEvent struct {
	Keys    []string `json:"keys"`
	Removed []string `json:"removed"`
	Values  values   `json:"values"`
	limits
}

type renewedEvent struct {
	SignedIn bool `json:"signedIn"`
}

type endedEvent struct {
	Reason string `json:"reason"`
}

// encode appends the events that tell of p.
func (p *pending) encode(out *bytes.Buffer, now time.Time) error {
	lim := limits{left(p.idle, now), left(p.absolute, now)}
	if s := p.first; s != nil {
		e := sessionEvent{true, s.id, s.user != "", list(s.keys()), s.values, lim}
		if e.Values == nil {
			e.Values = values{}
		}
		if err := appendEvent(out, "session", e); err != nil {
			return err
		}
	}
	if c := p.changed; c != nil {
		if err := appendEvent(out, "change", changeEvent{list(c.keys), list(c.removed), c.values, lim}); err != nil {
			return err
		}
	}
	if p.limited != "" {
		if err := appendEvent(out, p.limited, lim); err != nil {
			return err
		}
	}
	switch e := p.ended; {
	case e == nil:
		return nil
	case e.renewed:
		return appendEvent(out, "renewed", renewedEvent{e.signedIn})
	default:
		return appendEvent(out, "ended", endedEvent{e.reason})
	}
}

// list returns names as JSON has them: [] and not null.
func list(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}
