package medicine

import (
	"net/http"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// card is what the server tells visitors about their own session.
type card struct {
	Live             bool       `json:"live"`
	PublicID         string     `json:"publicId,omitempty"`
	Created          *time.Time `json:"created,omitempty"`
	IdleDeadline     *time.Time `json:"idleDeadline,omitempty"`
	AbsoluteDeadline *time.Time `json:"absoluteDeadline,omitempty"`
	Store            string     `json:"store,omitempty"`
	Bytes            int        `json:"bytes,omitempty"`
}

func (a *App) session(w http.ResponseWriter, r *http.Request) {
	info, err := session.From(r.Context()).Info()
	if err != nil {
		refuse(w, r, err)
		return
	}
	if info.PublicID == "" {
		answer(w, card{})
		return
	}
	c := card{
		Live:         true,
		PublicID:     info.PublicID,
		Created:      utc(info.Created),
		IdleDeadline: utc(info.IdleDeadline),
		Store:        a.storeName,
		Bytes:        info.Bytes,
	}
	if !info.AbsoluteDeadline.IsZero() {
		c.AbsoluteDeadline = utc(info.AbsoluteDeadline)
	}
	answer(w, c)
}

func utc(t time.Time) *time.Time {
	t = t.UTC()
	return &t
}
