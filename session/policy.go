package session

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// ConfigError says which field of a [Config] is wrong, and why.
type ConfigError struct {
	Field  string // as in Go: "Cookie.Domain"
	Reason string // what is wrong and what to do
}

// Error returns the field and the reason in one line.
func (e *ConfigError) Error() string {
	return "pillbox: config: " + e.Field + " " + e.Reason
}

const (
	defaultIdle         = 30 * time.Minute
	defaultAbsolute     = 24 * time.Hour
	defaultMaxBytes     = 256 << 10
	defaultStoreTimeout = 5 * time.Second
	defaultTouchEvery   = time.Minute

	// never is the idle timeout of a session that has none: stores need a
	// deadline, and some of them read a missing one as the end.
	never = 10 * 365 * 24 * time.Hour

	// maxCookieAge is what browsers cut longer lifetimes to (RFC 6265bis §5.5).
	maxCookieAge = 400 * 24 * time.Hour

	// maxTimeout keeps sums of a moment and a timeout within a time.Time and
	// the columns of the stores.
	maxTimeout = never

	minSecretBytes = 16
	// maxCookieBytes bounds a cookie's name and value together (RFC 6265bis §5.5).
	maxCookieBytes = 4096
)

// placeholders are secrets that stand in tutorials, documentation and answers.
var placeholders = []string{
	"keyboard cat", "secret", "your-secret", "your-secret-key", "your_secret_key",
	"my-secret", "mysecret", "supersecret", "super-secret", "changeme", "change-me",
	"change me", "session-secret", "session_secret", "shhhh", "yoursecretkey",
	"your-session-secret", "replace-me", "please-change-me", "default-secret",
}

// withDefaults returns the configuration with each zero value replaced by what
// it means, or an error that joins a *ConfigError for each field that is wrong.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	wrong := func(field, format string, args ...any) {
		errs = append(errs, &ConfigError{Field: field, Reason: fmt.Sprintf(format, args...)})
	}

	if c.Store == nil {
		wrong("Store", "is missing: choose one, such as sqlitestore for one machine or memstore for tests")
	}
	c.checkSecrets(wrong)
	c.Cookie.setDefaults(wrong)
	c.setTimes(wrong)

	switch {
	case c.MaxBytes == 0:
		c.MaxBytes = defaultMaxBytes
	case c.MaxBytes > 0 && c.MaxBytes < 1024:
		wrong("MaxBytes", "is %d: a session needs room for at least 1024 bytes", c.MaxBytes)
	}
	if c.Unset != UnsetKeep && c.Unset != UnsetDestroy {
		wrong("Unset", "is %d, which is no UnsetPolicy", c.Unset)
	}
	for i, key := range c.EncryptionKeys {
		if len(key) != 32 {
			wrong("EncryptionKeys", "has a key of %d bytes at index %d: AES-256 needs 32", len(key), i)
		} else if bytes.Count(key, key[:1]) == len(key) {
			wrong("EncryptionKeys", "has a key of one repeated byte at index %d: want random bytes", i)
		}
	}
	if c.MaxPerUser < 0 {
		wrong("MaxPerUser", "is negative: zero means no bound")
	}
	if _, ok := c.Store.(UserIndex); c.MaxPerUser > 0 && c.Store != nil && !ok {
		wrong("MaxPerUser", "needs a store that implements session.UserIndex, which %T does not", c.Store)
	}
	for _, proxy := range c.TrustedProxies {
		if _, err := parseNetwork(proxy); err != nil {
			wrong("TrustedProxies", "has %q: want an address like 10.0.0.7 or a network like 10.0.0.0/8", proxy)
		}
	}
	return c, errors.Join(errs...)
}

type wrongFunc func(field, format string, args ...any)

