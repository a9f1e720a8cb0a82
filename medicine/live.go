package medicine

import (
	"github.com/pillboxgo/pillbox/live"
	"github.com/pillboxgo/pillbox/session"
)

// newLive returns what pushes changes of sessions to open pages.
func newLive(sessions *session.Manager, config Config) (*live.Hub, error) {
	return live.New(sessions, live.Config{
		Keys:   []string{string(pills)}, // all else is nothing for scripts
		Logger: config.Session.Logger,
	})
}

// liveRoutes registers the stream of a session's changes.
func (a *App) liveRoutes() {
	a.mux.Handle("GET /live", a.live)
	a.mux.HandleFunc("HEAD /live", onlyMethods("GET"))
	a.mux.HandleFunc("/live", onlyMethods("GET"))
}

// Close ends the streams of open pages, so that a server can shut down, and
// returns when nothing of the application uses the store in the background. It
// may be called more than once. Requests are answered after it as before, but
// for GET /live.
//
//	server.RegisterOnShutdown(app.Close)
func (a *App) Close() { a.live.Close() }
