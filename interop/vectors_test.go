package interop_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// newRandom returns a source that every run repeats.
func newRandom() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// idCharacters are those that an id may have.
const idCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~:+=@"

func pick(random *rand.Rand, alphabet []rune, n int) string {
	var b strings.Builder
	for range n {
		b.WriteRune(alphabet[random.IntN(len(alphabet))])
	}
	return b.String()
}

// A keeper is a store that has every session, takes every new one, and
// remembers who was asked for.
type keeper struct {
	session.Store
	asked []string
}

func (k *keeper) Load(_ context.Context, id string, _ session.Slide) (session.Record, error) {
	k.asked = append(k.asked, id)
	return session.Record{Data: []byte(`{"cookie":{}}`), Deadline: time.Now().Add(24*time.Hour - time.Second)}, nil
}

func (k *keeper) Create(context.Context, string, session.Record) error { return nil }

// serve answers one request by f, over TLS, and returns the Set-Cookie lines.
func serve(t *testing.T, config session.Config, cookie string, f func(s *session.Session)) []string {
	t.Helper()
	m, err := session.New(config)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	r := httptest.NewRequest("GET", "https://example.com/", nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		f(session.From(r.Context()))
	})).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Header()["Set-Cookie"]
}

func set(t *testing.T) func(s *session.Session) {
	return func(s *session.Session) {
		if err := session.Key[int]("n").Set(s, 1); err != nil {
			t.Errorf("Set = %v", err)
		}
	}
}

// Ten thousand random ids, each under a random secret: the cookie that Pillbox
// makes is the one that cookie-signature 1.0.7 and 1.2 and encodeURIComponent
// make.
func TestSignatures(t *testing.T) {
	t.Parallel()
	type question struct {
		Ask    string `json:"ask"`
		ID     string `json:"id"`
		Secret string `json:"secret"`
	}
	random := newRandom()
	secretCharacters := []rune("abcXYZ019 -_.%+/=\"\\\n\u0000äåß€\u2028😀")
	var questions []question
	for range 10000 {
		questions = append(questions, question{
			Ask:    "sign",
			ID:     pick(random, []rune(idCharacters), 22+random.IntN(128-22+1)),
			Secret: pick(random, secretCharacters, 1+random.IntN(80)),
		})
	}
	answers := ask[question, []string](t, questions)
	for i, q := range questions {
		config := configure(&keeper{}, func(c *session.Config) {
			c.Secrets = []string{q.Secret}
			c.GenerateID = func(*http.Request) (string, error) { return q.ID, nil }
		})
		lines := serve(t, config, "", set(t))
		for _, value := range answers[i] {
			if want := "connect.sid=" + value + "; Path=/; HttpOnly"; len(lines) != 1 || lines[0] != want {
				t.Fatalf("id %q, secret %q:\nPillbox %q\nExpress %q", q.ID, q.Secret, lines, want)
			}
		}
	}
}

// Random Cookie headers, most of them a little wrong: Pillbox asks its store for
// a session exactly where express-session does, and for the same one. Every
// header has our name once, since of several Pillbox looks at each on purpose.
func TestCookieHeaders(t *testing.T) {
	t.Parallel()
	type question struct {
		Ask     string   `json:"ask"`
		Header  string   `json:"header"`
		Name    string   `json:"name"`
		Secrets []string `json:"secrets"`
	}
	random := newRandom()
	secrets := []string{"first secret", "second secret"}
	var questions []question
	for range 10000 {
		questions = append(questions, question{Ask: "read", Header: header(random, secrets), Name: "connect.sid", Secrets: secrets})
	}
	answers := ask[question, []*string](t, questions)
	store := &keeper{}
	config := configure(store, func(c *session.Config) { c.Secrets = secrets })
	found := 0
	for i, q := range questions {
		store.asked = nil
		serve(t, config, q.Header, func(s *session.Session) { _, _ = session.Key[int]("n").Get(s) })
		got := strings.Join(store.asked, ", ")
		for _, id := range answers[i] {
			want := ""
			if id != nil {
				want = *id
				found++
			}
			if got != want {
				t.Fatalf("Cookie %q:\nPillbox asks for %q\nExpress asks for %q", q.Header, got, want)
			}
		}
	}
	if found < 2000 || found > 18000 {
		t.Errorf("of %d headers %d have a session; want a mixture", len(questions), found/2)
	}
}

// header makes a Cookie header that has a cookie connect.sid.
func header(random *rand.Rand, secrets []string) string {
	id := pick(random, []rune(idCharacters), 1+random.IntN(40))
	value := signedBy(id, secrets[random.IntN(2)])
	if random.IntN(8) == 0 {
		value = signedBy(id, "another secret")
	}
	for range random.IntN(3) {
		value = spoil(random, value)
	}
	pair := pad(random) + "connect.sid" + pad(random) + "=" + pad(random) + value + pad(random)
	others := []string{"a=1", " b=\"x y\"", "c", "", "d==", "=e", " connect.sidx=1", "f=%", "g=;", `h="`, "connect=sid"}
	for range random.IntN(4) {
		other := others[random.IntN(len(others))]
		if random.IntN(2) == 0 {
			pair = other + ";" + pair
		} else {
			pair += ";" + other
		}
	}
	return pair
}

func pad(random *rand.Rand) string {
	return []string{"", "", "", " ", "\t", " \t "}[random.IntN(6)]
}

