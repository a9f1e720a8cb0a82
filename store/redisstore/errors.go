package redisstore

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// A ServerError is what Redis answered instead of doing what it was asked, for
// [errors.As]. It names no key and no data.
type ServerError struct {
	text string
}

// Error returns Redis's own words, which begin with a code such as READONLY.
func (e *ServerError) Error() string { return e.text }

// newServerError keeps the words of a client's error, but for what Redis quotes
// of the command it was given: ids and data, or a password.
func newServerError(err error) error {
	words, _, _ := strings.Cut(err.Error(), ", with args beginning with")
	return &ServerError{text: words}
}

// isReply reports whether a client's error is an answer of the server, rather
// than a failure to get one.
func isReply(err error) bool {
	if _, ok := errors.AsType[interface {
		error
		RedisError()
	}](err); ok {
		return true
	}
	code, _, ok := strings.Cut(err.Error(), " ")
	return ok && len(code) > 2 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// refused reports whether the server has answered, and not done it.
func refused(err error) bool {
	_, ok := errors.AsType[*ServerError](err)
	return ok
}

// text returns the server's words, or none if err is not its answer.
func text(err error) string {
	if e, ok := errors.AsType[*ServerError](err); ok {
		return e.text
	}
	return ""
}

// remedies say what an operator can do, by what Redis says. A script's failure
// quotes the code in the middle.
var remedies = []struct{ code, remedy string }{
	{"READONLY", "this is a replica: connect to the master, through Sentinel or as a Cluster"},
	{"OOM ", "Redis is full: raise maxmemory, or find what fills it"},
	{"MISCONF", "Redis cannot write to its disk: see its log"},
	{"NOREPLICAS", "Redis has fewer replicas than min-replicas-to-write asks for"},
	{"NOAUTH", "the client needs a user name and a password"},
	{"WRONGPASS", "the client's user name or password is wrong"},
	{"NOPERM", "the client's user lacks a right: see the documentation of package redisstore for those it needs"},
	{"executing the script can't run", "the client's user lacks a right: see the documentation of package redisstore for those it needs"},
	{"ACL failure", "the client's user lacks a right: see the documentation of package redisstore for those it needs"},
	{"max number of clients", "Redis has as many clients as it takes: raise maxclients, or find who holds them"},
	{"CLUSTERDOWN", "the Cluster has no master for some slots"},
	{"MOVED ", "the server belongs to a Cluster: use a client for one"},
	{"LOADING", "Redis is reading its data from disk, and will answer in a while"},
	{"unknown command", "the server lacks a command that Redis has since 6.2"},
}

// fail names the operation, the remedy if there is one, and the cause.
func fail(operation string, err error) error {
	if err == nil {
		return nil
	}
	if words := text(err); words != "" {
		for _, r := range remedies {
			if strings.Contains(words, r.code) {
				return fmt.Errorf("pillbox: redis %s: %s: %w", operation, r.remedy, err)
			}
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		// Clients keep no more than this of the words with which Redis
		// refuses a connection.
		return fmt.Errorf("pillbox: redis %s: the server closed the connection: "+
			"it is stopping, or has as many clients as it takes (see maxclients): %w", operation, err)
	}
	return fmt.Errorf("pillbox: redis %s: %w", operation, err)
}
