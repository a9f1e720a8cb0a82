package medicine

import (
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pillboxgo/pillbox/session"
)

// deviceKey is where a session that somebody is signed in to has what its owner
// knows it by in the list of devices.
const deviceKey session.Key[device] = "device"

// A device is where somebody signed in.
type device struct {
	Agent     string    `json:"agent"`     // User-Agent, at most maxAgent bytes of UTF-8
	Address   string    `json:"address"`   // of the client, or ""
	FirstSeen time.Time `json:"firstSeen"` // of the first sign-in to the session
}

const maxAgent = 400

// newDevice returns what the request tells of its device.
func (a *App) newDevice(r *http.Request) device {
	d := device{Agent: cutText(r.UserAgent(), maxAgent), FirstSeen: time.Now().UTC().Truncate(time.Millisecond)}
	if addr := a.address(r); addr.IsValid() {
		d.Address = addr.String()
	}
	return d
}

// cutText returns at most most bytes of a text, as valid UTF-8.
func cutText(text string, most int) string {
	if len(text) > most {
		text = text[:most]
		// Not half of a character.
		for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
			if start := len(text) - i; utf8.RuneStart(text[start]) {
				if !utf8.FullRuneInString(text[start:]) {
					text = text[:start]
				}
				break
			}
		}
	}
	// The replacement of a byte that is none is shorter than the bound allows.
	return strings.ToValidUTF8(text, "?")
}
