package mongostore_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mongostore"
)

// texts are sessions, and what JSON.stringify makes of JSON.parse of them, as
// Node.js 20 has it; empty where they cannot be subdocuments.
var texts = []struct{ text, plain string }{
	{`{}`, `{}`},
	{" {\t\"a\" :\r\n [ 1 , 2 ,{ } ,[ ] ] }\n", `{"a":[1,2,{},[]]}`},
	{`{"b":1,"a":2,"":3,"$set":4,"a.b":5}`, `{"b":1,"a":2,"":3,"$set":4,"a.b":5}`},
	{`{"a":1,"b":2,"a":3,"c":4,"b":5}`, `{"a":3,"b":5,"c":4}`},
	{`{"n":[9007199254740993,-18446744073709551616]}`, `{"n":[9007199254740992,-18446744073709552000]}`},
	{
		`{"n":[1.0,1e2,1E+2,-0,0.1000,1e400,-1e400,1e21,1e20,1e-6,1e-7,123e-20,2147483648,-2147483648]}`,
		`{"n":[1,100,100,0,0.1,null,null,1e+21,100000000000000000000,0.000001,1e-7,1.23e-18,2147483648,-2147483648]}`,
	},
	{`{"a":"\ud800x","b":"\udfff\ud83d","c":"\ud83d\ude00"}`, "{\"a\":\"\ufffdx\",\"b\":\"\ufffd\ufffd\",\"c\":\"😀\"}"},
	{`{"a":"\/\"\\\b\f\n\r\t\u0061\u0001\u007f"}`, "{\"a\":\"/\\\"\\\\\\b\\f\\n\\r\\ta\\u0001\x7f\"}"},
	{"{\"a\":\"<&>\u2028\"}", "{\"a\":\"<&>\u2028\"}"},
	{`{"a\u0000b":"\u0000"}`, ``},
	{`{"a":"\u0000"}`, `{"a":"\u0000"}`},
	{`{"cookie":{"expires":"2026-11-23T16:36:27.202Z"}}`, `{"cookie":{"expires":"2026-11-23T16:36:27.202Z"}}`},
	{`{"cookie":{"expires":"tomorrow"}}`, `{"cookie":{"expires":"tomorrow"}}`},
	{`{"cookie":{"expires":false},"t":true,"n":null}`, `{"cookie":{"expires":false},"t":true,"n":null}`},
	{`[1]`, ``},
	{`"a"`, ``},
	{`{"a":1`, ``},
	{``, ``},
	{strings.Repeat(`{"a":`, 90) + `1` + strings.Repeat(`}`, 90), strings.Repeat(`{"a":`, 90) + `1` + strings.Repeat(`}`, 90)},
	{strings.Repeat(`{"a":`, 91) + `1` + strings.Repeat(`}`, 91), ``},
	{`{"a":` + strings.Repeat(`[`, 90) + strings.Repeat(`]`, 90) + `}`, ``},
}

func TestSubdocuments(t *testing.T) {
	for _, test := range texts {
		doc, ok := mongostore.ObjectOf([]byte(test.text), nil)
		if !ok || test.plain == "" {
			if ok != (test.plain != "") {
				t.Errorf("%s becomes a subdocument: %t; want %t", test.text, ok, !ok)
			}
			continue
		}
		if plain, err := mongostore.JSONOf(doc); string(plain) != test.plain || err != nil {
			t.Errorf("%s reads as %s, %v; want %s", test.text, plain, err, test.plain)
		}
	}
}

// Only the cookie's own expiry is a Date of its own accord.
func TestDatesOfSubdocuments(t *testing.T) {
	const when = `"2026-11-23T16:36:27.202Z"`
	for text, want := range map[string]bson.Type{
		`{"cookie":{"expires":` + when + `}}`:       bson.TypeDateTime,
		`{"cookie":{"expires":"2026-11-23"}}`:       bson.TypeString,
		`{"cookie":{"a":{"expires":` + when + `}}}`: 0,
		`{"a":{"cookie":{"expires":` + when + `}}}`: 0,
		`{"cookie":{"expires":null}}`:               bson.TypeNull,
		`{"cookie":[{"expires":` + when + `}]}`:     0,
	} {
		doc, ok := mongostore.ObjectOf([]byte(text), nil)
		if got := doc.Lookup("cookie", "expires").Type; !ok || got != want {
			t.Errorf("cookie.expires of %s is of type %v; want %v", text, got, want)
		}
		if n := bytes.Count(doc, []byte{byte(bson.TypeDateTime), 'e', 'x'}); (n == 1) != (want == bson.TypeDateTime) {
			t.Errorf("%s has %d dates", text, n)
		}
	}
}

