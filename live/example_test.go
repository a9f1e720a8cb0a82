package live_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/pillboxgo/pillbox/live"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

func Example() {
	store := memstore.New(memstore.Options{})
	defer store.Close()
	sessions, err := session.New(session.Config{
		Store:   store,
		Secrets: []string{"kept in the environment, not here"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	hub, err := live.New(sessions, live.Config{Keys: []string{"pills"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	const pills session.Key[[]string] = "pills"
	mux := http.NewServeMux()
	mux.Handle("GET /live", hub)
	mux.HandleFunc("POST /pills", func(w http.ResponseWriter, r *http.Request) {
		_, err := pills.Update(session.From(r.Context()), func(all []string) []string {
			return append(all, r.FormValue("name"))
		})
		if err != nil {
			http.Error(w, "Not saved.", session.Status(err))
		}
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := session.From(r.Context()).SignOut(); err != nil {
			http.Error(w, "Not signed out.", session.Status(err))
		}
	})
	server := httptest.NewTLSServer(sessions.Handler(mux))
	server.Config.RegisterOnShutdown(hub.Close) // or Shutdown would wait for the pages
	defer server.Close()

	// One tab takes a pill and opens a page.
	cookie := post(server, "/pills?name=Ibuprofen", "")
	r, err := http.NewRequest("GET", server.URL+"/live", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r.Header.Set("Cookie", cookie)
	page, err := server.Client().Do(r)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer page.Body.Close()
	for lines := bufio.NewScanner(page.Body); lines.Scan(); {
		name, ok := strings.CutPrefix(lines.Text(), "event: ")
		if !ok || !lines.Scan() {
			continue
		}
		data, _, _ := strings.Cut(lines.Text(), `,"idle"`) // which differs from run to run
		if _, rest, ok := strings.Cut(data, `"signedIn"`); ok {
			data = `data: {…,"signedIn"` + rest
		}
		fmt.Println(name, data)
		switch name { // what another tab does then
		case "session":
			post(server, "/pills?name=Aspirin", cookie)
		case "change":
			post(server, "/logout", cookie)
		}
	}
	// Output:
	// session data: {…,"signedIn":false,"keys":["pills"],"values":{"pills":["Ibuprofen"]}
	// change data: {"keys":["pills"],"removed":[],"values":{"pills":["Ibuprofen","Aspirin"]}
	// ended data: {"reason":"signed-out"}
}

// post sends a form, and returns the session cookie that comes back.
func post(server *httptest.Server, path, cookie string) string {
	r, err := http.NewRequest("POST", server.URL+path, nil)
	if err != nil {
		return ""
	}
	r.Header.Set("Cookie", cookie)
	answer, err := server.Client().Do(r)
	if err != nil {
		return ""
	}
	answer.Body.Close()
	for _, c := range answer.Cookies() {
		return c.Name + "=" + c.Value
	}
	return ""
}
