package inprocess

import (
	"net/http"
	"os"

	"github.com/gorilla/sessions"
)

// temporary makes a folder, and returns what removes it.
func temporary() (folder string, remove func() error, err error) {
	folder, err = os.MkdirTemp("", "pillbox-bench-")
	return folder, func() error { return os.RemoveAll(folder) }, err
}

// gorillaSite returns the site of a store. gorilla has no middleware: a handler
// that does not ask for the session pays nothing.
func gorillaSite(store sessions.Store, closing func() error) site {
	// An invalid cookie makes an error and a new session, which is what
	// users go on with.
	open := func(c request) *sessions.Session { s, _ := store.Get(c.r, "session"); return s }
	j := new(job)
	return newWebSite(j, serve(j, ops[request]{
		get: func(c request) (int, bool, error) {
			n, ok := open(c).Values["count"].(int)
			return n, ok, nil
		},
		set: func(c request, n int) error {
			s := open(c)
			s.Values["count"] = n
			return s.Save(c.r, c.w)
		},
		put: func(c request, values map[string]any) error {
			s := open(c)
			for key, v := range values {
				s.Values[key] = v
			}
			return s.Save(c.r, c.w)
		},
	}), closing)
}

// gorillaCookie keeps the values in a signed cookie.
func gorillaCookie() (site, error) {
	store := sessions.NewCookieStore([]byte(secret))
	store.Options.SameSite = http.SameSiteLaxMode
	return gorillaSite(store, nil), nil
}

// gorillaFile keeps each session in a file.
func gorillaFile() (site, error) {
	folder, remove, err := temporary()
	if err != nil {
		return nil, err
	}
	store := sessions.NewFilesystemStore(folder, []byte(secret))
	store.Options.Secure = true
	store.Options.SameSite = http.SameSiteLaxMode
	return gorillaSite(store, remove), nil
}
