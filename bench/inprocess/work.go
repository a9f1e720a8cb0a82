// Package inprocess measures what sessions cost inside one process: handlers
// are called directly, without sockets, in Pillbox and in its peers.
package inprocess

import (
	"errors"
	"fmt"
	"strings"
)

// A work is what a handler does with the session of its request.
type work int

const (
	untouched work = iota // nothing
	read                  // one value, which must be 1
	change                // one value, to one that it never had
	create                // one value, 1, in a session that is new
	probe                 // one value, which must not be there
	expect                // one value, which must be what change left
	prepare               // puts job.values
)

// A job is what all requests to one site share.
type job struct {
	work    work
	changes int            // how often change has run
	values  map[string]any // what prepare puts
}

var (
	errOther = errors.New("the session holds another value than was put into it")
	errFound = errors.New("a request without a valid session found one")
)

// ops are one implementation's way of using the session of a request in the
// context C, as its users do it. They are all that a handler needs.
type ops[C any] struct {
	get func(C) (n int, ok bool, err error) // the value under "count"
	set func(c C, n int) error              // that value; and save, where that is not done by itself
	put func(c C, values map[string]any) error
}

// do does the job's work.
func (o ops[C]) do(j *job, c C) error {
	switch j.work {
	case read:
		return o.want(c, 1)
	case change:
		j.changes++
		return o.set(c, 1+j.changes)
	case create:
		return o.set(c, 1)
	case probe:
		if _, ok, err := o.get(c); err != nil {
			return err
		} else if ok {
			return errFound
		}
	case expect:
		return o.want(c, 1+j.changes)
	case prepare:
		return o.put(c, j.values)
	}
	return nil
}

func (o ops[C]) want(c C, want int) error {
	n, ok, err := o.get(c)
	if err != nil {
		return err
	}
	if !ok || n != want {
		return errOther
	}
	return nil
}

// values returns this many values for a session, "count" among them.
func values(n int) map[string]any {
	m := map[string]any{"count": 1}
	for i := range n - 1 {
		m[fmt.Sprint("value", i)] = "twenty bytes of data"
	}
	return m
}

// idle is a small session: what a visitor leaves who has put one thing into it.
func idle() map[string]any { return map[string]any{"pills": []string{"Ibuprofen"}} }

// large is a session close to 256 KiB, where Pillbox has its limit by default.
func large() map[string]any {
	return map[string]any{"count": 1, "big": strings.Repeat("x", 250<<10)}
}

// A site is one handler behind one implementation of sessions.
type site interface {
	// call sends a request with these Cookie headers. It fails unless the
	// answer is 200. Not for concurrent use.
	call(cookies []string) error

	// cookie returns what the answer before set, as a Cookie header has it;
	// empty: none.
	cookie() string

	// job is what the handler does; for the caller to change between calls.
	job() *job

	close() error
}

// ask has the site do the work for these cookies.
func ask(s site, w work, cookies ...string) error {
	s.job().work = w
	return s.call(cookies)
}

// begin starts a session with these values and returns its cookie.
func begin(s site, values map[string]any) (string, error) {
	s.job().values = values
	if err := ask(s, prepare); err != nil {
		return "", err
	}
	if s.cookie() == "" {
		return "", errors.New("a new session set no cookie")
	}
	return s.cookie(), nil
}

// check finds out whether the site does the works: who errs must not look fast.
func check(s site) error {
	cookie, err := begin(s, values(2))
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := ask(s, read, cookie); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if err := ask(s, change, cookie); err != nil {
		return fmt.Errorf("change: %w", err)
	}
	if s.cookie() != "" {
		cookie = s.cookie() // of a store that keeps the values in the cookie
	}
	if err := ask(s, expect, cookie); err != nil {
		return fmt.Errorf("read after change: %w", err)
	}
	if err := ask(s, probe); err != nil {
		return fmt.Errorf("read without a session: %w", err)
	}
	if err := ask(s, probe, forge(cookie, 1)); err != nil {
		return fmt.Errorf("read with a forged cookie: %w", err)
	}
	if err := ask(s, create); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if err := ask(s, read, s.cookie()); err != nil {
		return fmt.Errorf("read after create: %w", err)
	}
	return nil
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// forge returns a cookie of the same form that nobody issued: it ends in other
// characters, which is where signed cookies have the signature.
func forge(cookie string, n int) string {
	b := []byte(cookie)
	end := len(b) - 4 // behind it may be padding
	for i := range 4 {
		old := strings.IndexByte(base64url, b[end-1-i])
		b[end-1-i] = base64url[(max(old, 0)+1+n%61)%len(base64url)]
		n /= 61
	}
	return string(b)
}
