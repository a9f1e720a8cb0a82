package session_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/sqlitestore"
)

const pills session.Key[[]string] = "pills"

func TestSmoke(t *testing.T) {
	st, err := sqlitestore.Open(t.Context(), t.TempDir()+"/s.db", sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	m, err := session.New(session.Config{Store: st, Secrets: []string{"0123456789abcdef0123456789abcdef"}, Cookie: session.Cookie{Secure: session.InsecurePlainHTTP}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /pills", func(w http.ResponseWriter, r *http.Request) {
		list, err := pills.Get(session.From(r.Context()))
		fmt.Fprint(w, list, err)
	})
	mux.HandleFunc("POST /pills", func(w http.ResponseWriter, r *http.Request) {
		list, err := pills.Update(session.From(r.Context()), func(l []string) []string { return append(l, "x") })
		fmt.Fprint(w, len(list), err)
	})
	mux.HandleFunc("POST /signin", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, session.From(r.Context()).SignIn("ilmer"))
	})
	mux.HandleFunc("POST /out", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, session.From(r.Context()).SignOut())
	})
	srv := httptest.NewServer(m.Handler(mux))
	defer srv.Close()
	jar, _ := cookiejar.New(nil)
	c := &http.Client{Jar: jar}
	do := func(method, path string) {
		req, _ := http.NewRequest(method, srv.URL+path, nil)
		resp, err := c.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		t.Log(method, path, resp.Status, string(b), resp.Header["Set-Cookie"])
	}
	do("GET", "/pills")
	do("POST", "/pills")
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			req, _ := http.NewRequest("POST", srv.URL+"/pills", nil)
			resp, err := c.Do(req)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
		})
	}
	wg.Wait()
	do("GET", "/pills")
	do("POST", "/signin")
	do("GET", "/pills")
	infos, err := m.Sessions(t.Context(), "ilmer")
	t.Log(infos, err)
	do("POST", "/out")
	do("GET", "/pills")
}
