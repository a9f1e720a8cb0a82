package wire

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/boj/redistore"
	"github.com/gorilla/sessions"
)

// openGorilla opens gorilla's sessions: in the cookie itself for memory, which is
// all that it has there, or in redistore. It saves when a handler asks for it, so
// that is what moves a deadline.
func openGorilla(_ context.Context, s setting) (*site, error) {
	var store sessions.Store = sessions.NewCookieStore([]byte(secret))
	close := func() {}
	if s.store == "redis" {
		u, err := url.Parse(s.url)
		if err != nil {
			return nil, err
		}
		in, err := redistore.NewRediStore(connections, "tcp", u.Host, "", "", []byte(secret))
		if err != nil {
			return nil, err
		}
		store, close = in, func() { _ = in.Close() }
	}
	// open makes a handler of one that has the session, and saves it if that
	// changes it.
	open := func(changes bool, h func(*sessions.Session, *http.Request) string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			visitor, err := store.Get(r, "session")
			if err != nil {
				refuse(w, err)
				return
			}
			answer := h(visitor, r)
			if changes {
				if err := visitor.Save(r, w); err != nil {
					refuse(w, err)
					return
				}
			}
			say(w, answer)
		}
	}
	return routes{
		start: open(true, func(v *sessions.Session, _ *http.Request) string {
			v.Values["user"], v.Values["visits"], v.Values["list"] = "visitor", 0, []int{}
			return "started"
		}),
		read: open(s.slide, func(v *sessions.Session, _ *http.Request) string {
			name, _ := v.Values["user"].(string)
			return name
		}),
		write: open(true, func(v *sessions.Session, _ *http.Request) string {
			n := integer(v.Values["visits"]) + 1
			v.Values["visits"] = n
			return fmt.Sprint(n)
		}),
		append: open(true, func(v *sessions.Session, r *http.Request) string {
			list := integers(v.Values["list"])
			time.Sleep(work)
			v.Values["list"] = append(list, number(r))
			return "appended"
		}),
		list: open(false, func(v *sessions.Session, _ *http.Request) string {
			return text(integers(v.Values["list"]))
		}),
	}.site(func(h http.Handler) http.Handler { return h }, close), nil
}
