package storeurl

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An address is a store's URL, taken apart. What is wrong with its options is
// collected until it is asked for.
//
// None of the errors quotes the URL, or what the errors of net/url quote of it:
// there may be a password in it, cut where one would not look for it.
type address struct {
	scheme   string
	user     string
	password string
	hosts    []string // host or host:port, as given; at least one
	path     string   // decoded, without the first slash
	options  url.Values
	known    []string // options that were asked for
	errs     []error
}

// parseAddress takes apart SCHEME://USER:PASSWORD@HOST,HOST/PATH?OPTIONS.
func parseAddress(text, form string) (*address, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	rest, ok := strings.CutPrefix(rest, "//")
	if !ok {
		return nil, fmt.Errorf("store %s: want %s", scheme, form)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	// net/url knows no list of hosts, so that it gets one in their place.
	authority, tail := rest[:end], rest[end:]
	if strings.Contains(tail, "@") && !strings.Contains(authority, "@") {
		// The user name or the password goes on there. Whatever is said of
		// the parts would show one of it.
		return nil, special(scheme)
	}
	user, hosts := "", authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, hosts = authority[:at+1], authority[at+1:]
	}
	u, err := url.Parse("store://" + user + "hosts" + tail)
	if err != nil || u.Fragment != "" || strings.Count(authority, "@") > 1 {
		return nil, special(scheme)
	}
	a := &address{scheme: scheme, hosts: strings.Split(hosts, ","), path: strings.TrimPrefix(u.Path, "/")}
	a.user = u.User.Username()
	a.password, _ = u.User.Password()
	for _, host := range a.hosts {
		if host == "" {
			return nil, fmt.Errorf("store %s: names no host: want %s", scheme, form)
		}
	}
	if a.options, err = url.ParseQuery(u.RawQuery); err != nil {
		return nil, fmt.Errorf("store %s: the options behind the question mark cannot be read: want NAME=VALUE&NAME=VALUE", scheme)
	}
	return a, nil
}

func special(scheme string) error {
	return fmt.Errorf("store %s: the URL cannot be read: write what is special in user name and password as %%XX, "+
		"such as %%40 for @, %%2F for /, %%3F for ? and %%23 for #", scheme)
}

// addrs returns the hosts as host:port.
func (a *address) addrs(port string) []string {
	var addrs []string
	for _, host := range a.hosts {
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), port)
		}
		addrs = append(addrs, host)
	}
	return addrs
}

// single refuses a list of hosts.
func (a *address) single() {
	if len(a.hosts) > 1 {
		a.errs = append(a.errs, fmt.Errorf("store %s: names %d hosts: want one", a.scheme, len(a.hosts)))
	}
}

// text returns an option, or fallback if it is not there.
func (a *address) text(name, fallback string) string {
	a.known = append(a.known, name)
	values, ok := a.options[name]
	if !ok {
		return fallback
	}
	if len(values) > 1 {
		a.wrong(name, "is given %d times", len(values))
	}
	return values[0]
}

func (a *address) wrong(name, format string, args ...any) {
	a.errs = append(a.errs, fmt.Errorf("store %s: the option %s %s", a.scheme, name, fmt.Sprintf(format, args...)))
}

// flag returns an option that is true or false; absent says what it is if it is
// not there.
func (a *address) flag(name string, absent bool) bool {
	switch text := a.text(name, strconv.FormatBool(absent)); text {
	case "true":
		return true
	case "false":
		return false
	default:
		a.wrong(name, "is %q: want true or false", text)
		return false
	}
}

// duration returns an option that is a time; zero if it is not there.
func (a *address) duration(name string) time.Duration {
	text := a.text(name, "0s")
	d, err := time.ParseDuration(text)
	if err != nil {
		a.wrong(name, "is %q: want a time with its unit, such as 90s or 5m, or a negative one for never", text)
	}
	return d
}

// number returns an option that is a whole number from zero on; zero if it is
// not there.
func (a *address) number(name string) int {
	text := a.text(name, "0")
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		a.wrong(name, "is %q: want a whole number", text)
	}
	return n
}

// rest returns the options that nobody has asked for, for a driver that has
// options of its own.
func (a *address) rest() url.Values {
	rest := url.Values{}
	for name, values := range a.options {
		if !slices.Contains(a.known, name) {
			rest[name] = values
		}
	}
	return rest
}

// wrongs returns what is wrong with the options that were asked for.
func (a *address) wrongs() error { return errors.Join(a.errs...) }

// wrongsOrUnknown is wrongs where the driver has no options of its own.
func (a *address) wrongsOrUnknown() error {
	for _, name := range slices.Sorted(maps.Keys(a.rest())) {
		a.unknown(name)
	}
	return a.wrongs()
}

func (a *address) unknown(name string) {
	a.errs = append(a.errs, fmt.Errorf("store %s: there is no option %q: want %s", a.scheme, name, strings.Join(a.known, ", ")))
}

// refused says that a driver does not take what it was given. Its words are
// quoted without the password.
func (a *address) refused(err error) error {
	words := err.Error()
	for _, secret := range []string{a.password, url.QueryEscape(a.password), url.PathEscape(a.password)} {
		if secret != "" {
			words = strings.ReplaceAll(words, secret, "xxxxx")
		}
	}
	return fmt.Errorf("store %s: %s", a.scheme, words)
}
