package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// The README shows this program, and what it does.
func TestREADMEShowsThisProgram(t *testing.T) {
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(program), "\n") // without the package's comment
	if !strings.Contains(string(readme), "```go\n"+shown+"```") {
		t.Error("README.md does not show examples/quickstart/main.go as it is")
	}
	if n := strings.Count(shown, "\n"); n > 35 {
		t.Errorf("the program has %d lines; want one that is read at a glance", n)
	}
}

func TestQuickstartCounts(t *testing.T) {
	sessions, err := session.New(session.Config{
		Store:   memstore.New(memstore.Options{}),
		Secrets: []string{"a secret of the tests, 32 bytes!!"},
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := sessions.Handler(http.HandlerFunc(count))
	cookie := ""
	for _, want := range []string{"visit 1\n", "visit 2\n", "visit 3\n"} {
		r := httptest.NewRequest("GET", "http://localhost:8080/", nil)
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if got := w.Body.String(); got != want {
			t.Errorf("body = %q; want %q", got, want)
		}
		if line := w.Header().Get("Set-Cookie"); line != "" {
			cookie, _, _ = strings.Cut(line, ";")
		}
	}
}
