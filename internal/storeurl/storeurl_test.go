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
	kinds := strings.Join(storeurl.Forms()[:3], ", ")
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
		{"redis:localhost", []string{"redis", "redis://HOST:PORT/DB"}},
		{"redis://", []string{"no host"}},
		{"redis://a,b", []string{"2 hosts"}},
		{"redis://:hunter2@localhost/sessions", []string{"database", "sessions", "number"}},
		{"redis://:hunter2@localhost?prefx=a", []string{`"prefx"`, "prefix, watch"}},
		{"redis://:hunter2@localhost?watch=maybe&prune=5&replicas=-1", []string{"watch", `"maybe"`, "prune", `"5"`, "replicas", `"-1"`}},
		{"redis://:hunter2@localhost?prefix=a&prefix=b", []string{"prefix", "2 times"}},
		{"redis://:hunter2@localhost?prefix=%zz", []string{"options"}},
		{"redis://:hun%ter2@localhost", []string{"%XX"}},
		{"redis://:hunter2#x@localhost", []string{"%XX"}},
		{"redis://bob:12/hunter2@localhost/0", []string{"%2F"}},
		{"rediss://bob:12?hunter2@localhost/0", []string{"%3F"}},
		{"redis+cluster://:1/hunter2@a,b", []string{"%XX"}},
		{"postgres://amy:1?hunter2@h/db", []string{"%XX"}},
		{"postgres://amy:a@hunter2@h/db", []string{"%40"}},
		{"mysql://amy:hunter2/x@h/db", []string{"%XX"}},
		{"host=h user=amy password=hunter2 dbname=db", []string{"no scheme"}},
		{"amy@hunter2", []string{"no scheme"}},
		{"redis+cluster://:hunter2@a,b/3", []string{"cluster", `"3"`}},
		{"redis+cluster://:hunter2@a,,b", []string{"no host"}},
		{"redis+sentinel://:hunter2@a,b", []string{"master", "redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB"}},
		{"postgres://u:hunter2@h/db?sslmode=maybe", []string{"sslmode"}},
		{"postgres://u:hunter2@h/db?migrate=yes", []string{"migrate", `"yes"`, "true or false"}},
		{"postgres://u:hunter2@h:port/db", []string{"port"}},
		{"mysql://u:hunter2@h", []string{"no database", "mysql://USER"}},
		{"mysql://u:hunter2@h,i/db", []string{"2 hosts"}},
		{"mysql://u:hunter2@h/db?parseTime=maybe", []string{"maybe"}},
		{"mongodb://u:hunter2@h", []string{"no database"}},
		{"mongodb://u:hunter2@h/db?object=1", []string{"object", "true or false"}},
		{"mongodb://u:hunter2@h/db?colection=x", []string{`"colection"`, "collection, object"}},
		{"mongodb://u:hunter2@h/db?connectTimeoutMS=soon", []string{"connectTimeoutMS"}},
		{"dynamodb://u:hunter2@eu-north-1/t?endpoint=localhost:8000", []string{"endpoint", "http://localhost:8000"}},
		{"dynamodb://u:hunter2@eu-north-1/t?table=x", []string{`"table"`, "endpoint"}},
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