// Dates that JavaScript can have read as JavaScript writes them.
func TestDatesBeyondFourDigits(t *testing.T) {
	for ms, want := range map[int64]string{
		0:                    `{"d":"1970-01-01T00:00:00.000Z"}`,
		-62167219200001:      `{"d":"-000001-12-31T23:59:59.999Z"}`,
		253402300800000:      `{"d":"+010000-01-01T00:00:00.000Z"}`,
		8640000000000000:     `{"d":"+275760-09-13T00:00:00.000Z"}`,
		-8640000000000000:    `{"d":"-271821-04-20T00:00:00.000Z"}`,
		8640000000000001:     `{"d":null}`,
		math.MaxInt64:        `{"d":null}`,
		math.MinInt64:        `{"d":null}`,
		-62167219200000:      `{"d":"0000-01-01T00:00:00.000Z"}`,
		253402300799999:      `{"d":"9999-12-31T23:59:59.999Z"}`,
		1795451787202:        `{"d":"2026-11-23T16:36:27.202Z"}`,
		-1795451787202000000: `{"d":null}`,
	} {
		doc, err := bson.Marshal(bson.D{{Key: "d", Value: bson.DateTime(ms)}})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := mongostore.JSONOf(doc); string(got) != want || err != nil {
			t.Errorf("the date %d reads as %s, %v; want %s", ms, got, err, want)
		}
	}
}

// What Express reads of a subdocument is what JSON.parse makes of the text, for
// which encoding/json stands; and what it reads as is stored as the same again.
func FuzzObject(f *testing.F) {
	for _, test := range texts {
		f.Add([]byte(test.text), []byte(`{"a":"2026-11-23T16:36:27.202Z","n":[1,"x"]}`))
		f.Add([]byte(`{"a":{"b":[1,2,{"c":null}]}}`), []byte(test.text))
	}
	f.Fuzz(func(t *testing.T, text, other []byte) {
		doc, ok := mongostore.ObjectOf(text, nil)
		if !ok {
			return
		}
		if err := doc.Validate(); err != nil {
			t.Fatalf("%q becomes what is no BSON: %v", text, err)
		}
		plain, err := mongostore.JSONOf(doc)
		if err != nil {
			t.Fatalf("%q cannot be read back: %v", text, err)
		}
		var want, got any
		if json.Unmarshal(text, &want) == nil { // it refuses 1e400
			if err := json.Unmarshal(plain, &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%q reads as %q, %v", text, plain, err)
			}
		}
		if again, ok := mongostore.ObjectOf(plain, nil); !ok {
			t.Errorf("%q, which %q reads as, cannot be stored", plain, text)
		} else if twice, err := mongostore.JSONOf(again); err != nil || !bytes.Equal(twice, plain) {
			t.Errorf("%q reads as %q, and that as %q, %v", text, plain, twice, err)
		}
		if kept, ok := mongostore.ObjectOf(other, nil); ok {
			beside, ok := mongostore.ObjectOf(text, kept)
			if got, err := mongostore.JSONOf(beside); !ok || err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%q reads as %q, and as %q, %v where it replaces %q", text, plain, got, err, other)
			}
		}
	})
}

// Whatever lies in a collection is data, damaged or encrypted, and no reason to
// panic; a subdocument reads as JSON.
func FuzzDocument(f *testing.F) {
	for _, value := range []any{
		`{"cookie":{}}`, "", 1, nil,
		bson.A{1},
		strings.Repeat("MIIB", 20), strings.Repeat("00", 40),
		bson.D{{Key: "cookie", Value: expressCookie(bson.DateTime(1))}, {Key: "r", Value: bson.Regex{Pattern: "a"}}, {Key: "o", Value: bson.NewObjectID()}},
	} {
		doc, err := bson.Marshal(bson.D{{Key: "_id", Value: "id"}, {Key: "session", Value: value}, {Key: "expires", Value: bson.DateTime(1)}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		data, err := mongostore.TextOf(doc)
		if err != nil && !errors.Is(err, session.ErrDamaged) && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("text = %v; want %v or %v", err, session.ErrDamaged, errors.ErrUnsupported)
		}
		if err == nil && bson.Raw(doc).Lookup("session").Type == bson.TypeEmbeddedDocument && !json.Valid(data) {
			t.Errorf("the subdocument reads as %q; want JSON", data)
		}
	})
}
