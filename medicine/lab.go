package medicine

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/pillboxgo/pillbox/medicine/lab"
	"github.com/pillboxgo/pillbox/medicine/users"
	"github.com/pillboxgo/pillbox/session"
)

// labRoutes registers the attacks of the security lab.
func (a *App) labRoutes() {
	a.lab = lab.New(lab.Config{
		CookieName: a.sessions.Policy().CookieName,
		EndSession: a.endSession,
		DeleteUser: a.deleteLabUser,
		Logger:     a.log,
	})
	a.mux.HandleFunc("GET /lab/frame", lab.Frame)
	a.mux.HandleFunc("GET /lab/frame.js", lab.FrameScript)
	// One pattern for the other methods: "/lab/frame" for all of them would be
	// at odds with "POST /lab/{attack}".
	a.mux.HandleFunc("/lab/{attack}", func(w http.ResponseWriter, r *http.Request) {
		switch attack := r.PathValue("attack"); {
		case attack == "frame" || attack == "frame.js":
			onlyMethods("GET, HEAD")(w, r)
		case !lab.Knows(attack):
			refuse(w, r, labProblem(lab.ErrUnknown))
		case r.Method != http.MethodPost:
			onlyMethods("POST")(w, r)
		default:
			runAttack(a.lab, attack, w, r)
		}
	})
}

// runAttack answers with what became of an attack. The session of whoever wants
// to see it plays no part.
func runAttack(l *lab.Lab, attack string, w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(lab.Header) != "" {
		refuse(w, r, &problem{status: http.StatusLoopDetected, Code: "loop", Message: "The lab does not attack itself."})
		return
	}
	// The connection's own end, and nothing that the request says: the lab
	// connects to it.
	server, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || r.TLS != nil {
		refuse(w, r, &problem{
			status: http.StatusNotImplemented, Code: "lab_unavailable",
			Message: "The lab needs a server that is reached over plain HTTP, directly or behind a proxy: it sends its attacks to the server's own address.",
		})
		return
	}
	outcome, err := l.Run(r.Context(), attack, server)
	if err != nil {
		refuse(w, r, labProblem(err))
		return
	}
	answer(w, outcome)
}

// labProblem returns what a request is refused with because of an error of the lab.
func labProblem(err error) error {
	var busy *lab.BusyError
	var incomplete *lab.IncompleteError
	switch {
	case errors.Is(err, lab.ErrUnknown):
		return &problem{status: http.StatusNotFound, Code: "no_such_attack", Message: "The lab does not know this attack. It knows fixation, tampered and replayed."}
	case errors.As(err, &busy):
		return &problem{
			status: http.StatusTooManyRequests, Code: "too_many_attempts", retryAfter: busy.After,
			Message: "The lab is busy. Wait a little and try again.",
		}
	case errors.As(err, &incomplete):
		return &problem{
			status: http.StatusServiceUnavailable, Code: "attack_incomplete",
			Message: "The attack could not be carried out to its end, so nothing is known of its outcome. " + incomplete.Reason,
		}
	}
	return err
}

// endSession ends the session that a Cookie header stands for.
func (a *App) endSession(ctx context.Context, cookie string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/", http.NoBody)
	if err != nil {
		return err
	}
	r.Header.Set("Cookie", cookie)
	s, err := a.sessions.PeekRequest(ctx, r)
	if err == nil {
		var info session.Info
		if info, err = s.Info(); err == nil {
			err = a.sessions.Revoke(ctx, info.PublicID)
		}
	}
	if errors.Is(err, session.ErrNotFound) {
		return nil
	}
	return err
}

// deleteLabUser deletes an account of the lab, and ends the sessions whose
// cookies the lab never saw. RevokeUser would do that as well, and be remembered
// by the store for a day.
func (a *App) deleteLabUser(ctx context.Context, username string) error {
	u, err := a.users.ByName(ctx, username)
	if errors.Is(err, users.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	errs := []error{a.users.Delete(ctx, u.ID)}
	infos, err := a.sessions.Sessions(ctx, u.ID)
	if !errors.Is(err, errors.ErrUnsupported) {
		errs = append(errs, err)
	}
	for _, info := range infos {
		if err := a.sessions.Revoke(ctx, info.PublicID); !errors.Is(err, session.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
