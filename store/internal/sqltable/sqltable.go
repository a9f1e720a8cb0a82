// Package sqltable holds what the stores in the tables of an SQL server share:
// the names of tables, and what becomes of work that met other work.
package sqltable

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"
)

// CheckName refuses what cannot be the name of a table or a schema that has at
// most limit bytes. The text what, such as "Table", says whose name it is.
//
// Servers cut a name that is too long rather than refuse it, and two stores
// would then share a table without anybody having said so.
func CheckName(what, name string, limit int) error {
	switch {
	case name == "":
		return fmt.Errorf("%s is empty", what)
	case len(name) > limit:
		return fmt.Errorf("%s has %d bytes, and may have %d", what, len(name), limit)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("%s has characters that no name may have", what)
	}
	return nil
}

// Quote returns a name as SQL takes it literally, with its parts between the
// server's quotes: a byte such as '"' or '`'. Empty parts are left out.
func Quote(quote byte, parts ...string) string {
	q := string(quote)
	var name strings.Builder
	for _, part := range parts {
		if part == "" {
			continue
		}
		if name.Len() > 0 {
			name.WriteByte('.')
		}
		name.WriteString(q + strings.ReplaceAll(part, q, q+q) + q)
	}
	return name.String()
}

// ErrAgain, which may be wrapped, says that work met other work and has changed
// nothing: it was chosen as the victim of a deadlock, for one. The same work
// may succeed when it is done again.
var ErrAgain = errors.New("the server gave other work the way")

// Retry runs work until it returns something else than [ErrAgain], or until ctx
// is done; its error then wraps ctx.Err(). It pauses for ever longer, so that
// those who met do not meet again, but never for long.
func Retry(ctx context.Context, work func() error) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 64*time.Millisecond) {
		err := work()
		if !errors.Is(err, ErrAgain) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err())
		case <-time.After(rand.N(pause)):
		}
	}
}