func (c *Config) checkSecrets(wrong wrongFunc) {
	const remedy = "make one with: openssl rand -base64 32"
	if len(c.Secrets) == 0 {
		wrong("Secrets", "is empty: %s", remedy)
		return
	}
	if i := slices.Index(c.Secrets, ""); i >= 0 {
		wrong("Secrets", "has an empty secret at index %d (is an environment variable unset?): %s", i, remedy)
		return
	}
	if c.InsecureSecrets {
		return
	}
	first := c.Secrets[0]
	switch {
	case slices.Contains(placeholders, strings.ToLower(strings.TrimSpace(first))):
		wrong("Secrets", "begins with a placeholder that everybody knows: %s, or set InsecureSecrets if an Express application uses it", remedy)
	case len(first) < minSecretBytes:
		wrong("Secrets", "begins with a secret of %d bytes, fewer than %d: %s, or set InsecureSecrets if an Express application uses it", len(first), minSecretBytes, remedy)
	case strings.Count(first, first[:1]) == len(first):
		wrong("Secrets", "begins with a secret of one repeated character: %s", remedy)
	}
}

func (c *Config) setTimes(wrong wrongFunc) {
	for _, t := range []struct {
		field string
		d     time.Duration
	}{
		{"IdleTimeout", c.IdleTimeout},
		{"AbsoluteTimeout", c.AbsoluteTimeout},
		{"TouchEvery", c.TouchEvery},
		{"RenewGrace", c.RenewGrace},
		{"StoreTimeout", c.StoreTimeout},
	} {
		if t.d > 0 && t.d < time.Millisecond {
			wrong(t.field, "is %v, less than a millisecond: is a unit missing, as in 30 * time.Minute?", t.d)
		}
		if t.d > maxTimeout {
			wrong(t.field, "is %v, more than ten years: a negative value means no limit", t.d)
		}
	}
	if c.RenewGrace < 0 {
		wrong("RenewGrace", "is negative: zero means no grace")
	}
	if c.RenewGrace > time.Minute {
		wrong("RenewGrace", "is %v: an id that was replaced may live on for at most a minute", c.RenewGrace)
	}
	switch {
	case c.AbsoluteTimeout == 0:
		c.AbsoluteTimeout = defaultAbsolute
	case c.AbsoluteTimeout < 0:
		c.AbsoluteTimeout = 0 // from here on, zero means none
	}
	if c.AbsoluteTimeout > 0 && c.Cookie.MaxAge > c.AbsoluteTimeout {
		wrong("Cookie.MaxAge", "is %v, longer than AbsoluteTimeout (%v) lets a session live: raise AbsoluteTimeout, or make it negative for no limit",
			c.Cookie.MaxAge, c.AbsoluteTimeout)
	}
	switch idle := c.idle(); {
	case c.TouchEvery == 0:
		c.TouchEvery = min(idle/10, defaultTouchEvery)
	case c.TouchEvery < 0:
		c.TouchEvery = 0
	case c.TouchEvery > idle/2:
		wrong("TouchEvery", "is %v, more than half the idle timeout of %v", c.TouchEvery, idle)
	}
	if c.StoreTimeout == 0 {
		c.StoreTimeout = defaultStoreTimeout
	}
}

// idle returns the idle timeout of a session that has no lifetime of its own.
func (c *Config) idle() time.Duration {
	switch {
	case c.IdleTimeout < 0:
		return never
	case c.IdleTimeout > 0:
		return c.IdleTimeout
	case c.Cookie.MaxAge > 0:
		return c.Cookie.MaxAge
	case c.idleFallback > 0:
		return c.idleFallback
	}
	return defaultIdle
}

