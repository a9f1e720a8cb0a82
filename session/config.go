package session

import (
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Config configures a [Manager]. Store and Secrets are required; the zero value
// of every other field is safe.
type Config struct {
	_ [0]func() // keyed literals only

	// Store keeps the sessions. Required: there is no default that would
	// lose them at a restart without a word.
	Store Store

	// Secrets sign the cookies. The first one signs, each one verifies, so
	// a new secret goes to the front and an old one stays behind it until
	// the cookies that it signed have expired. Required. The first must have
	// at least 16 bytes and not be one of a few well-known placeholders; 32
	// random bytes are best:
	//
	//	openssl rand -base64 32
	Secrets []string

	// InsecureSecrets accepts a short or well-known secret, such as one that
	// an Express application already uses.
	InsecureSecrets bool

	// Cookie describes the session cookie.
	Cookie Cookie

	// IdleTimeout ends a session that no request uses for this long. Zero
	// means Cookie.MaxAge, or 30 minutes where that is zero too; negative
	// means never (in fact, ten years). A session with a lifetime of its own
	// ([Session.SetMaxAge], or one that an Express application gave it) idles
	// for that long instead, yet never longer than an IdleTimeout that is set.
	// OWASP ASVS 5.0 §7.3.1.
	IdleTimeout time.Duration

	// AbsoluteTimeout ends a session this long after it began or was last
	// signed in to, whatever its use. Zero means 24 hours; negative means
	// never. OWASP ASVS 5.0 §7.3.2.
	AbsoluteTimeout time.Duration

	// TouchEvery is how old the record of a session's last use may grow
	// before a request renews it: a session may end this much sooner than
	// IdleTimeout after its last request. Zero means a tenth of the idle
	// timeout, at most one minute; negative means to renew it in every
	// request that uses the session. It may not exceed half the idle timeout.
	TouchEvery time.Duration

	// Resave writes a session back in every request that carries it, even
	// if nothing changed, as express-session does by default.
	Resave bool

	// SaveUninitialized stores a session, and sets a cookie, for every
	// visitor, even if nothing was put into it, as express-session does by
	// default. Preflights get none.
	SaveUninitialized bool

	// Rolling sends the cookie again in every response to a request that
	// carries a live session, so that the browser's copy lives on.
	Rolling bool

	// Unset says what [Session.Unset] does to what is stored. Zero keeps it.
	Unset UnsetPolicy

	// GenerateID makes the ids of new sessions from a cryptographically
	// secure source. Nil means 24 random bytes in base64url, as
	// express-session has it. An id has 22 to 128 characters from
	// A–Z a–z 0–9 - _ . ~ : + = @. It must be safe for concurrent use.
	GenerateID func(r *http.Request) (string, error)

	// TrustedProxies lists the addresses ("10.0.0.7") and networks
	// ("10.0.0.0/8") of proxies whose X-Forwarded-Proto header is believed.
	// Empty means none: only a request's own TLS counts.
	TrustedProxies []string

	// HashIDs makes the store see only the SHA-256 of ids, so that who reads
	// the store cannot use its sessions. An Express application cannot share
	// such a store.
	HashIDs bool

	// EncryptionKeys seals the sessions' data with AES-256-GCM, bound to
	// their ids. Each key has 32 bytes. The first one seals, each one opens;
	// empty means no encryption. A session stored in the clear is refused,
	// unless InsecureUnsealed says otherwise. An Express application cannot
	// share such a store.
	EncryptionKeys [][]byte

	// InsecureUnsealed accepts sessions that were stored in the clear before
	// there were EncryptionKeys; each is sealed when it next changes. While
	// it is set, who can write to the store can make up sessions.
	InsecureUnsealed bool

	// MaxBytes bounds the size of a session as stored. Zero means 256 KiB;
	// negative means no bound but the store's own.
	MaxBytes int

	// MaxPerUser bounds how many sessions one user is signed in to at a
	// time. Zero means no bound. It needs a store that implements
	// [UserIndex]. OWASP ASVS 5.0 §7.1.2.
	MaxPerUser int

	// RejectOverMax makes the sign-in that would exceed MaxPerUser fail with
	// [ErrTooManySessions]. Otherwise it ends the user's oldest session.
	// With RenewGrace an id that was replaced counts until its grace is over.
	RejectOverMax bool

	// RenewGrace is how long an id that [Session.Renew] replaced may still
	// be used, for reading only, by requests that were sent before the
	// browser had the new one. Zero means not at all. [Session.SignIn] and
	// [Session.Regenerate] never give any.
	RenewGrace time.Duration

	// StoreTimeout bounds each use of the store. Zero means 5 seconds;
	// negative means no bound but the request's own context.
	StoreTimeout time.Duration

	// ErrorHandler answers a request whose session could not be committed;
	// nothing of the handler's own response has been sent then, and nothing
	// will be. The request has no session. [Status] suggests a status code. Nil answers with that code
	// and one plain sentence. The error is logged either way.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)

	// Observe is told what happens to sessions, after it happened and while
	// the request waits. Nil means nobody is. It must be safe for concurrent
	// use, and must not use the session.
	Observe func(Event)

	// Logger gets a line about what needs an operator, at the levels Warn
	// and Error, and about the life of each session at the level Debug. It
	// never gets an id, a cookie or session data. Nil means [slog.Default].
	Logger *slog.Logger

	// idleFallback takes the place of 30 minutes, for the Express profiles.
	idleFallback time.Duration
}

// Format implements [fmt.Formatter]. It writes nothing of the configuration,
// which holds secrets.
func (c Config) Format(f fmt.State, _ rune) { fmt.Fprint(f, "session.Config{…}") }

// LogValue implements [slog.LogValuer], for handlers that do not format.
func (c Config) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Cookie describes the session cookie. Its zero value is the safest cookie that
// browsers know: __Host-session, Secure, HttpOnly, SameSite=Lax, and gone when
// the browser closes.
type Cookie struct {
	_ [0]func() // keyed literals only

	// Name is the cookie's name. Empty means "__Host-session"; with a Domain
	// or a Path other than "/" it means "__Secure-session", and without
	// Secure "session". An Express application's is "connect.sid".
	Name string

	// Domain makes the cookie go to all hosts below this one. Empty means
	// only to the host that set it, which is what a session wants.
	Domain string

	// Path limits the session to URLs below it, in whole segments
	// (RFC 6265bis §5.1.4). Empty means "/". It is no protection: pages of
	// one host can read one another.
	Path string

	// MaxAge is how long the browser keeps the cookie, counted anew whenever
	// it is sent: when the session begins, renews its id or changes, and,
	// with Config.Rolling, in every response. Zero means until the browser
	// closes. At most 400 days (RFC 6265bis §5.5) and Config.AbsoluteTimeout, in
	// whole milliseconds.
	MaxAge time.Duration

	// Secure says whether the cookie is kept to encrypted connections. Zero
	// keeps it to them. Browsers make an exception for http://localhost,
	// and so does Pillbox.
	Secure SecurePolicy

	// HTTPOnly says whether scripts are kept from the cookie. Zero keeps
	// them from it.
	HTTPOnly HTTPOnlyPolicy

	// SameSite says which requests from other sites carry the cookie. Zero
	// means [SameSiteLax].
	SameSite SameSite

	// Partitioned keeps a separate cookie for each top-level site that
	// embeds this one (CHIPS). It needs Secure.
	Partitioned bool

	// Priority is a hint to Chromium about which cookies to drop first.
	// Empty sends none.
	Priority Priority
}

// SecurePolicy says when the session cookie carries the Secure attribute.
type SecurePolicy int

const (
	// SecureAlways keeps the cookie to encrypted connections, and to
	// http://localhost. It is the default.
	SecureAlways SecurePolicy = iota

	// SecureAuto sends the attribute over encrypted connections, and a
	// cookie without it over plain ones: express-session's 'auto'.
	SecureAuto

	// InsecurePlainHTTP never sends the attribute: who listens on the
	// network can take over the session.
	InsecurePlainHTTP
)

// HTTPOnlyPolicy says whether the session cookie carries the HttpOnly attribute.
type HTTPOnlyPolicy int

const (
	// HTTPOnlyAlways keeps scripts from the cookie. It is the default.
	HTTPOnlyAlways HTTPOnlyPolicy = iota

	// InsecureScriptAccess lets every script of the page read the cookie.
	InsecureScriptAccess
)

// SameSite says which requests from other sites carry the session cookie.
type SameSite int

const (
	// SameSiteLax: only when a visitor follows a link. It is the default.
	SameSiteLax SameSite = iota

	// SameSiteStrict: none. A visitor who follows a link from elsewhere
	// arrives without the session.
	SameSiteStrict

	// SameSiteNone: all of them, those of hostile pages included. It needs
	// Secure and protection against cross-site requests.
	SameSiteNone

	// SameSiteAuto means None over encrypted connections and Lax over plain
	// ones: express-session's 'auto'.
	SameSiteAuto

	// InsecureSameSiteOmitted sends no attribute and leaves the choice to
	// the browser: express-session's default.
	InsecureSameSiteOmitted
)

// Priority is the cookie attribute of that name, which only Chromium knows.
type Priority string

// The priorities of a cookie.
const (
	PriorityLow    Priority = "Low"
	PriorityMedium Priority = "Medium"
	PriorityHigh   Priority = "High"
)

// UnsetPolicy says what [Session.Unset] does to what is stored.
type UnsetPolicy int

const (
	// UnsetKeep leaves the stored session as it was before the request.
	UnsetKeep UnsetPolicy = iota

	// UnsetDestroy ends it.
	UnsetDestroy
)

// ExpressV1 returns the configuration that express-session 1.x has by default,
// for an application that shares its sessions. Store and Secrets are still to
// be set. It is looser than the zero Config: the cookie travels over plain HTTP
// and without a SameSite attribute, every visitor gets a session, and no session
// has an absolute limit. Sessions whose cookie has no lifetime idle for a day,
// as most of Express's stores have it.
func ExpressV1() Config {
	return Config{
		Cookie: Cookie{
			Name:     "connect.sid",
			Secure:   InsecurePlainHTTP,
			SameSite: InsecureSameSiteOmitted,
		},
		AbsoluteTimeout:   -1,
		Resave:            true,
		SaveUninitialized: true,
		idleFallback:      24 * time.Hour,
	}
}

// ExpressV2 returns the configuration that express-session 2 is to have by
// default: like [ExpressV1], but sessions are stored only when something was
// put into them or changed, and an unset session is destroyed.
func ExpressV2() Config {
	c := ExpressV1()
	c.Resave = false
	c.SaveUninitialized = false
	c.Unset = UnsetDestroy
	return c
}

// AAL1 returns the idle and absolute timeouts of NIST SP 800-63B-4 §2.1.3,
// authenticator assurance level 1: no idle limit is asked for, so the absolute
// one is both.
//
//	cfg.IdleTimeout, cfg.AbsoluteTimeout = session.AAL1()
func AAL1() (idle, absolute time.Duration) { return 30 * 24 * time.Hour, 30 * 24 * time.Hour }

// AAL2 returns the idle and absolute timeouts of NIST SP 800-63B-4 §2.2.3.
func AAL2() (idle, absolute time.Duration) { return time.Hour, 24 * time.Hour }

// AAL3 returns the idle and absolute timeouts of NIST SP 800-63B-4 §2.3.3.
func AAL3() (idle, absolute time.Duration) { return 15 * time.Minute, 12 * time.Hour }
