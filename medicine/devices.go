package medicine

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// A listedSession is one of a user's own sessions, as the user sees it. It says
// nothing that opens the session.
type listedSession struct {
	PublicID  string    `json:"publicId"`
	Current   bool      `json:"current"`
	Browser   string    `json:"browser"`
	System    string    `json:"system"`
	Address   string    `json:"address"`
	FirstSeen time.Time `json:"firstSeen"`
	LastSeen  time.Time `json:"lastSeen"`
}

const (
	// maxListed bounds what one request for the list costs, since each session
	// in it is read. It keeps those that were used last.
	maxListed = 100

	// maxPublicID is far longer than any, in bytes.
	maxPublicID = 512

	// readersAtOnce is how many of them are read at the same time.
	readersAtOnce = 8
)

var (
	errNoSuchSession = &problem{status: http.StatusNotFound, Code: "no_such_session", Message: "You have no such session. It may have ended already."}
	errNoUserIndex   = &problem{status: http.StatusNotImplemented, Code: "not_implemented", Message: "The store that this server uses cannot list the sessions of a user."}
)

// deviceRoutes registers the list of a user's own sessions.
func (a *App) deviceRoutes() {
	a.mux.HandleFunc("GET /sessions", a.listSessions)
	a.mux.HandleFunc("DELETE /sessions", a.endOtherSessions)
	a.mux.HandleFunc("DELETE /sessions/{publicID}", a.endOneSession)
	a.mux.HandleFunc("/sessions", onlyMethods("GET, HEAD, DELETE"))
	a.mux.HandleFunc("/sessions/{publicID}", onlyMethods("DELETE"))
}

func (a *App) listSessions(w http.ResponseWriter, r *http.Request) {
	list, err := a.ownSessions(r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	answer(w, list)
}

func (a *App) endOtherSessions(w http.ResponseWriter, r *http.Request) {
	ended, err := a.endOthers(r)
	if err != nil {
		refuse(w, r, err)
		return
	}
	answer(w, map[string]int{"ended": ended})
}

func (a *App) endOneSession(w http.ResponseWriter, r *http.Request) {
	if err := a.endOne(r, r.PathValue("publicID")); err != nil {
		refuse(w, r, err)
		return
	}
	answer(w, map[string]int{"ended": 1})
}

// owner returns who asks and the public id of the session that asks.
func owner(r *http.Request) (user, current string, err error) {
	s := session.From(r.Context())
	if user, err = s.User(); err != nil {
		return "", "", err
	}
	if user == "" {
		return "", "", signedOut()
	}
	current, err = s.PublicID()
	return user, current, err
}

// ownSessions returns the sessions of the request's user: the one that asks
// first, then those that were used last. It reads the others without using them,
// so that a look at the list keeps none of them alive.
func (a *App) ownSessions(r *http.Request) ([]listedSession, error) {
	user, current, err := owner(r)
	if err != nil {
		return nil, err
	}
	infos, err := a.sessions.Sessions(r.Context(), user)
	if err != nil {
		return nil, deviceProblem(err)
	}
	slices.SortFunc(infos, func(x, y session.Info) int {
		if x.PublicID == current || y.PublicID == current {
			return cmp.Compare(place(x.PublicID, current), place(y.PublicID, current))
		}
		return cmp.Or(y.LastUsed.Compare(x.LastUsed), cmp.Compare(x.PublicID, y.PublicID))
	})
	infos = infos[:min(len(infos), maxListed)]

	list := make([]listedSession, len(infos))
	errs := make([]error, len(infos))
	turns := make(chan struct{}, readersAtOnce)
	var readers sync.WaitGroup
	for i, info := range infos {
		turns <- struct{}{}
		readers.Go(func() {
			defer func() { <-turns }()
			list[i], errs[i] = a.describe(r.Context(), info, current)
		})
	}
	readers.Wait()

	kept := list[:0]
	for i, err := range errs {
		switch {
		case err == nil:
			kept = append(kept, list[i])
		case !errors.Is(err, session.ErrNotFound): // those that ended meanwhile are left out
			return nil, err
		}
	}
	return kept, nil
}

// place returns 0 for the session that comes first, and 1 for all others.
func place(publicID, first string) int {
	if publicID == first {
		return 0
	}
	return 1
}

// describe reads what a session says of the device that signed in to it. A
// session of an Express application, or one from before devices were noted, says
// nothing.
func (a *App) describe(ctx context.Context, info session.Info, current string) (listedSession, error) {
	listed := listedSession{
		PublicID:  info.PublicID,
		Current:   info.PublicID == current,
		FirstSeen: info.SignedIn.UTC(),
		LastSeen:  info.LastUsed.UTC(),
	}
	s, err := a.sessions.Peek(ctx, info.PublicID)
	if err != nil {
		return listedSession{}, err
	}
	// What another application left under this name is no device, and no reason
	// to hide the session from its user.
	d, err := deviceKey.Get(s)
	if err != nil {
		d = device{}
	}
	listed.Browser, listed.System = deviceWords(d.Agent)
	if address, err := netip.ParseAddr(d.Address); err == nil {
		listed.Address = address.WithZone("").String()
	}
	if !d.FirstSeen.IsZero() && d.FirstSeen.Before(info.LastUsed) {
		listed.FirstSeen = d.FirstSeen.UTC()
	}
	return listed, nil
}

// endOthers ends all sessions of the request's user but the one that asks, and
// those that are being signed in to meanwhile.
func (a *App) endOthers(r *http.Request) (int, error) {
	user, current, err := owner(r)
	if err != nil {
		return 0, err
	}
	ended, err := a.sessions.RevokeUser(r.Context(), user, current)
	return ended, deviceProblem(err)
}

// endOne ends one session of the request's user, or the one that asks.
func (a *App) endOne(r *http.Request, publicID string) error {
	user, current, err := owner(r)
	if err != nil {
		return err
	}
	switch {
	case publicID == current:
		return session.From(r.Context()).SignOut()
	case len(publicID) > maxPublicID:
		return errNoSuchSession
	}
	return deviceProblem(a.sessions.RevokeOf(r.Context(), user, publicID))
}

// deviceProblem puts what a Manager says of a user's sessions into the words of
// an answer.
func deviceProblem(err error) error {
	switch {
	case errors.Is(err, session.ErrNotFound):
		return errNoSuchSession
	case errors.Is(err, errors.ErrUnsupported):
		return errNoUserIndex
	}
	return err
}
