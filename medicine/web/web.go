// Package web serves the pages of Medicine, which are built with Svelte and
// Vite and embedded here, so that the application needs no file beside it and
// no Node.js to run.
//
// The folder dist is committed. After a change to what it is built from, run
//
//	npm ci && npm run build
//
// in this folder; a test compares the sources with the stamp of the build.
package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed all:dist
var dist embed.FS

// policy is the Content-Security-Policy of every answer. The build has no
// inline script, no inline style and no data: address, and asks nothing of
// another origin.
const policy = "default-src 'self'; base-uri 'none'; object-src 'none'; " +
	"form-action 'self'; frame-ancestors 'none'"

// contentTypes has every extension that a build may contain. The types of the
// operating system are not asked: they differ from machine to machine.
var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".json":  "application/json",
	".png":   "image/png",
	".svg":   "image/svg+xml",
	".txt":   "text/plain; charset=utf-8",
	".woff2": "font/woff2",
}

// FS returns the built files, with index.html at its root.
func FS() fs.FS {
	sub, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // "dist" is a valid path
	}
	return sub
}

// Handler returns a handler that serves the pages of Medicine and their files.
//
// Every file has a strong ETag, the SHA-256 of its content, and is to be
// revalidated, so that a new build is seen at once and an old one is answered
// with 304. There are no directory listings.
//
// A path that names no file and has no extension is a page: a GET or HEAD whose
// Accept header names text/html gets index.html with status 200, and the script
// in it shows the page, or says that there is none. Everything else that names
// no file gets 404, and a method other than GET and HEAD gets 405, both with a
// JSON error in the form that the rest of Medicine uses. Accept: */* is not
// enough for a page, so that a script which asks for a misspelt address is told
// so instead of being handed HTML.
//
// The handler touches no session.
func Handler() http.Handler {
	return handlerOf(FS())
}

func handlerOf(built fs.FS) http.Handler {
	h := handler{}
	err := fs.WalkDir(built, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(built, name)
		if err != nil {
			return err
		}
		contentType, ok := contentTypes[path.Ext(name)]
		if !ok {
			return fmt.Errorf("web: no content type for %s", name)
		}
		sum := sha256.Sum256(content)
		h["/"+name] = file{content, contentType, `"` + hex.EncodeToString(sum[:]) + `"`}
		return nil
	})
	if err != nil {
		panic(err) // a test serves every file of the embedded build
	}
	return h
}

// handler holds the files by the path of their address.
type handler map[string]file

type file struct {
	content     []byte
	contentType string
	etag        string
}

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")

	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "method_not_allowed", "This address can only be read.")
		return
	}

	name := r.URL.Path
	if name == "/" {
		name = "/index.html"
	}
	f, ok := h[name]
	if !ok && path.Ext(name) == "" {
		header.Add("Vary", "Accept")
		if acceptsHTML(r.Header.Values("Accept")) {
			f, ok = h["/index.html"]
		}
	}
	if !ok {
		refuse(w, http.StatusNotFound, "not_found", "There is nothing at this address.")
		return
	}

	header.Set("Content-Type", f.contentType)
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", f.etag)
	// ServeContent does If-None-Match, If-Match, Range and HEAD by the ETag.
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}

// acceptsHTML reports whether the Accept header names text/html with a weight
// above zero (RFC 9110 §12.5.1).
func acceptsHTML(accept []string) bool {
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		mediaType, params, err := mime.ParseMediaType(part)
		if err != nil || mediaType != "text/html" {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		return params["q"] == "" || err == nil && q > 0
	}
	return false
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	type problem struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	body, _ := json.Marshal(map[string]problem{"error": {code, message}}) // strings always marshal
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // net/http drops it for HEAD
}
