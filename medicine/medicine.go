// Package medicine is the application that Pillbox is shown with: a pharmacy in
// which a visitor's pills live in the session.
//
//	GET    /employees         {"data":["Ilmer","Homer"]}
//	GET    /pills             {"data":[…]}: the pills of this session
//	POST   /pills             adds the pill in the body; answers as GET does
//	DELETE /pills             removes all
//	DELETE /pills/{at}?name=  removes one
//	GET    /session           what the server knows of this session
//
// Everything else is a page. Errors are {"error":{"code","message"}}.
package medicine

import (
	"errors"
	"net/http"

	"github.com/pillboxgo/pillbox/crossorigin"
	"github.com/pillboxgo/pillbox/medicine/web"
	"github.com/pillboxgo/pillbox/session"
)

// Config configures the application. Session needs its Store and Secrets.
type Config struct {
	_ [0]func() // keyed literals only

	// Session configures the sessions. Its ErrorHandler is replaced, so that
	// errors are JSON.
	Session session.Config

	// Origins are the origins, beside the application's own, whose pages may
	// use the visitor's session: that of a client in development, for one.
	Origins []string

	// StoreName is what the pages call the store: "sqlite", for one.
	StoreName string
}

// App is the application. It is safe for concurrent use.
type App struct {
	sessions  *session.Manager
	guard     *crossorigin.Guard
	storeName string
	mux       *http.ServeMux
}

// New returns the application, or an error that names every field of the
// configuration that is wrong.
func New(config Config) (*App, error) {
	config.Session.ErrorHandler = sessionFailed
	sessions, err := session.New(config.Session)
	guard, guardErr := crossorigin.New(crossorigin.Config{Origins: config.Origins})
	if err := errors.Join(err, guardErr); err != nil {
		return nil, err
	}
	a := &App{sessions: sessions, guard: guard, storeName: config.StoreName, mux: http.NewServeMux()}
	a.routes()
	return a, nil
}

func (a *App) routes() {
	a.mux.HandleFunc("GET /employees", employees)
	a.mux.HandleFunc("GET /pills", a.listPills)
	a.mux.HandleFunc("POST /pills", addPill)
	a.mux.HandleFunc("DELETE /pills", clearPills)
	a.mux.HandleFunc("DELETE /pills/{at}", removePill)
	a.mux.HandleFunc("GET /session", a.session)

	a.mux.HandleFunc("/employees", onlyMethods("GET, HEAD"))
	a.mux.HandleFunc("/pills", onlyMethods("GET, HEAD, POST, DELETE"))
	a.mux.HandleFunc("/pills/{at}", onlyMethods("DELETE"))
	a.mux.HandleFunc("/session", onlyMethods("GET, HEAD"))
	a.accountRoutes()
	a.deviceRoutes()
	a.formRoutes()
	a.labRoutes()
	a.mux.HandleFunc("/api/", notFound)
	a.mux.Handle("/", web.Handler())
}

// Handler returns the application's handler: first the guard, so that neither
// preflights nor forged requests come near a session, then the sessions, then
// the routes.
func (a *App) Handler() http.Handler {
	return a.guard.Handler(a.sessions.Handler(a.mux))
}

// Sessions returns the manager of the application's sessions.
func (a *App) Sessions() *session.Manager { return a.sessions }

func employees(w http.ResponseWriter, _ *http.Request) {
	answer(w, []string{"Ilmer", "Homer"})
}
