package sqltable_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/store/internal/sqltable"
)

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"session":               true,
		`Sess"ion`:              true,
		"sessions of the year":  true,
		"sitzungen_für_ärzte":   true,
		strings.Repeat("x", 21): true,
		strings.Repeat("x", 22): false,
		strings.Repeat("ä", 11): false,
		"":                      false,
		"a\x00b":                false,
		"a\nb":                  false,
		"a\x7fb":                false,
		"\xff":                  false,
	} {
		if err := sqltable.CheckName("Table", name, 21); (err == nil) != ok {
			t.Errorf("CheckName(%q) = %v; want an error: %t", name, err, !ok)
		} else if err != nil && !strings.HasPrefix(err.Error(), "Table ") {
			t.Errorf("CheckName(%q) = %v; want it to say whose name it is", name, err)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, test := range []struct {
		quote byte
		parts []string
		want  string
	}{
		{'"', []string{"session"}, `"session"`},
		{'"', []string{"", "session"}, `"session"`},
		{'"', []string{"my app", `se"ss`}, `"my app"."se""ss"`},
		{'`', []string{"a`b", `c"d`}, "`a``b`.`c\"d`"},
	} {
		if got := sqltable.Quote(test.quote, test.parts...); got != test.want {
			t.Errorf("Quote(%q, %q) = %s; want %s", test.quote, test.parts, got, test.want)
		}
	}
}

func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		victim := fmt.Errorf("%w: deadlock detected", sqltable.ErrAgain)
		other := errors.New("the server is down")
		for _, test := range []struct {
			name   string
			victim int
			err    error
		}{
			{"at once", 0, nil},
			{"after three times", 3, nil},
			{"another error", 1, other},
		} {
			runs := 0
			err := sqltable.Retry(t.Context(), func() error {
				if runs++; runs <= test.victim {
					return victim
				}
				return test.err
			})
			if err != test.err || runs != test.victim+1 {
				t.Errorf("%s: Retry = %v after %d runs; want %v after %d", test.name, err, runs, test.err, test.victim+1)
			}
		}
	})
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		runs := 0
		err := sqltable.Retry(ctx, func() error { runs++; return sqltable.ErrAgain })
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, sqltable.ErrAgain) {
			t.Errorf("Retry = %v; want an error that wraps both the reason and the context's", err)
		}
		if runs < 16 || runs > 200 {
			t.Errorf("%d runs in a second; want pauses that grow, but not for long", runs)
		}
	})
}
