package interop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/memstore"
)

// settings are the options of express-session and what they are called here.
var settings = []struct {
	name    string
	options string // beside the secret
	edit    func(*session.Config)
}{
	{"recommended", `"resave":false,"saveUninitialized":false`, func(*session.Config) {}},
	{"defaults", `"resave":true,"saveUninitialized":true`, func(c *session.Config) { c.Resave, c.SaveUninitialized = true, true }},
	{"resave", `"resave":true,"saveUninitialized":false`, func(c *session.Config) { c.Resave = true }},
	{"saveUninitialized", `"resave":false,"saveUninitialized":true`, func(c *session.Config) { c.SaveUninitialized = true }},
	{"rolling", `"resave":false,"saveUninitialized":false,"rolling":true`, func(c *session.Config) { c.Rolling = true }},
	{"rolling, saveUninitialized and maxAge", `"resave":false,"saveUninitialized":true,"rolling":true,"cookie":{"maxAge":3600000}`, func(c *session.Config) {
		c.Rolling, c.SaveUninitialized, c.Cookie.MaxAge = true, true, time.Hour
	}},
	{"maxAge", `"resave":false,"saveUninitialized":false,"cookie":{"maxAge":3600000}`, func(c *session.Config) { c.Cookie.MaxAge = time.Hour }},
	{"maxAge and resave", `"resave":true,"saveUninitialized":false,"cookie":{"maxAge":3600000}`, func(c *session.Config) { c.Cookie.MaxAge, c.Resave = time.Hour, true }},
	{"unset destroy", `"resave":false,"saveUninitialized":false,"unset":"destroy"`, func(c *session.Config) { c.Unset = session.UnsetDestroy }},
	{"cookie attributes", `"resave":false,"saveUninitialized":false,"proxy":true,"cookie":{"maxAge":7200000,"domain":"example.com","httpOnly":false,"secure":true,"partitioned":true,"priority":"medium","sameSite":"none"}`, func(c *session.Config) {
		c.TrustedProxies = []string{"127.0.0.1"}
		c.Cookie.MaxAge, c.Cookie.Domain, c.Cookie.HTTPOnly, c.Cookie.Secure = 2*time.Hour, "example.com", session.InsecureScriptAccess, session.SecureAlways
		c.Cookie.Partitioned, c.Cookie.Priority, c.Cookie.SameSite = true, session.PriorityMedium, session.SameSiteNone
	}},
	{"auto behind a proxy", `"resave":false,"saveUninitialized":false,"proxy":true,"cookie":{"secure":"auto","sameSite":"auto"}`, func(c *session.Config) {
		c.TrustedProxies = []string{"127.0.0.1"}
		c.Cookie.Secure, c.Cookie.SameSite = session.SecureAuto, session.SameSiteAuto
	}},
	{"auto over plain HTTP", `"resave":false,"saveUninitialized":false,"proxy":false,"cookie":{"secure":"auto","sameSite":"auto"}`, func(c *session.Config) {
		c.Cookie.Secure, c.Cookie.SameSite = session.SecureAuto, session.SameSiteAuto
	}},
	{"sameSite strict", `"resave":false,"saveUninitialized":false,"cookie":{"sameSite":"strict"}`, func(c *session.Config) { c.Cookie.SameSite = session.SameSiteStrict }},
}

// visits are what one visitor does, request by request.
var visits = []struct {
	name     string
	requests []string
}{
	{"nothing", []string{`[]`, `[]`}},
	{"changes", []string{
		`[["set","user","bob"]]`, `[]`, `[["set","user","bob"]]`, `[["set","user","eve"]]`,
		`[["set","user","x"],["set","user","eve"]]`, `[["delete","user"]]`, `[["delete","user"]]`, `[["set","b",1],["set","a",2]]`,
	}},
	{"values", []string{`[["set","v",` + values + `]]`, `[["set","v",` + values + `]]`, `[["set","v",null]]`, `[["set","nested",{"cookie":1}]]`, `[["set","nested",{"cookie":2}]]`}},
	{"lists", []string{`[["append","l",1]]`, `[["append","l",{"a":1}],["append","l","x"]]`, `[]`}},
	{"nothing, then a change", []string{`[]`, `[["set","user","bob"]]`, `[]`}},
	{"save", []string{`[["set","n",1],["save"]]`, `[["set","n",2],["save"],["set","n",3]]`, `[["set","n",3],["save"]]`, `[]`}},
	{"reload", []string{`[["set","n",1]]`, `[["set","n",2],["reload"]]`, `[["set","n",2],["reload"],["set","m",1]]`, `[]`}},
	{"regenerate", []string{`[["set","n",1]]`, `[["regenerate"]]`, `[]`, `[["set","lost",1],["regenerate"],["set","n",2]]`, `[["regenerate"],["set","n",3],["save"]]`, `[["regenerate"],["regenerate"]]`, `[]`}},
	{"regenerate first", []string{`[["regenerate"]]`, `[]`}},
	{"touch", []string{`[["touch"]]`, `[["set","n",1]]`, `[["touch"],["set","n",2]]`}},
	{"unset", []string{`[["unset"]]`, `[["set","n",1]]`, `[["set","n",2],["unset"]]`, `[]`, `[["set","n",3]]`}},
	{"destroy", []string{`[["set","n",1]]`, `[["destroy"]]`, `[]`, `[["set","n",2]]`, `[["destroy"]]`, `[["set","n",3]]`}},
	{"maxAge", []string{`[["set","n",1],["maxAge",1800000]]`, `[["set","n",2]]`, `[["maxAge",5400000],["set","n",3]]`, `[]`, `[["set","n",4]]`}},
	{"gone from the store", []string{`[["set","n",1]]`, "gone", `[]`, "gone", `[["set","n",2]]`, `[]`}},
	{"a forged cookie", []string{`[["set","n",1]]`, "forged", `[]`, "forged", `[["set","n",2]]`}},
}

