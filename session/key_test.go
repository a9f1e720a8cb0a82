package session_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// A value that could be stored but not read back would take the session with it.
func TestKeyRefusesWhatCannotBeReadBack(t *testing.T) {
	const nested session.Key[[]json.RawMessage] = "nested"
	m := newManager(t, session.Config{Store: memstore.New(memstore.Options{})})
	cookie := begin(t, m)
	for _, levels := range []int{1, 9998, 9999, 10_000, 10_001} {
		value := []json.RawMessage{json.RawMessage(strings.Repeat("[", levels) + strings.Repeat("]", levels))}
		var err error
		serve(m, cookie, func(s *session.Session) { err = nested.Set(s, value) })
		serve(m, cookie, func(s *session.Session) {
			if _, readErr := pills.Get(s); readErr != nil {
				t.Errorf("after a value of %d levels the session reads %v", levels, readErr)
			}
			if ok, _ := pills.Has(s); !ok {
				t.Errorf("after a value of %d levels (Set: %v) the session is gone", levels, err)
			}
		})
		if refused := err != nil; refused != (levels > 9999) {
			t.Errorf("Set of %d levels within a list = %v; want it refused: %v", levels, err, levels > 9999)
		}
	}
}

func TestKeyDecodesPlainValuesAsJSONDoes(t *testing.T) {
	for _, raw := range []string{
		"0", "-0", "7", "-7", "007", "1e3", "1.0", "123456789012345678", "1234567890123456789", "99999999999999999999",
		`""`, `"text"`, `"\u0041"`, `"ä"`, "\"\xff\"", `"a\"b"`, "true", "false", "null", " true", "[]", "{}",
	} {
		checkDecode[int](t, raw)
		checkDecode[int64](t, raw)
		checkDecode[string](t, raw)
		checkDecode[bool](t, raw)
	}
}

// checkDecode compares what a key reads with what encoding/json reads.
func checkDecode[T comparable](t *testing.T, raw string) {
	t.Helper()
	if !json.Valid([]byte(raw)) {
		return
	}
	m := newManager(t, session.Config{Store: memstore.New(memstore.Options{})})
	cookie := serve(m, "", func(s *session.Session) {
		if err := session.Key[json.RawMessage]("value").Set(s, json.RawMessage(raw)); err != nil {
			t.Fatal(err)
		}
	})
	serve(m, cookie, func(s *session.Session) {
		var want T
		wantErr := json.Unmarshal([]byte(raw), &want)
		got, err := session.Key[T]("value").Get(s)
		if (err == nil) != (wantErr == nil) || err == nil && got != want {
			t.Errorf("Get of %s as %T = %v, %v; want %v, %v", raw, want, got, err, want, wantErr)
		}
	})
}

func TestKeyRefusesReservedNames(t *testing.T) {
	m := newManager(t, session.Config{Store: memstore.New(memstore.Options{})})
	for _, name := range []string{"", "cookie", "__pillbox", "id", "save", "__proto__", "toString", "\xff"} {
		serve(m, "", func(s *session.Session) {
			key := session.Key[int](name)
			_, getErr := key.Get(s)
			_, updateErr := key.Update(s, func(n int) int { return n })
			for verb, err := range map[string]error{
				"Get": getErr, "Set": key.Set(s, 1), "Delete": key.Delete(s), "Update": updateErr,
			} {
				if !errors.Is(err, session.ErrReservedKey) {
					t.Errorf("%s of key %q = %v; want ErrReservedKey", verb, name, err)
				}
			}
		})
	}
}