// spoil changes the way a value is written, or what it says.
func spoil(random *rand.Rand, value string) string {
	at := random.IntN(len(value) + 1)
	decoded := strings.NewReplacer("%3A", ":", "%2B", "+", "%2F", "/", "%3D", "=", "%40", "@").Replace(value)
	switch random.IntN(14) {
	case 0, 1:
		return `"` + value + `"`
	case 2, 3:
		return decoded
	case 4:
		return strings.ToLower(value[:min(4, len(value))]) + value[min(4, len(value)):]
	case 5: // percent-encode one character more
		if at < len(value) && value[at] != '%' && value[at] != '"' {
			return fmt.Sprintf("%s%%%02x%s", value[:at], value[at], value[at+1:])
		}
	case 6:
		return value[:at] + []string{"%", "%zz", "%ff", "%C3%A9", "%E2%82", "%25", "%00"}[random.IntN(7)] + value[at:]
	case 7:
		return value[:at]
	case 8:
		return value[:at] + string(idCharacters[random.IntN(len(idCharacters))]) + value[at:]
	case 9:
		return value + "="
	case 10:
		return strings.NewReplacer("+", "-", "/", "_").Replace(decoded)
	case 11:
		return strings.TrimPrefix(decoded, "s:")
	case 12:
		return value + []string{`"`, " x", ".", "+", "é"}[random.IntN(5)]
	}
	return value
}

// signedBy returns the cookie value for an id.
func signedBy(id, secret string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(id))
	signature := base64.RawStdEncoding.EncodeToString(h.Sum(nil))
	return strings.NewReplacer(":", "%3A", "+", "%2B", "/", "%2F", "=", "%3D", "@", "%40").Replace("s:" + id + "." + signature)
}

// Random cookies: the whole Set-Cookie line is what the package cookie makes of
// the same options.
func TestSetCookieLines(t *testing.T) {
	t.Parallel()
	type question struct {
		Ask     string         `json:"ask"`
		Name    string         `json:"name"`
		Value   string         `json:"value"`
		Options map[string]any `json:"options"`
	}
	random := newRandom()
	var questions []question
	var lines []string
	synctest.Test(t, func(t *testing.T) {
		for range 3000 {
			time.Sleep(time.Duration(random.Int64N(int64(24 * time.Hour))))
			q := question{Ask: "serialize", Name: pick(random, []rune("aZ09!#$%&'*+-.^_`|~"), 1+random.IntN(20)), Options: map[string]any{"path": "/"}}
			id := pick(random, []rune(idCharacters), 22+random.IntN(60))
			config := configure(&keeper{}, func(c *session.Config) {
				c.Secrets = []string{"a secret"}
				c.GenerateID = func(*http.Request) (string, error) { return id, nil }
				c.Cookie.Name = q.Name
				cookie(random, &c.Cookie, q.Options)
			})
			line := strings.Join(serve(t, config, "", set(t)), "\n")
			if strings.Contains(line, "\n") || line == "" {
				t.Fatalf("Set-Cookie %q; want one", line)
			}
			// The value is TestSignatures' affair.
			value, rest, _ := strings.Cut(strings.TrimPrefix(line, q.Name+"="), ";")
			if value == "" {
				t.Fatalf("Set-Cookie %q; want a value", line)
			}
			lines = append(lines, q.Name+"=value;"+rest)
			q.Value = "value"
			questions = append(questions, q)
		}
	})
	for i, want := range ask[question, string](t, questions) {
		if lines[i] != want {
			t.Fatalf("options %v:\nPillbox %s\nExpress %s", questions[i].Options, lines[i], want)
		}
	}
}

// cookie chooses attributes, for Pillbox and as options of the package cookie.
func cookie(random *rand.Rand, c *session.Cookie, options map[string]any) {
	chance := func() bool { return random.IntN(2) == 0 }
	if chance() {
		c.Domain = []string{"example.com", ".example.com", "a.b-c.example.com"}[random.IntN(3)]
		options["domain"] = c.Domain
	}
	if chance() {
		c.MaxAge = time.Duration(1+random.Int64N(int64(400*24*time.Hour/time.Millisecond))) * time.Millisecond
		options["expires"] = time.Now().Add(c.MaxAge).UnixMilli()
	}
	c.HTTPOnly = session.InsecureScriptAccess
	if chance() {
		c.HTTPOnly = session.HTTPOnlyAlways
		options["httpOnly"] = true
	}
	if chance() {
		c.Secure = session.SecureAlways
		options["secure"] = true
		if chance() {
			c.Partitioned = true
			options["partitioned"] = true
		}
	}
	if chance() {
		c.Priority = []session.Priority{session.PriorityLow, session.PriorityMedium, session.PriorityHigh}[random.IntN(3)]
		options["priority"] = strings.ToLower(string(c.Priority))
	}
	switch random.IntN(4) {
	case 0:
		c.SameSite = session.SameSiteLax
		options["sameSite"] = "lax"
	case 1:
		c.SameSite = session.SameSiteStrict
		options["sameSite"] = true
	case 2:
		if c.Secure == session.SecureAlways {
			c.SameSite = session.SameSiteNone
			options["sameSite"] = "none"
		}
	}
}

// The tests' own ids are shaped as express-session's are.
func TestGeneratedIDs(t *testing.T) {
	t.Parallel()
	config := configure(&keeper{})
	seen := make(map[string]bool)
	for range 1000 {
		v := &visitor{t: t}
		lines := serve(t, config, "", set(t))
		v.cookie, _, _ = strings.Cut(strings.TrimPrefix(strings.Join(lines, ""), "connect.sid="), ";")
		raw, err := base64.RawURLEncoding.Strict().DecodeString(v.id())
		if err != nil || len(raw) != 24 || len(v.id()) != 32 || seen[v.id()] {
			t.Fatalf("id of %d characters, %d bytes, %v; want 24 new bytes in base64url", len(v.id()), len(raw), err)
		}
		seen[v.id()] = true
	}
}
