package medicine_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/medicine"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// Whatever is sent as a pill is either kept as it came, or refused with a status
// of 400 to 499, an error in JSON, and no session.
func FuzzAddPill(f *testing.F) {
	const jsonType = "application/json"
	for _, body := range []string{
		"", "null", "{}", "[]", `{"name":"Ibuprofen"}`, ` { "name" : "Zoë" } `, `{"name":7}`, `{"name":""}`, `{"name":"a","name":7}`,
		`{"NAME":7}`, `{"name":"\ud800"}`, "{\"name\":\"\xff\"}", `{"x":"\\\"[{"}`, `{"n":1e999}`, `{"x":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + "}",
	} {
		f.Add(jsonType, []byte(body))
	}
	f.Add("text/plain", []byte(`{"name":"Ibuprofen"}`))
	f.Add("application/json; charset=utf-16", []byte(`{"name":"Ibuprofen"}`))
	f.Add("", []byte("{}"))

	store := memstore.New(memstore.Options{})
	f.Cleanup(func() { store.Close() })
	app, err := medicine.New(medicine.Config{Session: session.Config{
		Store: store, Secrets: []string{secret}, Logger: slog.New(slog.DiscardHandler),
	}})
	if err != nil {
		f.Fatal(err)
	}
	handler := app.Handler()
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/pills", bytes.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		cookie := w.Header().Get("Set-Cookie")
		if w.Code >= 400 && w.Code < 500 {
			var e struct {
				Error struct{ Code, Message, Field string }
			}
			if err := strictJSON(w.Body.String(), &e); err != nil || e.Error.Code == "" || e.Error.Message == "" || cookie != "" {
				t.Errorf("POST of %q as %q = %d %s, cookie %q; want an error in JSON and no cookie", body, contentType, w.Code, w.Body, cookie)
			}
			return
		}
		var pill bytes.Buffer
		if err := json.Compact(&pill, body); err != nil || w.Code != http.StatusOK || w.Body.String() != `{"data":[`+pill.String()+`]}` || cookie == "" {
			t.Fatalf("POST of %q as %q = %d %s, cookie %q; want it kept as it came", body, contentType, w.Code, w.Body, cookie)
		}
		again := httptest.NewRequestWithContext(t.Context(), "GET", "http://localhost/pills", nil)
		again.Header.Set("Cookie", strings.Split(cookie, ";")[0])
		w2 := httptest.NewRecorder()
		handler.ServeHTTP(w2, again)
		if w2.Body.String() != w.Body.String() {
			t.Errorf("GET after POST of %q = %d %s; want %s", body, w2.Code, w2.Body, w.Body)
		}
	})
}