func (c *Cookie) setDefaults(wrong wrongFunc) {
	if c.Secure < SecureAlways || c.Secure > InsecurePlainHTTP {
		wrong("Cookie.Secure", "is %d, which is no SecurePolicy", c.Secure)
	}
	if c.HTTPOnly < HTTPOnlyAlways || c.HTTPOnly > InsecureScriptAccess {
		wrong("Cookie.HTTPOnly", "is %d, which is no HTTPOnlyPolicy", c.HTTPOnly)
	}
	if c.SameSite < SameSiteLax || c.SameSite > InsecureSameSiteOmitted {
		wrong("Cookie.SameSite", "is %d, which is no SameSite", c.SameSite)
	}
	if c.Path == "" {
		c.Path = "/"
	}
	if c.Name == "" {
		switch {
		case c.Secure != SecureAlways:
			c.Name = "session"
		case c.Domain != "" || c.Path != "/":
			c.Name = "__Secure-session"
		default:
			c.Name = "__Host-session"
		}
	}
	c.checkText(wrong)

	// Browsers compare the prefixes in any case (RFC 6265bis §5.7).
	lower := strings.ToLower(c.Name)
	host, secure := strings.HasPrefix(lower, "__host-"), strings.HasPrefix(lower, "__secure-")
	if (host || secure) && c.Secure != SecureAlways {
		wrong("Cookie.Secure", "must stay SecureAlways for the name %q: browsers drop the cookie otherwise", c.Name)
	}
	if host && c.Domain != "" {
		wrong("Cookie.Domain", "must be empty for the name %q: browsers drop the cookie otherwise", c.Name)
	}
	if host && c.Path != "/" {
		wrong("Cookie.Path", `must be "/" for the name %q: browsers drop the cookie otherwise`, c.Name)
	}
	if c.SameSite == SameSiteNone && c.Secure != SecureAlways {
		wrong("Cookie.SameSite", "may be SameSiteNone only with SecureAlways: browsers drop the cookie otherwise")
	}
	if c.Partitioned && c.Secure != SecureAlways {
		wrong("Cookie.Partitioned", "needs SecureAlways: browsers drop the cookie otherwise")
	}
	switch {
	case c.MaxAge < 0:
		wrong("Cookie.MaxAge", "is negative: zero means until the browser closes")
	case c.MaxAge > maxCookieAge:
		wrong("Cookie.MaxAge", "is %v: browsers keep no cookie for more than 400 days", c.MaxAge)
	case c.MaxAge%time.Millisecond != 0:
		wrong("Cookie.MaxAge", "is %v: want whole milliseconds", c.MaxAge)
	}
}

// checkText checks the parts of the cookie that are sent as they are.
func (c *Cookie) checkText(wrong wrongFunc) {
	if !isToken(c.Name) {
		wrong("Cookie.Name", "is %q: want letters, digits and !#$%%&'*+-.^_`|~ only (RFC 6265 §4.1.1)", c.Name)
	} else if most := maxCookieBytes - maxCookieValue; len(c.Name) > most {
		wrong("Cookie.Name", "has %d bytes: want at most %d, since browsers drop a cookie whose name and value exceed %d",
			len(c.Name), most, maxCookieBytes)
	}
	if c.Domain != "" && !isDomain(c.Domain) {
		wrong("Cookie.Domain", "is %q: want a host name such as example.com", c.Domain)
	}
	if !strings.HasPrefix(c.Path, "/") || len(c.Path) > 1024 {
		wrong("Cookie.Path", "is %q: want a path of at most 1024 bytes that begins with a slash", c.Path)
	}
	for i := range len(c.Path) {
		if b := c.Path[i]; b < ' ' || b > '~' || b == ';' {
			wrong("Cookie.Path", "is %q: want printable ASCII without a semicolon", c.Path)
			break
		}
	}
	switch c.Priority {
	case "", PriorityLow, PriorityMedium, PriorityHigh:
	default:
		wrong("Cookie.Priority", "is %q: want Low, Medium or High", c.Priority)
	}
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isDigit(c) && ('a' > c|0x20 || c|0x20 > 'z') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isDomain reports whether s is a host name as a cookie's Domain has it, with
// at least two labels: browsers refuse a Domain that is a top-level one.
func isDomain(s string) bool {
	labels := strings.Split(strings.TrimPrefix(s, "."), ".")
	if len(s) > 253 || len(labels) < 2 {
		return false
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return false
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isDigit(c) && c != '-' && ('a' > c|0x20 || c|0x20 > 'z') {
				return false
			}
		}
	}
	return true
}

func parseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(addr, addr.BitLen()), nil
}
