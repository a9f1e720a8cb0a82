package medicine_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const maxBody = 100 << 10 // what express.json() takes

// pillOf returns a pill of exactly this many bytes.
func pillOf(size int) string {
	const frame = `{"name":"big","leaflet":""}`
	return frame[:len(frame)-2] + strings.Repeat("x", size-len(frame)) + frame[len(frame)-2:]
}

// gzipped returns s as a body with Content-Encoding: gzip.
func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

// The original stores null for half of these, and answers HTML for the rest.
func TestBadPills(t *testing.T) {
	const plain = `{"name":"Ibuprofen"}`
	tests := []struct {
		name        string
		contentType string
		encoding    string
		body        string
		status      int
		code        string
	}{
		{name: "no body", contentType: "application/json", status: 400, code: "body_missing"},
		{name: "neither body nor type", status: 400, code: "body_missing"},
		{name: "only space", contentType: "application/json", body: " \n", status: 400, code: "bad_json"},

		{name: "no type", body: plain, status: 415, code: "not_json"},
		{name: "text", contentType: "text/plain", body: plain, status: 415, code: "not_json"},
		{name: "form", contentType: "application/x-www-form-urlencoded", body: "name=Ibuprofen", status: 415, code: "not_json"},
		{name: "type without a slash", contentType: "json", body: plain, status: 415, code: "not_json"},
		{name: "malformed type", contentType: "application/json; charset", body: plain, status: 415, code: "not_json"},
		{name: "UTF-16", contentType: "application/json; charset=utf-16", body: plain, status: 415, code: "not_json"},
		{name: "Latin-1", contentType: "application/json; charset=iso-8859-1", body: plain, status: 415, code: "not_json"},
		{name: "compressed", contentType: "application/json", encoding: "gzip", body: gzipped(plain), status: 415, code: "encoded"},

		{name: "cut off", contentType: "application/json", body: `{"name":"Ibu`, status: 400, code: "bad_json"},
		{name: "two values", contentType: "application/json", body: plain + plain, status: 400, code: "bad_json"},
		{name: "single quotes", contentType: "application/json", body: `{'name':'Ibuprofen'}`, status: 400, code: "bad_json"},
		{name: "trailing comma", contentType: "application/json", body: `{"name":"Ibuprofen",}`, status: 400, code: "bad_json"},
		{name: "a word", contentType: "application/json", body: "Ibuprofen", status: 400, code: "bad_json"},
		{name: "HTML", contentType: "application/json", body: "<p>Ibuprofen</p>", status: 400, code: "bad_json"},
		{name: "invalid UTF-8", contentType: "application/json", body: "{\"name\":\"Ibu\xffprofen\"}", status: 400, code: "bad_json"},
		{name: "cut UTF-8", contentType: "application/json", body: "{\"name\":\"Zo\xc3\"}", status: 400, code: "bad_json"},
		{name: "UTF-8 surrogate", contentType: "application/json", body: "{\"name\":\"\xed\xa0\x80\"}", status: 400, code: "bad_json"},
		{name: "control character", contentType: "application/json", body: "{\"name\":\"Ibu\x00profen\"}", status: 400, code: "bad_json"},
		{name: "too deep", contentType: "application/json", body: `{"x":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}", status: 400, code: "bad_json"},
		{name: "101 levels", contentType: "application/json", body: `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", status: 400, code: "too_deep"},

		{name: "null", contentType: "application/json", body: "null", status: 400, code: "not_an_object"},
		{name: "true", contentType: "application/json", body: "true", status: 400, code: "not_an_object"},
		{name: "number", contentType: "application/json", body: "7", status: 400, code: "not_an_object"},
		{name: "text value", contentType: "application/json", body: `"Ibuprofen"`, status: 400, code: "not_an_object"},
		{name: "list", contentType: "application/json", body: "[" + plain + "]", status: 400, code: "not_an_object"},

		{name: "name null", contentType: "application/json", body: `{"name":null}`, status: 400, code: "invalid_name"},
		{name: "name number", contentType: "application/json", body: `{"name":7}`, status: 400, code: "invalid_name"},
		{name: "name list", contentType: "application/json", body: `{"name":["Ibuprofen"]}`, status: 400, code: "invalid_name"},
		{name: "name object", contentType: "application/json", body: `{"name":{"first":"Ibuprofen"}}`, status: 400, code: "invalid_name"},
		{name: "name empty", contentType: "application/json", body: `{"name":""}`, status: 400, code: "invalid_name"},
		{name: "bare tab", contentType: "application/json", body: "{\"name\":\"\t\"}", status: 400, code: "bad_json"},
		{name: "name blank", contentType: "application/json", body: `{"name":" \t\n "}`, status: 400, code: "invalid_name"},
		{name: "name of spaces", contentType: "application/json", body: `{"name":" \u00a0 "}`, status: 400, code: "invalid_name"},
		{name: "name of 101", contentType: "application/json", body: `{"name":"` + strings.Repeat("ü", 101) + `"}`, status: 400, code: "invalid_name"},
		{name: "name twice, last bad", contentType: "application/json", body: `{"name":"Ibuprofen","name":7}`, status: 400, code: "invalid_name"},

		{name: "a byte too many", contentType: "application/json", body: pillOf(maxBody + 1), status: 413, code: "body_too_large"},
		{name: "a byte too many, not JSON", body: strings.Repeat("x", maxBody+1), status: 413, code: "body_too_large"},
		{name: "10 MB", contentType: "application/json", body: pillOf(10 << 20), status: 413, code: "body_too_large"},
	}
	s := serve(t)
	v := s.visitor(t)
	v.add(`{"name":"kept"}`)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			headers := []string{}
			if test.contentType != "" {
				headers = append(headers, "Content-Type", test.contentType)
			}
			if test.encoding != "" {
				headers = append(headers, "Content-Encoding", test.encoding)
			}
			mine := &visitor{t: t, server: s, cookie: v.cookie}
			r := mine.do("POST", "/pills", test.body, headers...)
			r.wantError(t, "POST", test.status, test.code)
			mine.do("GET", "/pills", "").want(t, "GET after it", 200, `{"data":[{"name":"kept"}]}`)

			calls := s.store.calls.Load()
			stranger := s.visitor(t)
			r = stranger.do("POST", "/pills", test.body, headers...)
			r.wantError(t, "POST of a new visitor", test.status, test.code)
			if r.header["Set-Cookie"] != nil || s.store.calls.Load() != calls {
				t.Errorf("a refused pill sets the cookie %q and makes %d calls of the store; want neither",
					r.header["Set-Cookie"], s.store.calls.Load()-calls)
			}
		})
	}
}

