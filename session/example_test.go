package session_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// exampleBrowser sends requests as a browser would that keeps the cookie.
type exampleBrowser struct {
	handler http.Handler
	cookie  string
}

func (v *exampleBrowser) post(path string) string {
	r := httptest.NewRequest(http.MethodPost, "http://localhost"+path, nil)
	r.Header.Set("Cookie", v.cookie)
	w := httptest.NewRecorder()
	v.handler.ServeHTTP(w, r)
	if line := w.Header().Get("Set-Cookie"); line != "" {
		v.cookie, _, _ = strings.Cut(line, ";")
	}
	return strings.TrimSpace(w.Body.String())
}

func exampleManager() *session.Manager {
	sessions, err := session.New(session.Config{
		Store:   memstore.New(memstore.Options{}),
		Secrets: []string{"replace this by 32 random bytes"},
	})
	if err != nil {
		log.Fatal(err)
	}
	return sessions
}

func Example() {
	type pill struct {
		Name string `json:"name"`
	}
	const pills session.Key[[]pill] = "pills"

	sessions := exampleManager()
	handler := sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		all, err := pills.Update(s, func(list []pill) []pill {
			return append(list, pill{Name: "Ibuprofen"})
		})
		if err != nil {
			http.Error(w, "no session", session.Status(err))
			return
		}
		fmt.Fprintln(w, len(all), "pills")
	}))

	browser := &exampleBrowser{handler: handler}
	fmt.Println(browser.post("/pills"))
	fmt.Println(browser.post("/pills"))
	// Output:
	// 1 pills
	// 2 pills
}

// Signing in changes the id: whoever planted or learnt the old one has nothing.
func ExampleSession_SignIn() {
	sessions := exampleManager()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		if err := s.SignIn("ilmer"); err != nil {
			http.Error(w, "no session", session.Status(err))
			return
		}
		http.Redirect(w, r, "/dashboard", http.StatusSeeOther) // stored before this leaves
	})
	mux.HandleFunc("POST /whoami", func(w http.ResponseWriter, r *http.Request) {
		user, err := session.From(r.Context()).User()
		fmt.Fprintf(w, "%q %v", user, err)
	})

	browser := &exampleBrowser{handler: sessions.Handler(mux)}
	fmt.Println(browser.post("/whoami"))
	browser.post("/login")
	fmt.Println(browser.post("/whoami"))
	// Output:
	// "" <nil>
	// "ilmer" <nil>
}

// Get and then Set loses what another request writes in between, as here, where
// two requests count and one is counted. Update would lose none.
func ExampleKey_Set_incorrect() {
	const count session.Key[int] = "count"
	sessions := exampleManager()
	browser := &exampleBrowser{}
	another := false
	browser.handler = sessions.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		n, err := count.Get(s)
		if err != nil {
			log.Fatal(err)
		}
		if another {
			another = false
			browser.post("/count") // comes and goes while this request works
		}
		if err := count.Set(s, n+1); err != nil {
			log.Fatal(err)
		}
		fmt.Fprint(w, n+1)
	}))
	browser.post("/count")
	fmt.Println("before:", 1)
	another = true
	fmt.Println("after two more requests:", browser.post("/count"))
	// Output:
	// before: 1
	// after two more requests: 2
}

// An administrator, or a page that lists a user's devices, ends sessions by
// their public ids.
func ExampleManager_Sessions() {
	sessions := exampleManager()
	login := sessions.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := session.From(r.Context()).SignIn("ilmer"); err != nil {
			log.Fatal(err)
		}
	}))
	(&exampleBrowser{handler: login}).post("/login")
	(&exampleBrowser{handler: login}).post("/login")

	ctx := context.Background()
	devices, err := sessions.Sessions(ctx, "ilmer")
	fmt.Println(len(devices), err)
	fmt.Println(sessions.RevokeOf(ctx, "ilmer", devices[0].PublicID))
	fmt.Println(errors.Is(sessions.RevokeOf(ctx, "homer", devices[1].PublicID), session.ErrNotFound))
	n, err := sessions.RevokeUser(ctx, "ilmer")
	fmt.Println(n, err)
	// Output:
	// 2 <nil>
	// <nil>
	// true
	// 1 <nil>
}

// A service that shares its sessions with an Express application uses that
// application's secret, cookie name and store.
func ExampleExpressV1() {
	config := session.ExpressV1()
	config.Store = memstore.New(memstore.Options{})
	config.Secrets = []string{"the secret of the Express application"}
	config.Cookie.MaxAge = 24 * time.Hour
	sessions, err := session.New(config)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(sessions.Policy().CookieName, sessions.Policy().IdleTimeout)
	// Output:
	// connect.sid 24h0m0s
}
