package interop_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/need"
	"github.com/pillboxgo/pillbox/session"
)

// scripts copies the JavaScript to a folder of the test's own, where it finds
// its modules, and returns a command that runs one of the scripts there.
func scripts(t *testing.T) (command func(name string) *exec.Cmd) {
	t.Helper()
	node := need.Node(t)
	installed := need.NPM(t, ".")
	dir := t.TempDir()
	need.Link(t, installed, dir)
	sources, err := filepath.Glob("*.mjs")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, source), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return func(name string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), node, name)
		cmd.Dir = dir
		cmd.WaitDelay = 5 * time.Second
		return cmd
	}
}

// ask has vectors.mjs answer a list of questions, all in one process.
func ask[Q, A any](t *testing.T, questions []Q) []A {
	t.Helper()
	in, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := scripts(t)("vectors.mjs")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("vectors.mjs: %v\n%s", err, stderr.Bytes())
	}
	var answers []A
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatalf("vectors.mjs: %v in %.200q", err, out)
	}
	if len(answers) != len(questions) {
		t.Fatalf("vectors.mjs gives %d answers to %d questions", len(answers), len(questions))
	}
	return answers
}

// An app is one of the applications in app.mjs.
type app struct {
	Store   map[string]any  `json:"store"`   // see stores.mjs
	Options json.RawMessage `json:"options"` // of express-session
}

// startExpress starts an Express application that has one express-session for
// each element of options, which are its options as JSON, on the store of the
// same index. It returns the address; the sessions are mounted at /0, /1, ….
func startExpress(t *testing.T, stores []session.Store, options ...string) (url string) {
	t.Helper()
	bridge := httptest.NewServer(bridge(stores))
	t.Cleanup(bridge.Close)
	var apps []app
	for i, options := range options {
		at := fmt.Sprint(bridge.URL, "/", i)
		apps = append(apps, app{map[string]any{"kind": "bridge", "url": at}, json.RawMessage(options)})
	}
	return startApps(t, apps...)
}

// startApps starts a Node process that serves applications at /0, /1, … and
// returns its address. The process ends with the test; it also ends when this
// one dies, which closes its standard input.
func startApps(t *testing.T, apps ...app) (url string) {
	t.Helper()
	list, err := json.Marshal(apps)
	if err != nil {
		t.Fatal(err)
	}
	cmd := scripts(t)("app.mjs")
	cmd.Env = append(os.Environ(), "APPS="+string(list), "NODE_ENV=test")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var hello struct{ Port int }
	line, readErr := bufio.NewReader(stdout).ReadBytes('\n')
	err = errors.Join(readErr, json.Unmarshal(line, &hello))
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // the context may have killed it already
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("Express wrote:\n%s", stderr.Bytes())
		}
	})
	if err != nil {
		t.Fatalf("app.mjs did not start: %v", err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", hello.Port)
}

// bridge serves stores to bridge.mjs, at /0, /1, ….
func bridge(stores []session.Store) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{app}/{id}", func(w http.ResponseWriter, r *http.Request) {
		app, err := strconv.Atoi(r.PathValue("app"))
		if err != nil || app >= len(stores) {
			http.Error(w, "no such store", http.StatusBadRequest)
			return
		}
		store, id := stores[app], r.PathValue("id")
		ttl, _ := strconv.ParseFloat(r.FormValue("ttl"), 64)
		deadline := time.Now().Add(time.Duration(ttl) * time.Millisecond)
		switch r.Method {
		case "GET":
			var rec session.Record
			if rec, err = store.Load(r.Context(), id, session.Slide{}); err == nil {
				_, err = w.Write(rec.Data)
			}
		case "PUT":
			var data []byte
			if data, err = io.ReadAll(r.Body); err == nil {
				err = put(r, store, id, data, deadline)
			}
		case "POST":
			err = store.Touch(r.Context(), id, deadline)
		case "DELETE":
			err = store.Delete(r.Context(), id, nil)
		}
		switch {
		case errors.Is(err, session.ErrNotFound):
			http.Error(w, "not found", http.StatusNotFound)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

// put stores data blindly, as the stores of Express do: whatever is there, and
// whether or not anything is.
func put(r *http.Request, store session.Store, id string, data []byte, deadline time.Time) error {
	for {
		rec, err := store.Load(r.Context(), id, session.Slide{})
		switch {
		case err == nil:
			err = store.Update(r.Context(), id, rec.Data, data, deadline)
		case errors.Is(err, session.ErrNotFound):
			err = store.Create(r.Context(), id, session.Record{Data: data, Deadline: deadline})
		}
		if !errors.Is(err, session.ErrConflict) && !errors.Is(err, session.ErrExists) && !errors.Is(err, session.ErrNotFound) {
			return err
		}
	}
}
