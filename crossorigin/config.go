package crossorigin

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jub0bs/cors"
	"github.com/jub0bs/cors/cfgerrors"
)

// Config configures a [Guard]. The zero value is safe: no page of another
// origin may read anything or change anything.
type Config struct {
	_ [0]func() // keyed literals only

	// Origins are trusted: their pages act with the visitor's session, as
	// pages of this server do. Trust only what is as well defended as this
	// server; script injected there reaches the sessions here.
	//
	// Each is an origin exactly as browsers send it (Fetch §3.2, RFC 6454
	// §6.1): scheme, host, and the port unless it is the scheme's own, in
	// lower case, with nothing after it: "https://app.example.com",
	// "http://localhost:5173". There are no patterns. Anything but https
	// has to be on a loopback host.
	//
	// Nil or empty means that no other origin is trusted.
	Origins []string

	// InsecureOrigins are trusted as Origins are, although whoever shares a
	// network with a visitor can speak in their name: http on a host that
	// is not loopback, or a scheme that is not of the web, such as
	// "chrome-extension://…".
	InsecureOrigins []string

	// Methods are those that pages of trusted origins may use in addition
	// to GET, HEAD and POST, which CORS allows always. Nil means PUT, PATCH
	// and DELETE; empty but not nil means none. "*" is refused.
	Methods []string

	// RequestHeaders are the headers that pages of trusted origins may send
	// in addition to Accept, Content-Type and X-Requested-With. "*" is
	// refused: it would cover Authorization.
	RequestHeaders []string

	// ResponseHeaders are the headers that pages of trusted origins may
	// read in addition to those that CORS exposes always (Cache-Control,
	// Content-Language, Content-Length, Content-Type, Expires,
	// Last-Modified and Pragma). Set-Cookie cannot be exposed.
	ResponseHeaders []string

	// MaxAge is for how long browsers may remember the answer to a
	// preflight, in whole seconds; a fraction is rounded up. Zero means 10
	// minutes and negative means not at all. More than 24 hours is refused;
	// browsers cap it themselves, Chromium at 2 hours.
	MaxAge time.Duration

	// Deny answers a request that is refused, in place of the function
	// [Deny], which nil means. Vary is set when it is called. It should
	// neither act on the request nor set a cookie: both are what whoever
	// forged the request is after.
	Deny func(w http.ResponseWriter, r *http.Request, v Verdict)
}

// A ConfigError says what is wrong with one field of a [Config].
type ConfigError struct {
	Field  string // the field, with an index where it is a list: "Origins[2]"
	Reason string // what is wrong with it and what would be right
}

// Error returns the field and the reason in one line.
func (e *ConfigError) Error() string {
	return "pillbox: crossorigin: " + e.Field + " " + e.Reason
}

// defaultMaxAge spares most preflights of a visit, and lets a change of the
// list reach everybody soon.
const defaultMaxAge = 10 * time.Minute

// New makes a [Guard], or reports everything that is wrong with cfg at once: a
// [*ConfigError] for each bad entry, joined by [errors.Join]. It copies what it
// needs of cfg.
func New(cfg Config) (*Guard, error) {
	g := &Guard{
		trusted: make(map[string]struct{}),
		forgery: http.NewCrossOriginProtection(),
		deny:    cfg.Deny,
	}
	if g.deny == nil {
		g.deny = Deny
	}
	var errs []error
	bad := func(field, reason string) {
		errs = append(errs, &ConfigError{Field: field, Reason: reason})
	}

	first := make(map[string]string) // origin → the field that has it first
	add := func(field, origin string, insecure bool) {
		if reason := checkOrigin(origin, insecure); reason != "" {
			bad(field, reason)
			return
		}
		if before, ok := first[origin]; ok {
			bad(field, fmt.Sprintf("%q is already in %s: remove one, so that removing it later removes it", origin, before))
			return
		}
		first[origin] = field
		g.trusted[origin] = struct{}{}
		if err := g.forgery.AddTrustedOrigin(origin); err != nil {
			bad(field, fmt.Sprintf("%q is no origin as browsers send it", origin))
		}
	}
	for i, origin := range cfg.Origins {
		add("Origins["+strconv.Itoa(i)+"]", origin, false)
	}
	for i, origin := range cfg.InsecureOrigins {
		add("InsecureOrigins["+strconv.Itoa(i)+"]", origin, true)
	}

	c, more := corsConfig(cfg)
	errs = append(errs, more...)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(g.trusted) == 0 {
		return g, nil
	}
	c.Origins = slices.Concat(cfg.Origins, cfg.InsecureOrigins)
	m, err := cors.NewMiddleware(c)
	if err != nil { // each entry passed on its own; still, never half a guard
		return nil, &ConfigError{Field: "Config", Reason: "is refused: " + err.Error()}
	}
	// In this mode cors tells the browser what is allowed although the
	// preflight asked for more. Only trusted origins get that far.
	m.SetDebug(true)
	g.cors = m
	return g, nil
}

