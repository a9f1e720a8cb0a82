package crossorigin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/pillboxgo/pillbox/crossorigin"
)

// A page on the listed origin may post; a page elsewhere may not, and nothing
// behind the guard hears of its attempt.
func ExampleGuard_Handler() {
	guard, err := crossorigin.New(crossorigin.Config{
		Origins: []string{"https://app.example.com"},
	})
	if err != nil {
		panic(err)
	}
	application := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("application:", r.Method, "from", r.Header.Get("Origin"))
	})
	// With sessions: guard.Handler(sessions.Handler(mux)).
	handler := guard.Handler(application)

	for _, origin := range []string{"https://app.example.com", "https://evil.example"} {
		r := httptest.NewRequest("POST", "https://api.example.com/pills", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", "cross-site") // as browsers say
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("Access-Control-Allow-Origin"))
	}
	// Output:
	// application: POST from https://app.example.com
	// 200 https://app.example.com
	// 403
}

// A list that would open the sessions to strangers is refused as a whole, with
// a reason for each bad entry.
func ExampleNew() {
	_, err := crossorigin.New(crossorigin.Config{
		Origins: []string{
			"https://app.example.com",
			"https://app.example.com/",
			"null",
		},
	})
	fmt.Println(err)
	// Output:
	// pillbox: crossorigin: Origins[1] "https://app.example.com/" ends in a slash, which browsers do not send: remove it
	// pillbox: crossorigin: Origins[2] "null" is what every sandboxed page and local file sends: it is nobody in particular
}

// A decision needs no server: what a request would meet can be asked beforehand.
func ExampleGuard_Decide() {
	guard, err := crossorigin.New(crossorigin.Config{})
	if err != nil {
		panic(err)
	}
	r, _ := http.NewRequest("DELETE", "https://api.example.com/sessions", nil)
	r.Header.Set("Sec-Fetch-Site", "same-site") // a page on a sibling domain
	r.Header.Set("Origin", "https://blog.example.com")
	fmt.Println(guard.Decide(r))
	// Output: refuse-cross-origin
}

// The common mistake: with the session middleware outside, a forged request
// gets a new session before it is refused, and the cookie of that session
// replaces the visitor's own.
func ExampleGuard_Handler_incorrect() {
	guard, err := crossorigin.New(crossorigin.Config{})
	if err != nil {
		panic(err)
	}
	sessions := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "new"})
			next.ServeHTTP(w, r)
		})
	}
	forged := httptest.NewRequest("POST", "https://api.example.com/pills", nil)
	forged.Header.Set("Sec-Fetch-Site", "cross-site")

	w := httptest.NewRecorder()
	sessions(guard.Handler(http.NotFoundHandler())).ServeHTTP(w, forged)
	fmt.Printf("wrong order: %d, cookie %q\n", w.Code, w.Header().Get("Set-Cookie"))

	w = httptest.NewRecorder()
	guard.Handler(sessions(http.NotFoundHandler())).ServeHTTP(w, forged)
	fmt.Printf("right order: %d, cookie %q\n", w.Code, w.Header().Get("Set-Cookie"))
	// Output:
	// wrong order: 403, cookie "session=new"
	// right order: 403, cookie ""
}
