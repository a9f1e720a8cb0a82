package medicine

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

const (
	// defaultPath is where a visitor goes after signing in.
	defaultPath = "/dashboard"

	maxPath = 512 // bytes
)

// localPath returns next if a browser that is sent there stays on this site, and
// else the path of the dashboard.
//
// It takes less than would be safe: browsers read a backslash as a slash and
// drop tabs and line breaks, proxies decode what is encoded, and scripts put
// parts of an address together anew. So next is refused if it has an empty or
// dotted segment, a backslash or a control character, encoded ones included.
func localPath(next string) string {
	if len(next) > maxPath || !strings.HasPrefix(next, "/") || !utf8.ValidString(next) || hasControls(next) {
		return defaultPath
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return defaultPath
	}
	// Decoded twice, for what is decoded once more on its way.
	twice, err := url.PathUnescape(u.Path)
	if err != nil {
		twice = u.Path
	}
	for _, path := range []string{u.EscapedPath(), u.Path, twice} {
		if !plainPath(path) {
			return defaultPath
		}
	}
	return next
}

// plainPath reports whether a path has neither empty segments but its last, nor
// those that lead elsewhere.
func plainPath(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || hasControls(path) || !utf8.ValidString(path) {
		return false
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// hasControls reports whether a text has control characters, line separators or
// backslashes.
func hasControls(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\\' || r == '\u2028' || r == '\u2029'
	})
}
