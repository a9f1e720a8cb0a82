// Package medicine is the application that Pillbox is shown with: a pharmacy in
// which a visitor's pills live in the session.
//
//	GET    /employees         {"data":["Ilmer","Homer"]}
//	GET    /pills             {"data":[…]}: the pills of this session
//	POST   /pills             adds the pill in the body; answers as GET does
//	DELETE /pills             removes all
//	DELETE /pills/{at}?name=  removes one
//	GET    /session           what the server knows of this session
//	POST   /session           the same, and its idle timeout begins anew
//	GET    /live              what happens to this session, as it happens: see package live
//	POST   /register          makes the account {"username","password"} and signs in
//	POST   /login             signs in
//	POST   /logout            signs out
//	GET    /me                {"data":{"username","signedInAt"}}
//	GET    /sessions          the user's sessions, this one first
//	DELETE /sessions/{id}     ends the one with this public id
//	DELETE /sessions          ends all but this one
//	POST   /lab/{attack}      tries an attack on the server itself: see package lab
//
// Everything else is a page, or what a page's plain forms are sent to. Errors are
// {"error":{"code","message"}}, with "field" where one input is at fault.
package medicine

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/pillboxgo/pillbox/crossorigin"
	"github.com/pillboxgo/pillbox/live"
	"github.com/pillboxgo/pillbox/medicine/lab"
	"github.com/pillboxgo/pillbox/medicine/password"
	"github.com/pillboxgo/pillbox/medicine/users"
	"github.com/pillboxgo/pillbox/session"
)

// Config configures the application. Session needs its Store and Secrets.
type Config struct {
	_ [0]func() // keyed literals only

	// Session configures the sessions. Its ErrorHandler is replaced, so that
	// errors are JSON; a MaxPerUser of zero means 20 where the store can count.
	Session session.Config

	// Origins are the origins, beside the application's own, whose pages may
	// use the visitor's session: that of a client in development, for one.
	Origins []string

	// Users is where the accounts are. Nil keeps them in the memory of this
	// process, for as long as the App lives.
	Users users.Table

	// Passwords computes the hashes of their passwords. Nil means one of the
	// App's own; several Apps in one process should share one, since it bounds
	// the memory that hashes take.
	Passwords *password.Hasher

	// StoreName is what the pages call the store: "sqlite", for one.
	StoreName string
}

// App is the application. It is safe for concurrent use.
type App struct {
	sessions  *session.Manager
	guard     *crossorigin.Guard
	storeName string
	mux       *http.ServeMux
	live      *live.Hub
	lab       *lab.Lab

	users     users.Table
	passwords *password.Hasher
	throttles throttles
	proxies   []netip.Prefix
	log       *slog.Logger
}

// New returns the application, or an error that names every field of the
// configuration that is wrong.
func New(config Config) (*App, error) {
	config.Session.ErrorHandler = sessionFailed
	// A store that does not know whose a session is cannot count a user's.
	if _, ok := config.Session.Store.(session.UserIndex); ok && config.Session.MaxPerUser == 0 {
		config.Session.MaxPerUser = maxSessions
	}
	sessions, err := session.New(config.Session)
	guard, guardErr := crossorigin.New(crossorigin.Config{
		Origins:         config.Origins,
		ResponseHeaders: []string{"Retry-After"}, // when a page may try again
	})
	if err := errors.Join(err, guardErr); err != nil {
		return nil, err
	}
	a := &App{sessions: sessions, guard: guard, storeName: config.StoreName, mux: http.NewServeMux()}
	a.users, a.passwords, a.log = config.Users, config.Passwords, config.Session.Logger
	if a.users == nil {
		a.users = new(users.Memory)
	}
	if a.passwords == nil {
		a.passwords = password.New()
	}
	if a.log == nil {
		a.log = slog.Default()
	}
	a.throttles, a.proxies = newThrottles(), parseProxies(config.Session.TrustedProxies)
	if a.live, err = newLive(sessions, config); err != nil {
		return nil, err
	}
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
	a.mux.HandleFunc("POST /session", a.stay)

	a.mux.HandleFunc("/employees", onlyMethods("GET, HEAD"))
	a.mux.HandleFunc("/pills", onlyMethods("GET, HEAD, POST, DELETE"))
	a.mux.HandleFunc("/pills/{at}", onlyMethods("DELETE"))
	a.mux.HandleFunc("/session", onlyMethods("GET, HEAD, POST"))
	a.accountRoutes()
	a.deviceRoutes()
	a.formRoutes()
	a.labRoutes()
	a.liveRoutes()
	a.mux.HandleFunc("/api/", notFound)
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
