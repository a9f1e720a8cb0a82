package mongostore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

var (
	errNotUTF8   = errors.New("the data is not valid UTF-8, which MongoDB's texts are")
	errContended = errors.New("others change the record without a pause")
	errRoster    = fmt.Errorf("the user's index: %w", session.ErrDamaged)
	errCollation = errors.New("the collection has a collation of its own, under which different ids can be equal: " +
		"make one without, or set Options.Collection to another name")
)

// A serverError stands for the driver's error. The server's messages quote
// filters and keys, and with them ids and data; its codes do not.
type serverError struct {
	code  int
	name  string
	cause error
}

func (e *serverError) Error() string {
	text := fmt.Sprintf("the server answered %d", e.code)
	if e.name != "" {
		text += " " + e.name
	}
	if hint := remedies[e.code]; hint != "" {
		text += ": " + hint
	}
	return text
}

func (e *serverError) Unwrap() error { return e.cause }

// Format implements [fmt.Formatter]: %#v would look into the cause.
func (e *serverError) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.Error()) }

// remedies are what an operator can do about some codes. See
// https://github.com/mongodb/mongo/blob/v8.0/src/mongo/base/error_codes.yml
var remedies = map[int]string{
	13:    "grant the client's user the role readWrite on this database",
	18:    "check the client's user and password, and authSource in its URI",
	64:    "the write was not confirmed by a majority of the replica set in time",
	85:    "an index of this name or on this field has other options: drop it, and call Migrate again",
	86:    "an index of this name has other keys: drop it, and call Migrate again",
	100:   "the replica set has too few members that hold data for a majority to confirm a write",
	121:   "the collection has a validator that refuses the document: remove it",
	10334: "the document would exceed MongoDB's 16 MiB",
}

// Of a server that cannot be reached, the driver says which hosts it has tried,
// with what result, and no credentials.
const remedyUnreachable = "check that the server runs, and the hosts in the client's URI"

// fail names the operation and the cause. A server's failure is shown by its
// code alone, since the message may quote what the command held.
func (s *Store) fail(ctx context.Context, operation string, err error) error {
	if err == nil {
		return nil
	}
	err = explain(err)
	if cause := ctx.Err(); cause != nil && !errors.Is(err, cause) && !contract.Answers(err) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return fmt.Errorf("pillbox: mongodb %s: %w", operation, err)
}

func explain(err error) error {
	var command mongo.CommandError
	var write mongo.WriteException
	switch {
	case contract.Answers(err):
		return err
	case errors.As(err, &command) && command.Code != 0: // 0: the network failed
		return &serverError{int(command.Code), command.Name, err}
	case errors.As(err, &write):
		e := &serverError{cause: err}
		if c := write.WriteConcernError; c != nil {
			e.code, e.name = c.Code, c.Name
		}
		for _, w := range write.WriteErrors {
			e.code, e.name = w.Code, ""
		}
		return e
	case unreachable(err):
		return fmt.Errorf("%s: %w", remedyUnreachable, err)
	}
	return err
}

// unreachable reports whether no server could be had, or the connection to it
// was lost. The types of some of these errors are not part of the driver's
// stable API.
func unreachable(err error) bool {
	text := err.Error()
	return mongo.IsNetworkError(err) || mongo.IsTimeout(err) ||
		strings.HasPrefix(text, "server selection error") || strings.HasPrefix(text, "connection pool for ")
}
