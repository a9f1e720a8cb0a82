package interop_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

// Encrypted sessions of connect-mongo are refused, with an error that says so,
// and stay what they are.
func TestEncryptedMongoSessionsAreLeftAlone(t *testing.T) {
	t.Parallel()
	b := newMongo(t, "encrypted_", false)
	tests := []struct {
		place string
		extra map[string]any
		want  string
	}{
		{"crypto", map[string]any{"crypto": map[string]any{"secret": "squirrel"}}, `"crypto"`},
		{"crypto_objects", map[string]any{"crypto": map[string]any{"secret": "squirrel"}, "stringify": false}, `"crypto"`},
		{"adapter", map[string]any{"webCryptoSecret": "squirrel"}, `"cryptoAdapter"`},
		{"adapter_objects", map[string]any{"webCryptoSecret": "squirrel", "stringify": false}, `"cryptoAdapter"`},
	}
	var apps []app
	for _, test := range tests {
		options := b.express(b.server.URL, test.place)
		maps.Copy(options, test.extra)
		apps = append(apps, app{options, []byte(recommended)})
	}
	url := startApps(t, apps...)
	for i, test := range tests {
		express := fmt.Sprint(url, "/", i)
		log := new(strings.Builder)
		m, err := session.New(configure(b.open(t, b.server.URL, test.place), func(c *session.Config) {
			c.IdleTimeout, c.Logger = twoWeeks, slog.New(slog.NewTextHandler(log, nil))
		}))
		if err != nil {
			t.Fatal(err)
		}
		v := &visitor{t: t}
		v.must(express, `[["set","a",1]]`)
		before, err := b.read(t.Context(), test.place, v.id())
		if err != nil || strings.Contains(before.data, `"cookie"`) || before.data == "" {
			t.Fatalf("%s: Express stored %s, %v; want it encrypted", test.place, before, err)
		}
		for name, use := range map[string]func(s *session.Session) error{
			"Get": func(s *session.Session) error { _, err := session.Key[int]("a").Get(s); return err },
			"Set": func(s *session.Session) error { return errors.Join(session.Key[int]("a").Set(s, 2), s.Save()) },
			"Update": func(s *session.Session) error {
				_, err := session.Key[int]("a").Update(s, func(n int) int { return n + 1 })
				return err
			},
		} {
			status := (&visitor{t: t, cookie: v.cookie}).change(m, func(s *session.Session) {
				if err := use(s); err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "connect-mongo") {
					t.Errorf("%s: %s = %v; want an error that names connect-mongo's option %s", test.place, name, err, test.want)
				}
			})
			after, err := b.read(t.Context(), test.place, v.id())
			if err != nil || after.data != before.data || after.rest != before.rest {
				t.Errorf("%s: after %s (status %d): %s, %v; want the row as it was: %s", test.place, name, status, after, err, before)
			}
		}
		if strings.Contains(log.String(), v.id()) {
			t.Errorf("%s: the log has the id:\n%s", test.place, log)
		}
		if got := v.must(express, `[]`); got.data["a"] != 1.0 {
			t.Errorf("%s: Express finds %v; want a=1 as before", test.place, got.data)
		}
	}
}
