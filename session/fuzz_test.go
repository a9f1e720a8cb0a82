package session

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// noStore is a store that the fuzz targets never get to.
type noStore struct{ Store }

func fuzzManager(f *testing.F, config Config) *Manager {
	f.Helper()
	config.Store = noStore{}
	config.Secrets = []string{"keyboard cat, keyboard cat", "an older secret of the tests"}
	m, err := New(config)
	if err != nil {
		f.Fatal(err)
	}
	return m
}

// Whatever comes in a Cookie header, an id comes out only with a signature that
// crypto/hmac confirms, and junk before a good cookie does not hide it.
func FuzzCookie(f *testing.F) {
	m := fuzzManager(f, Config{Cookie: Cookie{Name: "connect.sid", Secure: InsecurePlainHTTP}})
	const id = "HnKLxDcbnO3mL2oHRvJVVVeMgqxkO3D0"
	good := "connect.sid=" + string(m.signer.appendSigned(nil, id))
	for _, seed := range []string{
		"", good, good + "; " + good, "connect.sid=" + strings.Replace(good, "s%3A", "s:", 1),
		"connect.sid=s%3Aapple.D8Y%2BpkTAmeR0PobOhY4G97PRW%2Bj7bUnP%2F5m6%2FOn1MCU",
		`connect.sid="s%3Aapple.x"`, "connect.sid", "connect.sid=", "=;=;=", "connect.sid=%", "connect.sid=s%3A.",
		"connect.sid=s%3A%00.AAAA", "connect.sid=s%3A" + strings.Repeat("a", 5000), "\u2000connect.sid=s%3Aa.b",
		"CONNECT.SID=" + string(m.signer.appendSigned(nil, id)), "connect.sid = " + string(m.signer.appendSigned(nil, id)) + " ",
		"connect.sid=s%3A" + id + "." + strings.Repeat("A", signatureLen) + "%3D",
		"connect.sid=s%3A" + id + ".%25" + strings.Repeat("A", signatureLen-1), "connect.sid=s:%2e%2e%2f.x",
		"a=connect.sid=1; xconnect.sid=2;\tconnect.sid\t = 3 ;connect.sidx=4; connect.sid connect.sid=5;connect.sid;;=;connect.sid==6;connect.sid",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		ids, _ := m.readCookies(&http.Request{Header: http.Header{"Cookie": {line}}}, nil)
		for _, got := range ids {
			signed := false
			for _, secret := range m.config.Secrets {
				h := hmac.New(sha256.New, []byte(secret))
				h.Write([]byte(got))
				text := base64.RawStdEncoding.EncodeToString(h.Sum(nil))
				signed = signed || strings.Contains(string(decodeURIComponent(nil, line)), text) ||
					strings.Contains(line, text) || strings.Contains(line, string(appendURIComponent(nil, text)))
			}
			if !validID(got) || !signed {
				t.Fatalf("readCookies(%q) returned %q, which is not signed in there", line, got)
			}
		}
		if strings.Count(line, "connect.sid") < maxCandidates {
			ids, looked := m.readCookies(&http.Request{Header: http.Header{"Cookie": {line, good}}}, nil)
			if looked == 0 || !contains(ids, id) {
				t.Fatalf("after the line %q the good cookie is not found", line)
			}
		}
		var want, found []string // by cutting the line up, and by searching for the name
		for pair := range strings.SplitSeq(line, ";") {
			if name, value, ok := strings.Cut(pair, "="); ok && strings.Trim(name, " \t") == "connect.sid" {
				want = append(want, value)
			}
		}
		for rest := line; rest != ""; {
			value, after, ok := cutCookie(rest, "connect.sid")
			if !ok {
				break
			}
			found, rest = append(found, value), after
		}
		if !slices.Equal(found, want) {
			t.Fatalf("in the line %q cookies have the values %q; want %q", line, found, want)
		}
		if escaped := appendURIComponent(nil, line); utf8.ValidString(line) && string(decodeURIComponent(nil, string(escaped))) != line {
			t.Fatalf("decodeURIComponent(encodeURIComponent(%q)) differs", line)
		}
	})
}

// Every byte, wherever it stands among plain and special ones, is found to be
// special or not.
func TestPlainBytes(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			text := bytes.Repeat([]byte{'a', 0x80, 0xff, '#', ']', ' '}, 4)
			text[at] = byte(c)
			for _, second := range []byte{'b', '"', 0x01, 0x80} {
				text[at+1] = second
				want := bytes.IndexFunc(text, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' })
				if want < 0 {
					want = len(text)
				}
				if got := (&scanner{text: text}).plain(0); got != want {
					t.Fatalf("plain of %q = %d; want %d", text, got, want)
				}
			}
		}
	}
}