// corsConfig translates all of cfg but the origins, and checks it entry by
// entry, because cors names the values but not where they stand.
func corsConfig(cfg Config) (cors.Config, []error) {
	methods := cfg.Methods
	if methods == nil {
		methods = []string{http.MethodPut, http.MethodPatch, http.MethodDelete}
	}
	c := cors.Config{
		Credentialed:    true,
		Methods:         slices.Clone(methods),
		RequestHeaders:  append([]string{"Accept", "Content-Type", "X-Requested-With"}, cfg.RequestHeaders...),
		ResponseHeaders: slices.Clone(cfg.ResponseHeaders),
		// What is insecure has been judged by then, field by field.
		DangerouslyTolerateInsecureOrigins: true,
	}
	var errs []error
	each := func(field string, list []string, put func(*cors.Config, []string)) {
		for i, value := range list {
			at := field + "[" + strconv.Itoa(i) + "]"
			if value == "*" {
				errs = append(errs, &ConfigError{at, `"*" would allow everything with the visitor's session: name what is needed`})
				continue
			}
			probe := cors.Config{Origins: []string{"https://example.com"}, Credentialed: true}
			put(&probe, []string{value})
			if _, err := cors.NewMiddleware(probe); err != nil {
				errs = append(errs, &ConfigError{at, fmt.Sprintf("%q cannot be allowed: %s", value, reasonOf(err))})
			}
		}
	}
	each("Methods", cfg.Methods, func(c *cors.Config, v []string) { c.Methods = v })
	each("RequestHeaders", cfg.RequestHeaders, func(c *cors.Config, v []string) { c.RequestHeaders = v })
	each("ResponseHeaders", cfg.ResponseHeaders, func(c *cors.Config, v []string) { c.ResponseHeaders = v })

	const longest = 24 * time.Hour
	switch age := cfg.MaxAge; {
	case age == 0:
		c.MaxAgeInSeconds = int(defaultMaxAge / time.Second)
	case age < 0:
		c.MaxAgeInSeconds = -1
	case age > longest:
		errs = append(errs, &ConfigError{"MaxAge", "is " + age.String() + "; no browser remembers a preflight for more than 24h"})
	default:
		c.MaxAgeInSeconds = int((age + time.Second - 1) / time.Second)
	}
	return c, errs
}

// reasonOf says why cors refuses a method or header name.
func reasonOf(err error) string {
	var method *cfgerrors.UnacceptableMethodError
	var header *cfgerrors.UnacceptableHeaderNameError
	reason := "invalid"
	switch {
	case errors.As(err, &method):
		reason = method.Reason
	case errors.As(err, &header):
		reason = header.Reason
	}
	switch reason {
	case "forbidden":
		return "browsers let no page use it"
	case "prohibited":
		return "it has no meaning there"
	}
	return "it is not a valid name"
}

// checkOrigin returns what is wrong with an origin that is to be trusted, or "".
// The reasons are about what people write by mistake; whatever gets past them
// is judged by cors, which accepts only what a browser could send.
func checkOrigin(origin string, insecure bool) string {
	quoted := strconv.QuoteToASCII(origin)
	scheme, rest, hasScheme := strings.Cut(origin, "://")
	switch {
	case origin == "":
		return "is empty: remove it, or look for a variable that is not set"
	case len(origin) > 400:
		return "is longer than any origin"
	case strings.Contains(origin, "@"): // and so not quoted: it may hold a password
		return "has a user name in it: an origin is scheme, host and port"
	case strings.TrimSpace(origin) != origin:
		return quoted + " has spaces around it"
	case strings.ContainsAny(origin, ", \t\n"):
		return quoted + " holds more than one: make each an entry of its own"
	case strings.Contains(origin, "*"):
		return quoted + " is a pattern: it would let sites that you do not know act with your visitors' sessions; list each origin"
	case strings.EqualFold(origin, "null"):
		return quoted + " is what every sandboxed page and local file sends: it is nobody in particular"
	case !hasScheme:
		return quoted + " has no scheme: write it as in https://app.example.com"
	case scheme == "file":
		return quoted + " is sent by no browser: pages opened from files have the origin null"
	}
	if i := strings.IndexAny(rest, "/?#\\"); i >= 0 {
		if rest[i:] == "/" {
			return quoted + " ends in a slash, which browsers do not send: remove it"
		}
		return quoted + " has a path, query or fragment: an origin is scheme, host and port"
	}
	for _, c := range []byte(origin) {
		switch {
		case c >= 0x80:
			return quoted + " is not ASCII: write the host as browsers send it, beginning with xn--"
		case 'A' <= c && c <= 'Z':
			return quoted + " has upper-case letters, which browsers do not send: write " + strconv.QuoteToASCII(strings.ToLower(origin))
		}
	}
	if reason := checkPort(scheme, rest); reason != "" {
		return quoted + " " + reason
	}
	_, err := cors.NewMiddleware(cors.Config{
		Origins:                            []string{origin},
		Credentialed:                       true,
		DangerouslyTolerateInsecureOrigins: insecure,
	})
	var conflict *cfgerrors.IncompatibleOriginPatternError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &conflict):
		return quoted + " is neither https nor on a loopback host: whoever shares a network with a visitor could act in its name; " +
			"use https, or name it in InsecureOrigins"
	}
	return quoted + " is no origin as browsers send it"
}

// checkPort returns what is wrong with the port after a host, or "".
func checkPort(scheme, hostPort string) string {
	i := strings.LastIndexByte(hostPort, ':')
	if i < strings.LastIndexByte(hostPort, ']') || i < 0 { // none, or within an IPv6 address
		return ""
	}
	port := hostPort[i+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || n == 0 || port != strconv.FormatUint(n, 10):
		return "has a port that is not a number from 1 to 65535"
	case scheme == "https" && n == 443, scheme == "http" && n == 80:
		return "names the scheme's own port, which browsers leave out: remove :" + port
	}
	return ""
}
