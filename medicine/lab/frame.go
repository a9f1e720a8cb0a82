package lab

import (
	_ "embed"
	"net/http"
	"strconv"
)

//go:embed frame.html
var framePage []byte

//go:embed frame.js
var frameScript []byte

// framePolicy is the Content-Security-Policy of the frame: its script and what
// the script sends, and nothing else. The sandbox gives it an opaque origin even
// where it is opened directly, and not in an iframe that has the attribute.
const framePolicy = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; " +
	"form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts"

// Frame answers with the page for a sandboxed iframe that attacks as a foreign
// page would: it sends a forged POST /pills and a GET /pills that it must not be
// able to read, and posts to its parent, for each,
//
//	{"attack":"forgery"|"foreign","read":null|"what it could read","error":"…"}
//
// Its script has to be served by [FrameScript] at /lab/frame.js. The page changes
// nothing on the server by itself.
func Frame(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", framePolicy)
	serveFile(w, r, "text/html; charset=utf-8", framePage)
}

// FrameScript answers with the script of the page that [Frame] answers with.
func FrameScript(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	serveFile(w, r, "text/javascript; charset=utf-8", frameScript)
}

func serveFile(w http.ResponseWriter, r *http.Request, contentType string, content []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(content)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	if r.Method != http.MethodHead {
		_, _ = w.Write(content) // a client that left is nobody to tell
	}
}