// The splitter accepts what encoding/json accepts, finds the values that
// encoding/json finds, and joins them again without a change.
func FuzzSplitObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":1,"a":2}`, `{"a":{"b":[1,2,{"c":null}]},"d":"\u0041\ud83d\ude00"}`,
		`{"n":12345678901234567890,"e":-1.5e+10,"z":-0}`, `{"\ud800":"\udfff"}`, `{"a":1,}`, `{"a":01}`, `{"a":1}x`,
		`{"a":"` + "\x01" + `"}`, `{"a":tru}`, `[]`, `null`, `{"a"`, `{"a":"\u00g0"}`, `{"a":[[[[[[]]]]]]}`, "{\"\xff\":1}",
		`{"__proto__":{},"constructor":1}`, `{"cookie":{"originalMaxAge":null},"__pillbox":{"created":1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := splitObject(text, nil)
		var want map[string]json.RawMessage
		isObject := json.Unmarshal(text, &want) == nil && want != nil
		if (err == nil) != isObject {
			t.Fatalf("splitObject(%q) = %v; encoding/json takes it for an object: %v", text, err, isObject)
		}
		if err != nil {
			return
		}
		if utf8.Valid(text) {
			for name, value := range want {
				got, ok := o.find(name)
				if !ok || !bytes.Equal(got, value) {
					t.Fatalf("find(%q) in %q = %q, %v; want %q", name, text, got, ok, value)
				}
			}
		}
		joined, err := join(o.appendFields(nil), nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := splitObject(joined.text, nil)
		if err != nil || !slices.Equal(again.members, joined.members) {
			t.Fatalf("joined %q has members at %v; splitting gives %v, %v", joined.text, joined.members, again.members, err)
		}
		if got, want := again.appendFields(nil), o.appendFields(nil); !slices.EqualFunc(got, want, equalFields) {
			t.Fatalf("the members of %q changed from %v to %v", text, want, got)
		}
	})
}

func equalFields(a, b field) bool {
	return bytes.Equal(a.name, b.name) && bytes.Equal(a.value, b.value)
}

// Whatever lies in a store, decoding it gives a record or an error that quotes
// nothing; a record that is written back keeps every field; and what was sealed
// opens under its own key alone.
func FuzzRecord(f *testing.F) {
	clear := fuzzManager(f, Config{AbsoluteTimeout: -1})
	sealing := fuzzManager(f, Config{AbsoluteTimeout: -1, EncryptionKeys: [][]byte{[]byte("a key of the tests with 32 bytes")}, InsecureUnsealed: true})
	for _, seed := range []string{
		`{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"}}`,
		`{"cookie":{"originalMaxAge":60000,"expires":"2026-11-23T03:52:27.118Z","path":"/"},"user":"bob"}`,
		`{"cookie":{"originalMaxAge":-1},"__pillbox":{"created":1795406335999,"user":"ilmer","signedIn":1795406335999}}`,
		`{"cookie":{"originalMaxAge":1e300},"__pillbox":{"created":1,"moved":2}}`, `{"cookie":[]}`, `{"cookie":null}`,
		`{"cookie":{},"__pillbox":{"sealed":"AAAA"}}`, `{"cookie":{},"__pillbox":{"sealed":""}}`, `{"__pillbox":{}}`,
		`{"cookie":{"originalMaxAge":"60000"}}`, `{"cookie":{},"__pillbox":[]}`, `{"cookie":{},"n":12345678901234567890}`,
		`{"cookie":{"originalMaxAge":false,"expires":false},"a":"\ud800"}`, ``, `{`, `TOMBSTONE`, "\x00",
		string(clear.plainStart) + `}`, string(clear.plainStart) + `,"a":1}`, string(clear.plainStart) + ` , "a":1}`,
		string(clear.plainStart) + `,}`, string(clear.plainStart) + `,"cookie":{"originalMaxAge":60000}}`, string(clear.plainStart) + `, "\u0061":1}x`,
	} {
		f.Add([]byte(seed))
	}
	const key = "HnKLxDcbnO3mL2oHRvJVVVeMgqxkO3D0"
	now := time.UnixMilli(1795406335999)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, m := range []*Manager{clear, sealing} {
			// The shortcut past the usual cookie finds what the long way finds.
			short, shortErr := m.split(data, nil)
			long, longErr := splitObject(data, nil)
			if (shortErr == nil) != (longErr == nil) || shortErr == nil && !slices.Equal(short.members, long.members) {
				t.Fatalf("split(%q) = %v, %v; splitObject gives %v, %v", data, short.members, shortErr, long.members, longErr)
			}
			var rec record
			if err := m.decode(&rec, key, Record{Data: data, Deadline: now}); err != nil {
				if len(data) > 40 && strings.Contains(err.Error(), string(data)) {
					t.Fatalf("error quotes the record: %v", err)
				}
				continue
			}
			if rec.maxAge < 0 {
				continue // over; never written back
			}
			s := &Session{m: m, ctx: context.Background(), st: &state{rec: &rec, key: key}}
			var next record
			if err := s.next(key, &rec, &next, now); err != nil {
				t.Fatalf("record %q does not encode: %v", data, err)
			}
			var again record
			if err := m.decode(&again, key, Record{Data: next.raw, Deadline: now}); err != nil {
				t.Fatalf("record %q does not decode once encoded, as %q: %v", data, next.raw, err)
			}
			if len(again.members) < len(rec.members) {
				t.Fatalf("record %q lost fields: %q", data, next.raw)
			}
			if !bytes.Equal(again.text, next.text) || !slices.Equal(again.members, next.members) {
				t.Fatalf("record %q was taken for %q when it was written, and for %q when it was read", data, next.text, again.text)
			}
			for _, field := range rec.appendFields(nil) {
				if name := field.key(); name != cookieKey && name != metaKey {
					want, _ := rec.find(name)
					if got, _ := again.find(name); !bytes.Equal(got, want) {
						t.Fatalf("key %q changed from %q to %q", name, want, got)
					}
				}
			}
			if m.sealer != nil {
				if err := m.decode(new(record), "another key", Record{Data: next.raw, Deadline: now}); err == nil {
					t.Fatalf("a sealed record opened under another key")
				}
			}
		}
	})
}
