package storeurl_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/storeurl"
	"github.com/pillboxgo/pillbox/session"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		url       string
		name, dir string
		file      string
	}{
		{url: "memory:", name: "memory"},
		{url: "sqlite:" + filepath.Join(dir, "a.db"), name: "sqlite", dir: dir, file: "a.db"},
		{url: "sqlite:" + filepath.Join(dir, "with space, ü and %20.db"), name: "sqlite", dir: dir, file: "with space, ü and %20.db"},
		{url: "sqlite:" + filepath.Join(dir, "colon:in.db"), name: "sqlite", dir: dir, file: "colon:in.db"},
	} {
		opened, err := storeurl.Open(t.Context(), test.url, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Errorf("Open(%q): %v", test.url, err)
			continue
		}
		if opened.Name != test.name || opened.Dir != test.dir {
			t.Errorf("Open(%q) = %q in %q; want %q in %q", test.url, opened.Name, opened.Dir, test.name, test.dir)
		}
		rec := session.Record{Data: []byte(`{}`), Deadline: time.Now().Add(time.Hour)}
		if err := opened.Store.Create(t.Context(), "id", rec); err != nil {
			t.Errorf("Create in %q: %v", test.url, err)
		}
		if test.file != "" {
			if _, err := os.Stat(filepath.Join(dir, test.file)); err != nil {
				t.Errorf("Open(%q): %v", test.url, err)
			}
		}
		if err := opened.Close(); err != nil {
			t.Errorf("Close of %q: %v", test.url, err)
		}
		if _, err := opened.Store.Load(t.Context(), "id", session.Slide{}); err == nil {
			t.Errorf("Load from %q after Close succeeds; want an error", test.url)
		}
	}
}

func TestOpenInTheWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	opened, err := storeurl.Open(t.Context(), "sqlite:medicine.db", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if opened.Dir != "." {
		t.Errorf("Dir = %q; want .", opened.Dir)
	}
}

// An error names what is wrong and what there is, and no password.
func TestOpenErrors(t *testing.T) {
	noDatabase := filepath.Join(t.TempDir(), "letter.txt")
	if err := os.WriteFile(noDatabase, []byte(strings.Repeat("Dear pharmacist, ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	const kinds = "memory: or sqlite:PATH"
	for _, test := range []struct {
		url  string
		want []string
	}{
		{"", []string{"no scheme", kinds}},
		{"medicine.db", []string{`"medicine.db"`, "no scheme", kinds}},
		{":x", []string{"unknown scheme", kinds}},
		{"oracle://user:hunter2@db.example/x", []string{`"oracle"`, kinds}},
		{"//user:hunter2@db.example/x", []string{"unknown scheme", kinds}},
		{"memory:hunter2", []string{"memory:", "nothing after the colon"}},
		{"sqlite:", []string{"names no file", "sqlite:medicine.db"}},
		{"sqlite:" + filepath.Join("no", "such", "folder", "x.db"), []string{"no such file"}},
		{"sqlite:" + t.TempDir(), []string{"not a regular file"}},
		{"sqlite:" + noDatabase, []string{"letter.txt", "not a"}},
	} {
		opened, err := storeurl.Open(t.Context(), test.url, slog.New(slog.DiscardHandler))
		if err == nil {
			opened.Close()
			t.Errorf("Open(%q) succeeds; want an error", test.url)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("Open(%q) = %v; want an error that names %s", test.url, err, want)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open(%q) = %v; want no password in it", test.url, err)
		}
	}
}
