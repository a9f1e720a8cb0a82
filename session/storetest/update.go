package storetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// lookalikes are pairs that are different bytes, and that a collation, a JSON
// type, a C string or a fixed-width column takes for the same. The first of
// each pair is stored, the second offered as the old data.
var lookalikes = []struct{ name, stored, old string }{
	{"other case", `{"n":"Pill"}`, `{"n":"pill"}`},
	{"trailing space", `{"n":1}`, `{"n":1} `},
	{"missing trailing space", `{"n":1} `, `{"n":1}`},
	{"trailing newline", `{"n":1}`, "{\"n\":1}\n"},
	{"trailing NUL", `{"n":1}`, "{\"n\":1}\x00"},
	{"leading space", `{"n":1}`, ` {"n":1}`},
	{"inner space", `{"n":1}`, `{"n": 1}`},
	{"key order", `{"a":1,"b":2}`, `{"b":2,"a":1}`},
	{"duplicate key", `{"a":1,"a":2}`, `{"a":2}`},
	{"number form", `{"n":1}`, `{"n":1.0}`},
	{"number beyond 2^53", `{"n":9007199254740993}`, `{"n":9007199254740992}`},
	{"number sign", `{"n":0}`, `{"n":-0}`},
	{"escape", `{"n":"a"}`, `{"n":"\u0061"}`},
	{"escape case", `{"n":"\u00E4"}`, `{"n":"\u00e4"}`},
	{"slash escape", `{"n":"/"}`, `{"n":"\/"}`},
	{"composed and decomposed", "{\"n\":\"\u00e4\"}", "{\"n\":\"a\u0308\"}"},
	{"accent", `{"n":"resume"}`, `{"n":"résumé"}`},
	{"sharp s", `{"n":"strasse"}`, `{"n":"straße"}`},
	{"full width", `{"n":"a"}`, "{\"n\":\"\uff41\"}"},
	{"zero width", `{"n":"ab"}`, "{\"n\":\"a\u200bb\"}"},
	{"emoji of one weight", `{"n":"🍣"}`, `{"n":"🍺"}`},
	{"wildcard", `{"n":"abc"}`, `{"n":"a%"}`},
	{"prefix", `{"n":1}`, `{"n":1`},
	{"extension", `{"n":1}`, `{"n":1}}`},
	{"same length", `{"n":1}`, `{"n":2}`},
	{"empty", `{"n":1}`, ``},
	{"last byte of 64 KiB", long(`1"}`), long(`2"}`)},
	{"early byte of 64 KiB", long(`"}`), strings.Replace(long(`"}`), "9", "x", 1)},
}

func long(end string) string {
	return `{"n":"` + strings.Repeat("0123456789", 6553) + end
}

