package web_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/medicine/web"
)

// sources lists what a build is made from, as vite.config.ts lists it.
func sources(t *testing.T) []string {
	t.Helper()
	list := []string{"index.html", "package.json", "package-lock.json", "svelte.config.js", "vite.config.ts"}
	configs, err := filepath.Glob("tsconfig*.json")
	if err != nil {
		t.Fatal(err)
	}
	list = append(list, configs...)
	for _, dir := range []string{"src", "public", "../../client/src"} {
		err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() && !strings.HasPrefix(entry.Name(), ".") {
				list = append(list, filepath.ToSlash(name))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(list)
	return list
}

func TestDistIsFresh(t *testing.T) {
	hash := sha256.New()
	for _, name := range sources(t) {
		content, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(hash, "%s\n%d\n", name, len(content))
		hash.Write(content)
	}
	want := hex.EncodeToString(hash.Sum(nil))
	stamp, err := fs.ReadFile(web.FS(), "stamp.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(stamp)); got != want {
		t.Errorf("dist was built from other sources (stamp %s; the sources have %s).\nRun: cd medicine/web && npm ci && npm run build", got, want)
	}
}

func TestLockfileNamesNoHost(t *testing.T) {
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(lock), `"resolved"`) {
		t.Error("package-lock.json holds download addresses.\nRun: cd medicine/web && rm package-lock.json && npm install --omit-lockfile-registry-resolved")
	}
}

const html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" // what browsers send for a page

func get(t *testing.T, method, target string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	web.Pages(nil).ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, res *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHandler(t *testing.T) {
	index, err := fs.ReadFile(web.FS(), "index.html")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name        string
		method      string
		target      string
		accept      string
		status      int
		contentType string
		index       bool // whether the body is index.html
	}{
		{name: "root", method: "GET", target: "/", accept: html, status: 200, contentType: "text/html; charset=utf-8", index: true},
		{name: "root for anybody", method: "GET", target: "/", accept: "*/*", status: 200, contentType: "text/html; charset=utf-8", index: true},
		{name: "page", method: "GET", target: "/pharmacy", accept: html, status: 200, contentType: "text/html; charset=utf-8", index: true},
		{name: "page with a query", method: "GET", target: "/about?from=mail", accept: html, status: 200, contentType: "text/html; charset=utf-8", index: true},
		{name: "deep page", method: "GET", target: "/devices/one/more", accept: html, status: 200, contentType: "text/html; charset=utf-8", index: true},
		{name: "page in capitals of Accept", method: "GET", target: "/about", accept: "Text/HTML", status: 200, contentType: "text/html; charset=utf-8", index: true},
		{name: "HEAD of a page", method: "HEAD", target: "/pharmacy", accept: html, status: 200, contentType: "text/html; charset=utf-8"},
		{name: "page for a script", method: "GET", target: "/pils", accept: "*/*", status: 404, contentType: "application/json"},
		{name: "page for JSON", method: "GET", target: "/pils", accept: "application/json", status: 404, contentType: "application/json"},
		{name: "page without Accept", method: "GET", target: "/pils", status: 404, contentType: "application/json"},
		{name: "page that refuses HTML", method: "GET", target: "/about", accept: "text/html;q=0, */*", status: 404, contentType: "application/json"},
		{name: "page with a broken weight", method: "GET", target: "/about", accept: "text/html;q=much", status: 404, contentType: "application/json"},
		{name: "script", method: "GET", target: "/assets/app.js", accept: "*/*", status: 200, contentType: "text/javascript; charset=utf-8"},
		{name: "style", method: "GET", target: "/assets/app.css", accept: "text/css", status: 200, contentType: "text/css; charset=utf-8"},
		{name: "favicon", method: "GET", target: "/favicon.svg", accept: "image/*", status: 200, contentType: "image/svg+xml"},
		{name: "unknown file", method: "GET", target: "/assets/gone.js", accept: html, status: 404, contentType: "application/json"},
		{name: "HEAD of an unknown file", method: "HEAD", target: "/assets/gone.js", accept: html, status: 404, contentType: "application/json"},
		{name: "folder is not listed", method: "GET", target: "/assets/", accept: "*/*", status: 404, contentType: "application/json"},
		{name: "folder is a page to a browser", method: "GET", target: "/assets", accept: html, status: 200, contentType: "text/html; charset=utf-8", index: true},
		{name: "way up", method: "GET", target: "/assets/../../web.go", accept: html, status: 404, contentType: "application/json"},
		{name: "encoded way up", method: "GET", target: "/%2e%2e/web.go", accept: html, status: 404, contentType: "application/json"},
		{name: "POST", method: "POST", target: "/pharmacy", accept: html, status: 405, contentType: "application/json"},
		{name: "DELETE of a file", method: "DELETE", target: "/assets/app.js", accept: html, status: 405, contentType: "application/json"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{}
			if test.accept != "" {
				header.Set("Accept", test.accept)
			}
			res := get(t, test.method, test.target, header)
			got := body(t, res)
			if res.StatusCode != test.status {
				t.Errorf("status = %d; want %d", res.StatusCode, test.status)
			}
			if contentType := res.Header.Get("Content-Type"); contentType != test.contentType {
				t.Errorf("Content-Type = %q; want %q", contentType, test.contentType)
			}
			if isIndex := got == string(index); isIndex != test.index {
				t.Errorf("body is index.html: %t; want %t", isIndex, test.index)
			}
			if test.status >= 400 && test.method != "HEAD" {
				var answer struct {
					Error struct{ Code, Message string }
				}
				if err := json.Unmarshal([]byte(got), &answer); err != nil || answer.Error.Code == "" || answer.Error.Message == "" {
					t.Errorf("body = %q; want an error with code and message", got)
				}
			}
			if test.status == 405 && res.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("Allow = %q; want GET, HEAD", res.Header.Get("Allow"))
			}
			for name, want := range map[string]string{
				"X-Content-Type-Options": "nosniff",
				"Referrer-Policy":        "same-origin",
			} {
				if got := res.Header.Get(name); got != want {
					t.Errorf("%s = %q; want %q", name, got, want)
				}
			}
			if got := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(got, "default-src 'self';") || strings.Contains(got, "unsafe") {
				t.Errorf("Content-Security-Policy = %q; want default-src 'self' and nothing unsafe", got)
			}
			if len(res.Cookies()) > 0 {
				t.Error("the handler set a cookie")
			}
		})
	}
}

