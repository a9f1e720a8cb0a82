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
	"errors"
	"fmt"
	"html/template"
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

// A Page is what the server itself writes into index.html before it sends it,
// for a browser that runs no scripts. Its zero value is index.html as built.
type Page struct {
	// Title is that of the window, until the script sets its own. Empty means
	// that of the build.
	Title string

	// Plain takes the place of what <noscript> holds, so that nothing of it
	// shows where scripts run. Empty means the sentence of the build.
	Plain template.HTML

	// Flash is for the script, which reads it from <meta name="flash">: what the
	// server has to say once, to whichever of the two shows the page. Empty
	// means that there is no such element.
	Flash string

	// Shared says that every visitor gets the same, so that browsers may keep
	// it, as they keep files. Otherwise the page is never kept.
	Shared bool
}

// A Fill decides what is written into index.html for a request. It is called for
// GET and HEAD of pages only, after the headers that all answers have were set,
// and by many goroutines at once. Returning false means that it has answered the
// request itself, with a redirect for one.
type Fill func(w http.ResponseWriter, r *http.Request) (Page, bool)

// Pages returns a handler that serves the pages of Medicine and their files. Pages
// are completed by fill; a nil fill completes none. Files are not concerned, nor is
// index.html under its own name.
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
// Of itself the handler touches no session.
func Pages(fill Fill) http.Handler {
	return handlerOf(FS(), fill)
}

// SetHeaders sets the headers that every answer of [Pages] has: the
// Content-Security-Policy, and two that keep browsers from guessing types and
// from telling other sites where their visitors come from.
func SetHeaders(header http.Header) {
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "same-origin")
}

func handlerOf(built fs.FS, fill Fill) http.Handler {
	h := &handler{files: map[string]file{}, fill: fill}
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
		h.files["/"+name] = newFile(content, contentType)
		return nil
	})
	if err == nil && fill != nil {
		h.index, err = cutIndex(h.files[indexName].content)
	}
	if err != nil {
		panic(err) // a test serves every file of the embedded build
	}
	return h
}

const indexName = "/index.html"

// handler holds the files by the path of their address.
type handler struct {
	files map[string]file
	fill  Fill
	index index
}

type file struct {
	content     []byte
	contentType string
	etag        string
}

func newFile(content []byte, contentType string) file {
	sum := sha256.Sum256(content)
	return file{content, contentType, `"` + hex.EncodeToString(sum[:]) + `"`}
}

// index is index.html, cut where a [Page] is put in.
type index struct {
	beforeTitle, title, head, plain, rest []byte
}

func cutIndex(content []byte) (index, error) {
	var x index
	var found [4]bool
	rest := content
	x.beforeTitle, rest, found[0] = bytes.Cut(rest, []byte("<title>"))
	x.title, rest, found[1] = bytes.Cut(rest, []byte("</title>"))
	x.head, rest, found[2] = bytes.Cut(rest, []byte("<noscript>"))
	x.plain, x.rest, found[3] = bytes.Cut(rest, []byte("</noscript>"))
	if found != [4]bool{true, true, true, true} || bytes.Contains(x.rest, []byte("<noscript")) {
		return index{}, errors.New("web: index.html has no title before a single noscript")
	}
	return x, nil
}

// with returns index.html with the page put in.
func (x index) with(page Page) []byte {
	var b bytes.Buffer
	b.Write(x.beforeTitle)
	b.WriteString("<title>")
	if page.Title != "" {
		template.HTMLEscape(&b, []byte(page.Title))
	} else {
		b.Write(x.title)
	}
	b.WriteString("</title>")
	if page.Flash != "" {
		b.WriteString("\n    <meta name=\"flash\" content=\"")
		template.HTMLEscape(&b, []byte(page.Flash))
		b.WriteString("\" />")
	}
	b.Write(x.head)
	b.WriteString("<noscript>")
	if page.Plain != "" {
		b.WriteString(string(page.Plain))
	} else {
		b.Write(x.plain)
	}
	b.WriteString("</noscript>")
	b.Write(x.rest)
	return b.Bytes()
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	SetHeaders(header)

	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "method_not_allowed", "This address can only be read.")
		return
	}

	name := r.URL.Path
	page := name == "/"
	f, ok := h.files[name]
	if !ok && !page && path.Ext(name) == "" {
		header.Add("Vary", "Accept")
		page = acceptsHTML(r.Header.Values("Accept"))
	}
	if page {
		f, ok = h.files[indexName]
	}
	if !ok {
		refuse(w, http.StatusNotFound, "not_found", "There is nothing at this address.")
		return
	}

	if page && h.fill != nil {
		filled, ok := h.fill(w, r)
		if !ok {
			return
		}
		if !filled.Shared && filled != (Page{}) {
			header.Set("Content-Type", f.contentType)
			sendPrivate(w, h.index.with(filled))
			return
		}
		f = newFile(h.index.with(filled), f.contentType)
	}
	header.Set("Content-Type", f.contentType)
	header.Set("Cache-Control", "no-cache")
	header.Set("ETag", f.etag)
	// ServeContent does If-None-Match, If-Match, Range and HEAD by the ETag.
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}

// sendPrivate sends what one visitor may see, and nobody keep: what it says may
// be untrue a moment later, and it may have been said for the only time.
func sendPrivate(w http.ResponseWriter, content []byte) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(content) // net/http drops it for HEAD; a client that left is nobody to tell
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
