package web_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/medicine/web"
)

func TestPagesAreFilled(t *testing.T) {
	built, err := fs.ReadFile(web.FS(), "index.html")
	if err != nil {
		t.Fatal(err)
	}
	var page web.Page
	var asked []string
	handler := web.Pages(func(w http.ResponseWriter, r *http.Request) (web.Page, bool) {
		asked = append(asked, r.Method+" "+r.URL.Path)
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return web.Page{}, false
		}
		return page, true
	})
	send := func(method, path string, headers ...string) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		r.Header.Set("Accept", html)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Result()
	}

	// What is no page is never filled.
	for _, path := range []string{"/index.html", "/assets/app.js", "/theme.js", "/gone.js"} {
		send("GET", path)
	}
	send("GET", "/about", "Accept", "application/json")
	send("POST", "/about")
	if len(asked) > 0 {
		t.Errorf("asked to fill %q; want none of what is no page", asked)
	}

	plain := send("GET", "/index.html")
	if res := send("GET", "/about"); body(t, res) != string(built) || res.Header.Get("ETag") != plain.Header.Get("ETag") || res.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("the zero Page is sent with %v; want index.html as built", res.Header)
	}

	page = web.Page{Title: `<b> & "`, Plain: "<p>plain</p>", Flash: `{"a":"</head>\"><script>"}`}
	res := send("GET", "/about")
	got := body(t, res)
	for _, want := range []string{
		"<title>&lt;b&gt; &amp; &#34;</title>", "<noscript><p>plain</p></noscript>",
		`<meta name="flash" content="{&#34;a&#34;:&#34;&lt;/head&gt;\&#34;&gt;&lt;script&gt;&#34;}" />`,
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("the page lacks %s:\n%s", want, got)
		}
	}
	if res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("ETag") != "" || res.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("one visitor's page is sent with %v; want no-store and no ETag", res.Header)
	}
	if head := send("HEAD", "/about"); head.Header.Get("Content-Length") != res.Header.Get("Content-Length") || head.StatusCode != 200 {
		t.Errorf("HEAD = %d, Content-Length %s; want 200, %s", head.StatusCode, head.Header.Get("Content-Length"), res.Header.Get("Content-Length"))
	}

	page = web.Page{Plain: "<p>for all</p>", Shared: true}
	res = send("GET", "/")
	etag := res.Header.Get("ETag")
	if etag == "" || etag == plain.Header.Get("ETag") || res.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("a page for all is sent with %v; want an ETag of its own, and no-cache", res.Header)
	}
	if res := send("GET", "/", "If-None-Match", etag); res.StatusCode != 304 {
		t.Errorf("the same again = %d; want 304", res.StatusCode)
	}
	page.Plain = "<p>changed</p>"
	if res := send("GET", "/", "If-None-Match", etag); res.StatusCode != 200 {
		t.Errorf("another page = %d; want 200", res.StatusCode)
	}

	if res := send("GET", "/away"); res.StatusCode != 303 || res.Header.Get("Location") != "/login" || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "default-src 'self';") {
		t.Errorf("a fill that answers itself = %d %v; want its 303, and the headers of all answers", res.StatusCode, res.Header)
	}
}
