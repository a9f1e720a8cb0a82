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
	User             string     `json:"user,omitempty"`        // as it is shown
	IdleTimeout      int64      `json:"idleTimeout,omitempty"` // milliseconds: the policy in force
}

// stay renews the idle timeout of a visitor who says so, even where a request
// that came just before has saved the write.
func (a *App) stay(w http.ResponseWriter, r *http.Request) {
	s := session.From(r.Context())
	err := s.Touch()
	if err == nil {
		err = s.Save()
	}
	if err != nil {
		refuse(w, r, err)
		return
	}
	a.session(w, r)
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
	u, _, err := a.account(r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	c := card{
		Live:         true,
		PublicID:     info.PublicID,
		Created:      utc(info.Created),
		IdleDeadline: utc(info.IdleDeadline),
		Store:        a.storeName,
		Bytes:        info.Bytes,
		User:         u.Name,
		IdleTimeout:  a.sessions.Policy().IdleTimeout.Milliseconds(),
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
