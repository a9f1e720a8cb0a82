package medicine

import (
	"mime"
	"net/http"
)

// formRoutes registers the pages that work without JavaScript.
func (a *App) formRoutes() {}

// isForm reports whether a request is a plain form's.
func isForm(r *http.Request) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind == "application/x-www-form-urlencoded" || kind == "multipart/form-data"
}

func (a *App) loginForm(w http.ResponseWriter, r *http.Request) { noForms(w, r) }

func (a *App) registerForm(w http.ResponseWriter, r *http.Request) { noForms(w, r) }

func (a *App) logoutForm(w http.ResponseWriter, r *http.Request) { noForms(w, r) }

func noForms(w http.ResponseWriter, r *http.Request) {
	refuse(w, r, &problem{status: http.StatusUnsupportedMediaType, Code: "not_json", Message: "Send the body with Content-Type: application/json, in UTF-8."})
}
