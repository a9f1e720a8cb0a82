package session

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// maxCandidates bounds how many cookies of our name are looked at in one
// request. A browser sends several where somebody planted one for another path
// or a parent domain; Chromium keeps no more than 180 of a site.
const maxCandidates = 180

// readCookies appends the ids of the cookies of our name that are signed well,
// each once, in the order in which they came. looked is the number of cookies of
// our name, or more than maxCandidates where the rest was not looked at.
func (m *Manager) readCookies(r *http.Request, ids []string) (_ []string, looked int) {
	for _, line := range r.Header["Cookie"] {
		for line != "" {
			var value string
			var ok bool
			if value, line, ok = cutCookie(line, m.config.Cookie.Name); !ok {
				break
			}
			if looked++; looked > maxCandidates {
				return ids, looked
			}
			value = trimBlanks(value)
			if len(value) >= 2 && value[0] == '"' && value[len(value)-1] == '"' {
				value = value[1 : len(value)-1]
			}
			if id, ok := m.signer.unsign(value); ok && !contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids, looked
}

// cutCookie returns the value of the first cookie of this name, and what comes
// after that cookie. It searches for the name, since a header may have as many
// other cookies as fit its megabyte. Around a name only space and tab are skipped:
// a Unicode space is part of it (RFC 6265bis §5.7).
func cutCookie(line, name string) (value, rest string, ok bool) {
	for {
		at := strings.Index(line, name)
		if at < 0 {
			return "", "", false
		}
		// A cookie that has our name anywhere but in front is another one.
		before := strings.TrimRight(line[:at], " \t")
		first := before == "" || before[len(before)-1] == ';'
		var pair string
		pair, line, _ = strings.Cut(line[at+len(name):], ";")
		if pair = strings.TrimLeft(pair, " \t"); first && pair != "" && pair[0] == '=' {
			return pair[len("="):], line, true
		}
	}
}

func trimBlanks(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

func contains(ids []string, id string) bool {
	for _, other := range ids {
		if other == id {
			return true
		}
	}
	return false
}

// setCookie returns the Set-Cookie value for an id, in the order in which
// express-session writes the attributes. It never has Max-Age; a zero expires
// means until the browser closes.
func (m *Manager) setCookie(id string, expires time.Time, encrypted bool) string {
	c := &m.config.Cookie
	b := append(append(make([]byte, 0, 256), c.Name...), '=')
	return string(c.appendAttributes(m.signer.appendSigned(b, id), expires, encrypted))
}

// clearCookie returns the Set-Cookie value that removes the cookie.
func (m *Manager) clearCookie(encrypted bool) string {
	c := &m.config.Cookie
	return string(c.appendAttributes([]byte(c.Name+"="), time.Unix(0, 0), encrypted))
}

func (c *Cookie) appendAttributes(b []byte, expires time.Time, encrypted bool) []byte {
	if c.Domain != "" {
		b = append(append(b, "; Domain="...), c.Domain...)
	}
	b = append(append(b, "; Path="...), c.Path...)
	if !expires.IsZero() {
		b = append(b, "; Expires="...)
		b = expires.UTC().AppendFormat(b, http.TimeFormat)
	}
	if c.HTTPOnly == HTTPOnlyAlways {
		b = append(b, "; HttpOnly"...)
	}
	if c.secure(encrypted) {
		b = append(b, "; Secure"...)
	}
	if c.Partitioned {
		b = append(b, "; Partitioned"...)
	}
	if c.Priority != "" {
		b = append(append(b, "; Priority="...), c.Priority...)
	}
	if s := c.sameSite(encrypted); s != "" {
		b = append(append(b, "; SameSite="...), s...)
	}
	return b
}

// secure reports whether the cookie gets the Secure attribute in a response to
// a request that came encrypted or not.
func (c *Cookie) secure(encrypted bool) bool {
	return c.Secure == SecureAlways || c.Secure == SecureAuto && encrypted
}

// sameSite returns the value of the SameSite attribute, or "" for none.
func (c *Cookie) sameSite(encrypted bool) string {
	switch c.SameSite {
	case SameSiteStrict:
		return "Strict"
	case SameSiteNone:
		return "None"
	case SameSiteAuto:
		if c.secure(encrypted) {
			return "None"
		}
	case InsecureSameSiteOmitted:
		return ""
	}
	return "Lax"
}

// covers reports whether the cookie goes with a request for this path
// (RFC 6265bis §5.1.4): /admin covers /admin and /admin/x but not /administrator.
func (c *Cookie) covers(path string) bool {
	rest, ok := strings.CutPrefix(path, c.Path)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(c.Path, "/"))
}

// encrypted reports whether the visitor's side of the request is encrypted:
// by TLS, or by a trusted proxy's word. Of several protocols in the header the
// first one counts, as in express-session.
func (m *Manager) encrypted(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if len(m.proxies) == 0 {
		return false
	}
	proto, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return strings.EqualFold(strings.TrimSpace(proto), "https") && m.trusted(r.RemoteAddr)
}

func (m *Manager) trusted(remote string) bool {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := at.Addr().Unmap().WithZone("")
	for _, proxy := range m.proxies {
		if proxy.Contains(addr) {
			return true
		}
	}
	return false
}

// deliverable returns nil if the browser will keep a new session cookie that
// the response to r sets, and else an error that says why it won't.
func (m *Manager) deliverable(r *http.Request) error {
	c := &m.config.Cookie
	if c.Secure == SecureAlways && !m.encrypted(r) && !isLocalhost(r.Host) {
		return ErrInsecureRequest
	}
	// A form that a foreign page posts comes without the visitor's Lax or
	// Strict cookie; were a new session set in the answer, it would replace
	// the visitor's own.
	if s := c.sameSite(m.encrypted(r)); (s == "Lax" || s == "Strict") &&
		r.Header.Get("Sec-Fetch-Site") == "cross-site" && !safeMethod(r.Method) {
		return ErrCrossSite
	}
	return nil
}

// strayed reports whether the request may lack the visitor's cookie although the
// browser has it: a link on another site was followed, and SameSite is Strict.
func (m *Manager) strayed(r *http.Request) bool {
	return m.config.Cookie.SameSite == SameSiteStrict && r.Header.Get("Sec-Fetch-Site") == "cross-site"
}

func safeMethod(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// isLocalhost reports whether browsers trust the host as if it were encrypted
// (W3C Secure Contexts §3.1).
func isLocalhost(hostport string) bool {
	host := strings.ToLower(strings.TrimSuffix((&url.URL{Host: hostport}).Hostname(), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
