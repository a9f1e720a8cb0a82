// Quickstart is the program in the README: it counts a visitor's visits.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

const visits session.Key[int] = "visits"

func main() {
	sessions, err := session.New(session.Config{
		Store:   memstore.New(memstore.Options{}),
		Secrets: []string{os.Getenv("SESSION_SECRET")}, // openssl rand -base64 32
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("localhost:8080", sessions.Handler(http.HandlerFunc(count))))
}

func count(w http.ResponseWriter, r *http.Request) {
	n, err := visits.Update(session.From(r.Context()), func(n int) int { return n + 1 })
	if err != nil {
		http.Error(w, "no session", session.Status(err))
		return
	}
	fmt.Fprintf(w, "visit %d\n", n)
}