var updateCases = []testCase{
	{
		name: "Update",
		why:  "Update replaces the data of the live record under id, and sets its deadline, which may be earlier than the one before",
		run: func(ctx context.Context, s *subject) error {
			if err := s.createUntil(ctx, "id", one, in(time.Hour)); err != nil {
				return err
			}
			if err := s.create(ctx, "neighbour", one); err != nil {
				return err
			}
			from := one
			for _, step := range []struct {
				data string
				in   time.Duration
			}{
				{two, 2 * time.Hour},
				{three, time.Minute},
				{long(`1"}`), time.Hour},
				{one, time.Hour},
			} {
				deadline := in(step.in)
				if err := s.Update(ctx, "id", []byte(from), []byte(step.data), deadline); err != nil {
					return failf("Update: %w", err)
				}
				if err := s.holdsUntil(ctx, "id", step.data, deadline); err != nil {
					return err
				}
				from = step.data
			}
			return s.holds(ctx, "neighbour", one)
		},
	},
	{
		name: "UpdateToTheSame",
		why:  "Update replaces the data if it is still old: that nothing differs afterwards is no reason to answer ErrNotFound or ErrConflict",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(time.Hour)
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			for range 2 {
				if err := s.Update(ctx, "id", []byte(one), []byte(one), deadline); err != nil {
					return failf("Update that changes nothing: %w", err)
				}
			}
			return s.holdsUntil(ctx, "id", one, deadline)
		},
	},
	{
		name: "UpdateShortensLife",
		why:  "Update sets the deadline, which may be earlier than the one before: the record dies at the new one",
		run: func(ctx context.Context, s *subject) error {
			id, err := s.brief(ctx, func(id string, deadline time.Time) error {
				if err := s.create(ctx, id, one); err != nil {
					return err
				}
				if err := s.Update(ctx, id, []byte(one), []byte(two), deadline); err != nil {
					return failf("Update: %w", err)
				}
				return nil
			})
			if err != nil {
				return err
			}
			return s.gone(ctx, id)
		},
	},
	{
		name: "UpdateUnknown",
		why:  "no method but Create makes a record come into being; Update returns ErrNotFound if there is no live record",
		run: func(ctx context.Context, s *subject) error {
			for _, old := range [][]byte{[]byte(one), {}, nil} {
				err := s.Update(ctx, "unknown", old, []byte(two), in(time.Hour))
				if err := want("Update of an unknown id", err, session.ErrNotFound); err != nil {
					return err
				}
				if err := s.gone(ctx, "unknown"); err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name: "UpdateAfterDelete",
		why:  "a request in flight can update only what is still there: a deleted record stays deleted, whatever was read before",
		run: func(ctx context.Context, s *subject) error {
			if err := s.create(ctx, "id", one); err != nil {
				return err
			}
			if err := s.Delete(ctx, "id", nil); err != nil {
				return failf("Delete: %w", err)
			}
			err := s.Update(ctx, "id", []byte(one), []byte(two), in(time.Hour))
			if err := want("Update after Delete", err, session.ErrNotFound); err != nil {
				return err
			}
			return s.gone(ctx, "id")
		},
	},
	{
		name: "UpdateAfterDeadline",
		why:  "the store compares the record's own deadline with the clock in every method: Update does not revive a record that has died",
		run: func(ctx context.Context, s *subject) error {
			id, err := s.dead(ctx, session.Record{Data: clone(one)}, nil)
			if err != nil {
				return err
			}
			for _, old := range []string{one, two} {
				err = s.Update(ctx, id, []byte(old), []byte(two), in(time.Hour))
				if err := want("Update after the deadline", err, session.ErrNotFound); err != nil {
					return err
				}
			}
			return s.gone(ctx, id)
		},
	},
	{
		name: "UpdateConflict",
		why:  "Update returns ErrConflict if the data has changed; nothing is changed then",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(time.Hour)
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			for _, old := range [][]byte{[]byte(two), {}, nil} { // nil is no wildcard here
				err := s.Update(ctx, "id", old, []byte(three), in(2*time.Hour))
				if err := want(fmt.Sprintf("Update with the old data %q", old), err, session.ErrConflict); err != nil {
					return err
				}
				if err := s.holdsUntil(ctx, "id", one, deadline); err != nil {
					return failf("after a conflict: %w", err)
				}
			}
			return nil
		},
	},
	{
		name: "UpdateComparesBytes",
		why:  "Update replaces the data if it is still, byte for byte, old",
		run: func(ctx context.Context, s *subject) error {
			for i, pair := range lookalikes {
				id := fmt.Sprintf("id%d", i)
				if err := s.create(ctx, id, pair.stored); err != nil {
					return err
				}
				err := s.Update(ctx, id, []byte(pair.old), []byte(two), in(time.Hour))
				if err := want("Update with old data that differs by "+pair.name, err, session.ErrConflict); err != nil {
					return err
				}
				if err := s.holds(ctx, id, pair.stored); err != nil {
					return err
				}
				if err := s.Update(ctx, id, []byte(pair.stored), []byte(two), in(time.Hour)); err != nil {
					return failf("Update with the very data that is stored (%s): %w", pair.name, err)
				}
			}
			return nil
		},
	},
	{
		name: "UpdateDeadlineNotInFuture",
		why:  "Update: a deadline that is not in the future is an error, as in Create",
		run: func(ctx context.Context, s *subject) error {
			deadline := in(time.Hour)
			if err := s.createUntil(ctx, "id", one, deadline); err != nil {
				return err
			}
			for name, past := range past() {
				err := s.Update(ctx, "id", []byte(one), []byte(two), past)
				if err := refused("Update with a deadline that is "+name, err); err != nil {
					return err
				}
				if err := s.holdsUntil(ctx, "id", one, deadline); err != nil {
					return failf("after Update with a deadline that is %s: %w", name, err)
				}
			}
			return nil
		},
	},
	{
		name: "UpdateDoesNotKeepData",
		why:  "Data is, byte for byte, what Update was given, also when the caller uses its slices again",
		run: func(ctx context.Context, s *subject) error {
			if err := s.create(ctx, "id", one); err != nil {
				return err
			}
			old, data := clone(one), clone(two)
			if err := s.Update(ctx, "id", old, data, in(time.Hour)); err != nil {
				return failf("Update: %w", err)
			}
			if string(old) != one || string(data) != two {
				return failf("Update changed its arguments to %q and %q", old, data)
			}
			copy(old, "xxxxxxxx")
			copy(data, "xxxxxxxx")
			return s.holds(ctx, "id", two)
		},
	},
}