// Two applications that do the same, one with the real express-session and one
// with Pillbox, answer with the same cookies, hold the same data and store the
// same JSON, request by request. Two things differ on purpose and are left out
// of the comparison: Pillbox clears the cookie of a session that it destroys,
// as express-session 2 is to do, and adds its own member "__pillbox".
func TestSameAsExpress(t *testing.T) {
	t.Parallel()
	var ours, theirs []*memstore.Store
	var stores []session.Store
	var options []string
	for _, s := range settings {
		ours, theirs = append(ours, newStore()), append(theirs, newStore())
		stores = append(stores, theirs[len(theirs)-1])
		options = append(options, `{"secret":"keyboard cat",`+s.options+`}`)
	}
	express := startExpress(t, stores, options...)
	for i, s := range settings {
		pillbox := startPillbox(t, configure(ours[i], s.edit))
		for _, v := range visits {
			t.Run(s.name+"/"+v.name, func(t *testing.T) {
				want := trace(t, fmt.Sprint(express, "/", i), theirs[i], v.requests)
				got := trace(t, pillbox, ours[i], v.requests)
				for j := range want {
					if want := mend(want[j]); got[j] != want {
						t.Fatalf("request %d, %s:\nExpress %s\nPillbox %s", j+1, v.requests[j], want, got[j])
					}
				}
			})
		}
	}
}

// trace makes a visitor's requests and returns what each came to, without what
// is by chance.
func trace(t *testing.T, url string, store *memstore.Store, requests []string) []string {
	t.Helper()
	v := &visitor{t: t}
	count := func() int {
		n, err := store.Count(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Error(err)
		}
		return n
	}
	began := count()
	var lines []string
	for _, ops := range requests {
		switch ops {
		case "gone":
			if err := store.Delete(t.Context(), v.id(), nil); err != nil {
				t.Error(err)
			}
			lines = append(lines, "")
			continue
		case "forged":
			if v.cookie != "" {
				v.cookie = strings.Replace(v.cookie, ".", ".A", 1)
			}
			lines = append(lines, "")
			continue
		}
		before := v.cookie
		a := v.ask(url, ops)
		sent := "no cookie"
		for _, line := range a.cookies {
			value, attributes, _ := strings.Cut(strings.TrimPrefix(line, "connect.sid="), "; ")
			switch {
			case value == "":
				continue // cleared; see TestSameAsExpress
			case value == before:
				sent = "the same cookie"
			default:
				sent = "a new cookie"
			}
			sent += " with " + relative(t, expiresAttribute, time.RFC1123, attributes)
		}
		if strings.Contains(ops, "destroy") && v.cookie == "" {
			v.cookie = before // as an Express application leaves it
		}
		data, err := json.Marshal(a.data)
		if err != nil {
			t.Error(err)
		}
		text := pillboxMember.ReplaceAllString(stored(t, store, v.id()), "")
		lines = append(lines, fmt.Sprintf("%d, %s, sees %s, %d sessions more, stored %s",
			a.status, sent, data, count()-began, relative(t, expiresMember, time.RFC3339, text)))
	}
	return lines
}

var originalMaxAge = regexp.MustCompile(`"originalMaxAge":(\d+)`)

// mend takes out of Express's trace what Pillbox does not do after it:
// originalMaxAge, which is whole seconds here, loses a millisecond whenever the
// clock ticks between two lines of express-session; and a cookie that 'auto'
// left insecure says so, where every other key that is unset says nothing.
func mend(line string) string {
	line = strings.Replace(line, `"secure":false,`, "", 1)
	return originalMaxAge.ReplaceAllStringFunc(line, func(text string) string {
		ms, err := strconv.Atoi(originalMaxAge.FindStringSubmatch(text)[1])
		if err != nil {
			return text
		}
		return fmt.Sprintf(`"originalMaxAge":%d`, (ms+999)/1000*1000)
	})
}

var (
	expiresAttribute = regexp.MustCompile(`Expires=([^;]+)`)
	expiresMember    = regexp.MustCompile(`"expires":"([^"]+)"`)
)

// relative replaces a moment in text by its distance from now, to the minute.
func relative(t *testing.T, moment *regexp.Regexp, layout, text string) string {
	t.Helper()
	m := moment.FindStringSubmatchIndex(text)
	if m == nil {
		return text
	}
	at, err := time.Parse(layout, text[m[2]:m[3]])
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprintf("%s%+.0f minutes%s", text[:m[2]], math.Round(time.Until(at).Minutes()), text[m[3]:])
}
