package browser_test

import (
	_ "embed"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// clientPage makes the requests that the original's client makes.
//
//go:embed testdata/client.html
var clientPage string

func serveClient(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/bad" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-a'; img-src 'self'; connect-src *")
		fmt.Fprint(w, `<!doctype html><title>bad</title><link rel="icon" href="data:,"><script>alert(1)</script><img src="/missing"><script nonce="a">
			console.error("complaint");
			fetch("http://localhost:1/").catch(() => setTimeout(() => undefined.x));
		</script>`)
		return
	}
	if r.URL.Path == "/missing" {
		http.NotFound(w, r)
		return
	}
	if r.URL.Query().Has("api") || !serveOriginal(w, r) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, clientPage)
	}
}

const trusted = "http://localhost:5173" // by default

// client is the address of the client's page on an origin, to use this server.
func (s *server) client(origin string) string {
	return origin + "/?api=" + url.QueryEscape(s.url)
}

// foreign returns origins that are not in the list: another port of the same
// host, and another site.
func foreign(t *testing.T) map[string]string {
	browser(t) // serves the client
	_, port, _ := strings.Cut(chromium.clients.String(), ":")
	return map[string]string{"another port": "http://localhost:" + port, "127.0.0.1": "http://127.0.0.1:" + port}
}

const (
	clientFill   = `document.getElementById("fill")`
	clientShown  = `all("#pills li").length`
	clientDone   = `Number(document.getElementById("done").value)`
	clientFailed = `Number(document.getElementById("failed").value)`
)

func TestClientOnATrustedOrigin(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.client(trusted))
	wait(b, `document.getElementById("employees").textContent`, "Ilmer, Homer")
	wait(b, clientDone, 2)
	for n := 1; n <= 3; n++ {
		b.click(clientFill, 1)
		wait(b, clientDone, 2+2*n)
	}
	s.wantStored(repeat("Ibuprofen", 3)...)
	b.open(s.client(trusted))
	wait(b, clientShown, 3)
	if failed := get[int](b, clientFailed); failed != 0 {
		t.Errorf("%d requests failed; want 0", failed)
	}
	if b.cookie(s.url) == "" {
		t.Error("the browser has no session cookie")
	}
	b.wantNoProblem("client on " + trusted)
}

// A new visitor's first pills go out in parallel: the page does not wait for
// the answer of one before it sends the next.
func TestTenFastClicksOfAClientElsewhere(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := visit(t, s.client(trusted))
	wait(b, clientDone, 2)
	b.click(clientFill, 10)
	wait(b, clientDone, 22)
	s.wantStored(repeat("Ibuprofen", 10)...)
	b.open(s.client(trusted))
	wait(b, clientShown, 10)
	b.wantNoProblem("client on " + trusted)
}

// The application's own page and the client share the visitor's session.
func TestClientElsewhereSharesTheSession(t *testing.T) {
	t.Parallel()
	s := serve(t)
	own := visit(t, s.url+"/pharmacy")
	own.click(fill, 1)
	wait(own, "shown()", 1)
	other := own.another(s.client(trusted))
	wait(other, clientShown, 1)
	other.click(clientFill, 2)
	wait(other, clientDone, 6)
	own.front()
	wait(own, "shown()", 3)
	s.wantStored(repeat("Ibuprofen", 3)...)
}

func TestForeignPageIsRefused(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for name, origin := range foreign(t) {
		t.Run(name, func(t *testing.T) {
			own := visit(t, s.url+"/pharmacy")
			own.click(fill, 1)
			wait(own, "shown()", 1)
			before, cookie := fmt.Sprint(s.stored()), own.cookie(s.url)

			b := own.another(s.client(origin))
			wait(b, clientDone, 2)
			b.click(clientFill, 3)
			wait(b, clientDone, 8)
			if failed := get[int](b, clientFailed); failed != 8 {
				t.Errorf("%d of the 8 requests of %s failed; want 8", failed, origin)
			}
			if text := get[string](b, `document.getElementById("employees").textContent + document.getElementById("pills").textContent`); text != "" {
				t.Errorf("the page on %s reads %q; want nothing", origin, text)
			}
			// Requests that need no preflight do reach the server.
			get[any](b, `Promise.allSettled(["text/plain", "application/x-www-form-urlencoded"].map((type) => fetch(`+"`${new URLSearchParams(location.search).get(\"api\")}/pills`"+`, {
				method: "POST", mode: "no-cors", credentials: "include", headers: {"Content-Type": type}, body: '{"name":"forged"}',
			})))`)
			if got := fmt.Sprint(s.stored()); got != before {
				t.Errorf("after %s stored are %s; want %s as before", origin, got, before)
			}
			if own.cookie(s.url) != cookie {
				t.Errorf("%s has replaced the visitor's cookie", origin)
			}
			own.front()
			own.click(fill, 1)
			wait(own, "shown()", 2)
		})
	}
}

// The browser sends a form of another site without the visitor's cookie; a
// session begun for it would take the place of the visitor's own.
func TestForgedFormIsRefused(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for name, origin := range foreign(t) {
		t.Run(name, func(t *testing.T) {
			own := visit(t, s.url+"/pharmacy")
			own.click(fill, 1)
			wait(own, "shown()", 1)
			before, cookie := fmt.Sprint(s.stored()), own.cookie(s.url)

			b := own.another(s.client(origin))
			wait(b, clientDone, 2)
			get[any](b, `document.getElementById("forgery").submit()`)
			wait(b, `location.href + document.body.innerText.includes("cross_origin")`, s.url+"/pillstrue")
			if got := fmt.Sprint(s.stored()); got != before {
				t.Errorf("after a form of %s stored are %s; want %s as before", origin, got, before)
			}
			if got := own.cookie(s.url); got != cookie || cookie == "" {
				t.Errorf("a form of %s has replaced the visitor's cookie %q by %q", origin, cookie, got)
			}
			own.open(s.url + "/pharmacy")
			wait(own, "shown()", 1)
		})
	}
}