func TestEveryFileIsRevalidated(t *testing.T) {
	err := fs.WalkDir(web.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(web.FS(), name)
		if err != nil {
			return err
		}
		res := get(t, "GET", "/"+name, nil)
		if got := body(t, res); res.StatusCode != 200 || got != string(content) {
			t.Errorf("GET /%s: status %d, %d bytes; want 200 and the file's %d bytes", name, res.StatusCode, len(got), len(content))
		}
		sum := sha256.Sum256(content)
		etag := `"` + hex.EncodeToString(sum[:]) + `"`
		if got := res.Header.Get("ETag"); got != etag {
			t.Errorf("GET /%s: ETag = %s; want %s", name, got, etag)
		}
		if got := res.Header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("GET /%s: Cache-Control = %q; want no-cache", name, got)
		}
		for _, match := range []string{etag, `"other", ` + etag, "W/" + etag, "*"} {
			res := get(t, "GET", "/"+name, http.Header{"If-None-Match": {match}})
			if got := body(t, res); res.StatusCode != 304 || got != "" || res.Header.Get("ETag") != etag {
				t.Errorf("GET /%s with If-None-Match: %s: status %d, %d bytes, ETag %q; want 304, none, the same", name, match, res.StatusCode, len(got), res.Header.Get("ETag"))
			}
		}
		if res := get(t, "GET", "/"+name, http.Header{"If-None-Match": {`"other"`}}); res.StatusCode != 200 {
			t.Errorf("GET /%s with another ETag: status %d; want 200", name, res.StatusCode)
		}
		head := get(t, "HEAD", "/"+name, nil)
		if got := head.Header.Get("Content-Length"); body(t, head) != "" || got != fmt.Sprint(len(content)) {
			t.Errorf("HEAD /%s: Content-Length = %q; want %d and no body", name, got, len(content))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The policy of the handler forbids inline code, so the build must have none.
func TestIndexKeepsThePolicy(t *testing.T) {
	index, err := fs.ReadFile(web.FS(), "index.html")
	if err != nil {
		t.Fatal(err)
	}
	for what, re := range map[string]string{
		"an inline script":         `<script(?:\s+[^>]*)?>\s*[^<\s]`,
		"an inline style":          `<style|\sstyle=`,
		"an event handler":         `\son[a-z]+=`,
		"an address of other host": `(?:src|href)="(?:https?:)?//`,
		"a data: address":          `data:`,
	} {
		if found := regexp.MustCompile(re).FindString(string(index)); found != "" {
			t.Errorf("index.html has %s: %q", what, found)
		}
	}
	// What it links to exists, so that no page asks in vain.
	for _, link := range regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllStringSubmatch(string(index), -1) {
		if res := get(t, "GET", link[1], nil); res.StatusCode != 200 {
			t.Errorf("index.html links to %s, which has status %d", link[1], res.StatusCode)
		}
	}
}
