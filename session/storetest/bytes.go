package storetest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// documents are JSON objects in valid UTF-8, as the session layer stores them,
// that an engine with opinions about JSON or text gives back changed.
var documents = []struct{ name, data string }{
	{"empty object", `{}`},
	{"spaces", " {\t\"a\" :\r\n [ 1 , 2 ] }\n"},
	{"key order", `{"b":1,"a":2,"10":3,"9":4}`},
	{"duplicate keys", `{"a":1,"a":2,"A":3}`},
	{"empty key", `{"":1,"$set":2,"a.b":3,"__proto__":{}}`},
	{"numbers beyond 2^53", `{"n":9007199254740993,"m":-18446744073709551616}`},
	{"number forms", `{"a":1.0,"b":1e2,"c":1E+2,"d":-0,"e":0.1000,"f":1e400}`},
	{"digits", `{"pi":3.14159265358979323846264338327950288}`},
	{"NUL escape", `{"a\u0000b":"\u0000"}`},
	{"lone surrogates", `{"a":"\ud800","b":"\udfff\ud83d"}`},
	{"escaped pair", `{"a":"\ud83d\ude00"}`},
	{"escapes", `{"a":"\/\"\\\b\f\n\r\t\u0061\u00e4\u00E4"}`},
	{"HTML", `{"a":"<script>&amp;\u003c</script>"}`},
	{"line separators", "{\"a\":\"\u2028\u2029\u0085\"}"},
	{"beyond the BMP", `{"😀":"𝄞👩‍👩‍👧"}`},
	{"decomposed", "{\"a\":\"a\u0308\",\"\u00e4\":\"\u1e9b\u0323\"}"},
	{"byte order mark inside", "{\"a\":\"\ufeff\ufffd\ufffe\U0010ffff\"}"},
	{"DEL and C1", "{\"a\":\"\x7f\u0080\u009f\u00a0\"}"},
	{"quotes", `{"a":"it's $1 ? :a %s {{x}} -- ; /* */ \\' ` + "`" + `"}`},
	{"depth", strings.Repeat(`{"a":`, 500) + `1` + strings.Repeat(`}`, 500)},
	{"compressible", `{"a":"` + strings.Repeat("a", 20000) + `"}`},
}

var byteCases = []testCase{
	{
		name: "BytesInBytesOut",
		why:  "Data is opaque to the store, and Load returns it byte for byte",
		run: func(ctx context.Context, s *subject) error {
			for i, doc := range documents {
				id := fmt.Sprintf("id%d", i)
				if err := s.create(ctx, id, doc.data); err != nil {
					return err
				}
				if err := s.holds(ctx, id, doc.data); err != nil {
					return failf("created with %s: %w", doc.name, err)
				}
			}
			id, from := "id0", documents[0].data
			for _, doc := range documents[1:] {
				if err := s.Update(ctx, id, []byte(from), []byte(doc.data), in(time.Hour)); err != nil {
					return failf("Update to %s: %w", doc.name, err)
				}
				if err := s.holds(ctx, id, doc.data); err != nil {
					return failf("updated to %s: %w", doc.name, err)
				}
				from = doc.data
			}
			return nil
		},
	},
	{
		name: "Sizes",
		why:  "a store keeps at least 256 KiB, and says in its documentation if it does not keep 1 MiB",
		run: func(ctx context.Context, s *subject) error {
			object := func(size int, fill string) string {
				const frame = len(`{"a":""}`)
				return `{"a":"` + strings.Repeat(fill, (size-frame)/len(fill)) + `"}`
			}
			from, deadline := object(100, "a"), in(time.Hour)
			if err := s.create(ctx, "grows", from); err != nil {
				return err
			}
			for i, size := range []int{
				127, 128, 129, 255, 256, 257, 4095, 4096, 4097, 8000, 8001,
				65535, 65536, 65537, 256 << 10, s.maxBytes(),
			} {
				if size > s.maxBytes() {
					continue
				}
				data := object(size, string(rune('b'+i)))
				if size == s.maxBytes() {
					data = object(size, "ä") // characters are not bytes
				}
				id := fmt.Sprintf("id%d", size)
				if err := s.createUntil(ctx, id, data, deadline); err != nil {
					return failf("%d bytes: %w", size, err)
				}
				if err := s.holdsUntil(ctx, id, data, deadline); err != nil {
					return err
				}
				if err := s.Update(ctx, "grows", []byte(from), []byte(data), deadline); err != nil {
					return failf("Update from %d to %d bytes: %w", len(from), size, err)
				}
				if err := s.holdsUntil(ctx, "grows", data, deadline); err != nil {
					return err
				}
				from = data
			}
			return nil
		},
	},
	{
		name: "IDs",
		why:  "the id is an opaque string of 1 to 128 visible ASCII characters",
		run: func(ctx context.Context, s *subject) error {
			var visible []byte
			for c := byte('!'); c <= '~'; c++ {
				visible = append(visible, c)
			}
			ids := []string{
				string(visible),
				"aa", "aA", "Aa", "AA",
				"%%", "__", "a%", "a_", "a*", "a?", "[a]", "a\\", "''", `""`, "``", "--", ";", "..", "../a", "/a", "a/",
				"{a}", "{a}b", "a:b", "a::b", "a|b", "$a", "#a", "0", "00", "1", "1e0", "null", "NULL", "true", "_id", "-", "+", "a+b", "a%20b",
				strings.Repeat("x", 127),
				strings.Repeat("x", 128),
				strings.Repeat("x", 127) + "y",
				strings.Repeat("x", 127) + "X",
				strings.Repeat("Ab9_-", 25) + "Ab9",
				"abcdefghijklmnopqrstuvwxyz012345", "Abcdefghijklmnopqrstuvwxyz012345",
				"abcdefghijklmnopqrstuvwxyz01234-", "abcdefghijklmnopqrstuvwxyz01234_",
				"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
				"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA/",
			}
			for _, c := range visible { // each alone: "a" and "A" are different
				if !strings.ContainsAny(string(c), ";01-+") {
					ids = append(ids, string(c))
				}
			}
			for i, id := range ids {
				if err := s.create(ctx, id, fmt.Sprintf(`{"n":%d}`, i)); err != nil {
					return failf("id %q: %w", id, err)
				}
			}
			for i, id := range ids {
				if err := s.holds(ctx, id, fmt.Sprintf(`{"n":%d}`, i)); err != nil {
					return err
				}
				err := s.Update(ctx, id, fmt.Appendf(nil, `{"n":%d}`, i), fmt.Appendf(nil, `{"m":%d}`, i), in(time.Hour))
				if err != nil {
					return failf("Update(%q) = %w", id, err)
				}
			}
			for i, id := range ids {
				if err := s.Touch(ctx, id, in(2*time.Hour)); err != nil {
					return failf("Touch(%q) = %w", id, err)
				}
				if err := s.Delete(ctx, id, fmt.Appendf(nil, `{"m":%d}`, i)); err != nil {
					return failf("Delete(%q) = %w", id, err)
				}
				if _, err := s.Load(ctx, id, session.Slide{}); err == nil {
					return failf("Load(%q) = nil after Delete; want %v", id, session.ErrNotFound)
				}
			}
			return nil
		},
	},
}