func TestGoodPills(t *testing.T) {
	const plain = `{"name":"Ibuprofen"}`
	for _, test := range []struct{ name, contentType, body string }{
		{"upper case type", "Application/JSON", plain},
		{"UTF-8", "application/json; charset=utf-8", plain},
		{"UTF-8 quoted and upper case", `application/json;charset="UTF-8"`, plain},
		{"another JSON type", "application/vnd.pill+json", plain},
		{"name of 100", "application/json", `{"name":"` + strings.Repeat("ü", 100) + `"}`},
		{"emoji", "application/json", `{"name":"💊"}`},
		{"escaped surrogates", "application/json", `{"name":"\ud83d\udc8a"}`},
		{"a lone surrogate", "application/json", `{"name":"\ud800"}`},
		{"a large number", "application/json", `{"name":"a","n":123456789012345678901234567890.10}`},
		{"markup", "application/json", `{"name":"<script>alert(1)</script>"}`},
		{"prototype", "application/json", `{"name":"a","__proto__":{"admin":true}}`},
		{"name in capitals", "application/json", `{"NAME":7,"name":"a"}`},
		{"100 levels", "application/json", `{"x":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + "}"},
		{"brackets in a text", "application/json", `{"name":"` + strings.Repeat("[", 90) + `","x":"\\\"` + strings.Repeat("{", 200) + `"}`},
		{"exactly 100 kB", "application/json", pillOf(maxBody)},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := serve(t).visitor(t)
			want := `{"data":[` + test.body + `]}`
			v.do("POST", "/pills", test.body, "Content-Type", test.contentType).want(t, "POST", 200, want)
			v.do("GET", "/pills", "").want(t, "GET after it", 200, want)
		})
	}
}

// A body of unknown length is counted as it arrives.
func TestChunkedPills(t *testing.T) {
	s := serve(t)
	post := func(body io.Reader) reply {
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/pills", io.MultiReader(body)) // hides its length
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		return s.visitor(t).send(req)
	}
	post(strings.NewReader(`{"name":"Ibuprofen"}`)).want(t, "POST in chunks", 200, `{"data":[{"name":"Ibuprofen"}]}`)
	post(strings.NewReader("")).wantError(t, "POST of no chunk", 400, "body_missing")
	post(strings.NewReader(pillOf(maxBody))).want(t, "POST of 100 kB in chunks", 200, `{"data":[`+pillOf(maxBody)+`]}`)
	post(strings.NewReader(pillOf(maxBody+1))).wantError(t, "POST of 100 kB and a byte in chunks", 413, "body_too_large")
}

// A client that says how long its pill is, and then sends less of it.
func TestTruncatedPill(t *testing.T) {
	s := serve(t)
	for name, request := range map[string]string{
		"by length": "Content-Length: 20\r\n\r\n" + `{"name":"Ib`,
		"in chunks": "Transfer-Encoding: chunked\r\n\r\n14\r\n" + `{"name":"Ib`,
		"bad chunk": "Transfer-Encoding: chunked\r\n\r\nzz\r\n" + `{"name":"Ibuprofen"}` + "\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST /pills HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%s", s.Listener.Addr(), request)
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("read the answer: %v", err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			reply{res.StatusCode, res.Header, string(body)}.wantError(t, "POST", 400, "body_incomplete")
		})
	}
	if n := s.sessions(t); n != 0 {
		t.Errorf("%d sessions are stored after truncated pills; want 0", n)
	}
}

func TestRemovePills(t *testing.T) {
	s := serve(t)
	v := s.visitor(t)
	remove := func(at, name string) reply {
		t.Helper()
		return v.do("DELETE", "/pills/"+at+"?name="+url.QueryEscape(name), "")
	}
	remove("0", "a").wantError(t, "DELETE of a new visitor's pill", 404, "no_such_pill")
	for _, name := range []string{"a", "b", "a", "c & ü/", "b"} {
		v.add(`{"name":"` + name + `"}`)
	}
	for _, test := range []struct{ at, code string }{{"x", "invalid_index"}, {"-1", "invalid_index"}, {"1.5", "invalid_index"}, {"99999999999999999999", "invalid_index"}} {
		remove(test.at, "a").wantError(t, "DELETE /pills/"+test.at, 400, test.code)
	}
	remove("0", "b").wantError(t, "DELETE of b at 0, where a is the first", 404, "no_such_pill")
	remove("4", "nothing").wantError(t, "DELETE of a name that is not there", 404, "no_such_pill")
	remove("4", "").wantError(t, "DELETE without a name", 404, "no_such_pill")

	// Another tab has shortened the list since: the nearest before goes.
	remove("3", "a").want(t, "DELETE of a at 3", 200, `{"data":[{"name":"a"},{"name":"b"},{"name":"c & ü/"},{"name":"b"}]}`)
	remove("2", "c & ü/").want(t, "DELETE of c at 2", 200, `{"data":[{"name":"a"},{"name":"b"},{"name":"b"}]}`)
	remove("1000", "b").want(t, "DELETE of b beyond the end", 200, `{"data":[{"name":"a"},{"name":"b"}]}`)
	v.do("GET", "/pills", "").want(t, "GET", 200, `{"data":[{"name":"a"},{"name":"b"}]}`)

	v.do("DELETE", "/pills", "").want(t, "DELETE of all", 200, `{"data":[]}`)
	v.do("GET", "/pills", "").want(t, "GET after it", 200, `{"data":[]}`)
	v.do("DELETE", "/pills", "").want(t, "DELETE of none", 200, `{"data":[]}`)
	remove("0", "a").wantError(t, "DELETE of a in an empty list", 404, "no_such_pill")
	v.add(`{"name":"again"}`).want(t, "POST after it", 200, `{"data":[{"name":"again"}]}`)
	if n := s.sessions(t); n != 1 {
		t.Errorf("%d sessions are stored; want 1", n)
	}
}

// A pill that nests nearly as deep as encoding/json reads was acknowledged, and
// could not be read again inside of the session: all that was in it was lost.
func TestDeepPillLosesNothing(t *testing.T) {
	for _, levels := range []int{1000, 9_997, 9_998, 9_999, 10_000} {
		v := serve(t).visitor(t)
		v.add(`{"name":"kept"}`)
		v.add(`{"x":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + "}")
		if r := v.do("GET", "/pills", ""); !strings.HasPrefix(r.body, `{"data":[{"name":"kept"}`) {
			t.Errorf("GET after a pill of %d levels = %d %s; want the pill from before", levels, r.status, head(r.body))
		}
	}
}

// Names are compared with case, as JavaScript reads them from a pill.
func TestRemoveReadsTheNameAsThePageDoes(t *testing.T) {
	v := serve(t).visitor(t)
	v.add(`{"Name":7,"name":"a","NAME":"b"}`)
	v.do("DELETE", "/pills/0?name=b", "").wantError(t, "DELETE of b", 404, "no_such_pill")
	v.do("DELETE", "/pills/0?name=a", "").want(t, "DELETE of a", 200, `{"data":[]}`)
}

// Large pills fill the session; the one that does not fit is refused, those
// before it stay, and room can be made.
func TestFullSession(t *testing.T) {
	v := serve(t).visitor(t)
	pill := pillOf(maxBody)
	var kept []string
	var last reply
	for range 10 {
		if last = v.add(pill); last.status != 200 {
			break
		}
		kept = append(kept, pill)
	}
	last.wantError(t, "POST of one pill too many", http.StatusRequestEntityTooLarge, "session_full")
	if len(kept) != 2 {
		t.Errorf("%d pills of 100 kB fit into a session; want 2 (256 KiB)", len(kept))
	}
	all := `{"data":[` + strings.Join(kept, ",") + `]}`
	v.do("GET", "/pills", "").want(t, "GET of a full session", 200, all)
	v.add(`{"name":"small"}`).want(t, "POST of a small pill", 200, all[:len(all)-2]+`,{"name":"small"}]}`)
	v.do("DELETE", "/pills/1?name=big", "").want(t, "DELETE of a large pill", 200, `{"data":[`+pill+`,{"name":"small"}]}`)
	v.add(pill).want(t, "POST into the room", 200, `{"data":[`+pill+`,{"name":"small"},`+pill+`]}`)
}

// A pill without a name came from another client, and can be removed all the same.
func TestRemovePillWithoutName(t *testing.T) {
	v := serve(t).visitor(t)
	for _, body := range []string{`{"name":"Ibuprofen"}`, `{}`, `{"dose":7}`} {
		v.do("POST", "/pills", body, "Content-Type", "application/json")
	}
	v.do("DELETE", "/pills/2?name=", "").want(t, "removing the last pill without a name", 200, `{"data":[{"name":"Ibuprofen"},{}]}`)
	v.do("DELETE", "/pills/2?name=", "").want(t, "removing the other", 200, `{"data":[{"name":"Ibuprofen"}]}`)
}
