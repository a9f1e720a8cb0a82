package medicine_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/medicine"
)

const dashboard = "/dashboard"

var paths = []struct {
	next string
	ok   bool
}{
	{"/", true},
	{"/pharmacy", true},
	{"/devices", true},
	{"/pharmacy?add=Ibuprofen&n=2", true},
	{"/login?next=/devices", true},
	{"/dashboard#sessions", true},
	{"/a/b/", true},
	{"/a?next=https://evil.example/", true}, // a query leads nowhere by itself
	{"/caf%C3%A9", true},
	{"/café", true},
	{"/a..b/c.", true},
	{"/" + strings.Repeat("x", 511), true},
	{"/" + strings.Repeat("x", 512), false},
	{"/" + strings.Repeat("x", 1<<20), false},
	{"", false},
	{"pharmacy", false},
	{"./pharmacy", false},
	{"?a", false},
	{"#a", false},
	{" /pharmacy", false},
	{"//evil.example", false},
	{"///evil.example", false},
	{"/\\evil.example", false},
	{"\\/evil.example", false},
	{"\\\\evil.example", false},
	{"/pharmacy\\..\\..", false},
	{"/\t/evil.example", false},
	{"/\n/evil.example", false},
	{"/\r\n/evil.example", false},
	{"/\r\nSet-Cookie: a=b", false},
	{"/\x00/evil.example", false},
	{"/%09/evil.example", false},
	{"/%0a/evil.example", false},
	{"/%0d%0aSet-Cookie:%20a=b", false},
	{"/%00", false},
	{"/%5cevil.example", false},
	{"/%5Cevil.example", false},
	{"/%255cevil.example", false},
	{"/%2fevil.example", false},
	{"/%2f%2fevil.example", false},
	{"/%252fevil.example", false},
	{"/%2509/evil.example", false},
	{"/a//evil.example", false},
	{"/..//evil.example", false},
	{"/../evil.example", false},
	{"/a/../../evil.example", false},
	{"/./evil.example", false},
	{"/a/..", false},
	{"/.", false},
	{"/%2e%2e//evil.example", false},
	{"/%2e/a", false},
	{"/.%2e/a", false},
	{"/%252e%252e/a", false},
	{"/;/../a", false},
	{"/%ff", false},
	{"/\xff", false},
	{"/%", false},
	{"/%zz", false},
	{"/\u2028/evil.example", false},
	{"/\u0085/evil.example", false},
	{"/\x7f/evil.example", false},
	{"http://evil.example/", false},
	{"https://evil.example/", false},
	{"http:evil.example", false},
	{"https:/evil.example", false},
	{"//user@evil.example/", false},
	{"//user:pass@localhost@evil.example/", false},
	{"javascript:alert(1)", false},
	{"JavaScript:alert(1)", false},
	{"/javascript:alert(1)", true}, // a path like another
	{"data:text/html,x", false},
	{"\x01https://evil.example", false},
	{"\u3000//evil.example", false},
	{"／／evil.example", false},
	{"/／evil.example", true}, // no slash, to a browser either
}

func TestLocalPath(t *testing.T) {
	for _, test := range paths {
		want := dashboard
		if test.ok {
			want = test.next
		}
		if got := medicine.LocalPath(test.next); got != want {
			t.Errorf("localPath(%.60q) = %.60q; want %.60q", test.next, got, want)
		}
	}
}

// What comes out stays on the site, however a browser, a proxy or a script reads
// it.
func FuzzLocalPath(f *testing.F) {
	for _, test := range paths {
		if len(test.next) < 2000 {
			f.Add(test.next)
		}
	}
	base, err := url.Parse("https://medicine.example/login")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, next string) {
		path := medicine.LocalPath(next)
		if path != next && path != dashboard {
			t.Fatalf("localPath(%q) = %q; want the same or the dashboard", next, path)
		}
		if again := medicine.LocalPath(path); again != path {
			t.Errorf("localPath(%q) = %q, and of that %q", next, path, again)
		}
		if len(path) > 512 {
			t.Errorf("localPath(%q) has %d bytes", next, len(path))
		}
		// As the WHATWG's parser begins: tabs and line breaks dropped, control
		// characters and spaces at the ends too, backslashes taken for slashes.
		read := path
		for range 3 {
			read = strings.TrimFunc(read, func(r rune) bool { return r <= ' ' })
			read = strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(read)
			if !strings.HasPrefix(read, "/") || strings.HasPrefix(read, "//") {
				t.Fatalf("localPath(%q) = %q, which may be read as %q", next, path, read)
			}
			u, err := url.Parse(read)
			if err != nil {
				break // only what was decoded once more than it should
			}
			to := base.ResolveReference(u)
			if to.Host != base.Host || to.Scheme != base.Scheme {
				t.Fatalf("localPath(%q) = %q, which leads to %s", next, path, to)
			}
			if strings.HasPrefix(to.Path, "//") {
				t.Fatalf("localPath(%q) = %q, whose path is %q once it is resolved", next, path, to.Path)
			}
			read = u.Path
		}
	})
}
