package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/crossorigin"
	"github.com/pillboxgo/pillbox/internal/storeurl"
	"github.com/pillboxgo/pillbox/session"
)

// options are what the command line and the environment say; the command line
// wins.
type options struct {
	addr       string
	store      string
	users      string
	origins    []string
	proxies    []string
	cookieName string
	insecure   bool
	idle       time.Duration
	absolute   time.Duration
	secret     string // SESSION_SECRET
}

func parseOptions(args []string, getenv func(string) string, stderr io.Writer) (options, error) {
	env := func(name, fallback string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return fallback
	}
	defaultAddr := "localhost:8080"
	if port := getenv("PORT"); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
			return options{}, fmt.Errorf("PORT is %q: want a number from 0 to 65535", port)
		}
		defaultAddr = ":" + port
	}

	o := options{secret: getenv("SESSION_SECRET")}
	var origins, proxies string
	flags := flag.NewFlagSet("medicine", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.addr, "addr", defaultAddr, "`address` to listen on; PORT=8080 means :8080")
	flags.StringVar(&o.store, "store", "sqlite:medicine.db",
		"`URL` of where sessions are kept (SESSION_STORE):\n"+strings.Join(storeurl.Forms(), "\n"))
	flags.StringVar(&o.users, "users", "",
		"`URL` of where accounts are kept (USERS_STORE): memory:, or one of\n"+strings.Join(storeurl.DatabaseForms(), "\n")+
			"\n(default: the database of -store, in memory beside memory:, and\nsqlite:medicine.db beside a store that is no SQL database)")
	flags.StringVar(&origins, "origins", env("CORS_ORIGINS", "http://localhost:5173"),
		"comma-separated `origins` whose pages may use the session, beside the application's own; none for no other (CORS_ORIGINS)")
	flags.StringVar(&proxies, "trusted-proxies", getenv("TRUSTED_PROXIES"),
		"comma-separated addresses or networks of `proxies` whose X-Forwarded-Proto and\nX-Forwarded-For are believed (TRUSTED_PROXIES)")
	flags.StringVar(&o.cookieName, "cookie-name", "", "`name` of the session cookie; connect.sid for sharing with Express (default __Host-session)")
	flags.BoolVar(&o.insecure, "insecure-cookie", false,
		"send the cookie without Secure, for plain HTTP from other machines: whoever listens can take over sessions")
	flags.Func("idle", "end a session after this `time` without use; negative: never (default 30m)", duration(&o.idle))
	flags.Func("absolute", "end a session after this `time` whatever its use; negative: never (default 24h)", duration(&o.absolute))
	flags.Usage = func() {
		fmt.Fprintf(stderr, "Usage: medicine [flags]\n\nServes the Medicine application.\n"+
			"SESSION_SECRET holds the secrets that sign cookies, separated by commas, the newest first;\n"+
			"without it one is made and kept in medicine.secret.\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if flags.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q: medicine takes flags only, see -help", flags.Arg(0))
	}
	if o.insecure && (strings.HasPrefix(o.cookieName, "__Host-") || strings.HasPrefix(o.cookieName, "__Secure-")) {
		return options{}, fmt.Errorf("-insecure-cookie and -cookie-name %s contradict each other: browsers drop a cookie of this name without Secure; choose another name", o.cookieName)
	}
	if origins != "none" {
		o.origins = list(origins)
	}
	o.proxies = list(proxies)
	// Not the flags' defaults, which -help prints: there may be a password in them.
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["store"] {
		o.store = env("SESSION_STORE", o.store)
	}
	if !given["users"] {
		o.users = env("USERS_STORE", defaultUsers(o.store))
	}
	return o, nil
}

const memory = "memory:"

// defaultUsers returns where accounts are kept if only the store is named: as
// lasting as the sessions, and in as few places as will do.
func defaultUsers(store string) string {
	if store == memory || storeurl.IsDatabase(store) {
		return store
	}
	return "sqlite:medicine.db"
}

// duration returns what sets d by a flag.
func duration(d *time.Duration) func(string) error {
	return func(s string) (err error) {
		if *d, err = time.ParseDuration(s); err != nil {
			return errors.New("want a time with its unit, such as 90s, 30m or 12h")
		}
		return nil
	}
}

// list splits a comma-separated list and drops the space around its entries.
func list(s string) []string {
	var out []string
	for entry := range strings.SplitSeq(s, ",") {
		if entry = strings.TrimSpace(entry); entry != "" {
			out = append(out, entry)
		}
	}
	return out
}

func (o *options) secure() session.SecurePolicy {
	if o.insecure {
		return session.InsecurePlainHTTP
	}
	return session.SecureAlways
}

// explain turns each error about a field of the configuration into one about the
// flag or the variable that the field was set by.
func (o *options) explain(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, err := range joined.Unwrap() {
			all = append(all, o.explain(err))
		}
		return errors.Join(all...)
	}
	var field, reason string
	var ofSession *session.ConfigError
	var ofOrigins *crossorigin.ConfigError
	switch {
	case errors.As(err, &ofSession):
		field, reason = ofSession.Field, ofSession.Reason
	case errors.As(err, &ofOrigins):
		field, _, _ = strings.Cut(ofOrigins.Field, "[")
		reason = ofOrigins.Reason
	}
	if field == "Secrets" && o.secret == "" {
		return fmt.Errorf("%s %s", secretFile, reason)
	}
	if by, ok := setBy[field]; ok {
		return fmt.Errorf("%s %s", by, reason)
	}
	return err
}

var setBy = map[string]string{
	"AbsoluteTimeout": "-absolute",
	"Cookie.Name":     "-cookie-name",
	"IdleTimeout":     "-idle",
	"Origins":         "-origins (or CORS_ORIGINS)",
	"Secrets":         "SESSION_SECRET",
	"TrustedProxies":  "-trusted-proxies (or TRUSTED_PROXIES)",
}
