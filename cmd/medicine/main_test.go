package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const testSecret = "a secret of the tests that is long enough"

// An instance is the program, running inside of the test.
type instance struct {
	url    string
	stdout *buffer
	stop   func() error // ends it as SIGTERM does, and returns what run returned
}

// start runs the program on a free port, with args after those that make it so.
// Without a -store or SESSION_STORE it keeps its files in dir.
func start(t *testing.T, dir string, env map[string]string, args ...string) *instance {
	t.Helper()
	all := []string{"-addr", "localhost:0"}
	if env["PORT"] != "" {
		all = nil
	}
	if env["SESSION_STORE"] == "" {
		all = append(all, "-store", "sqlite:"+filepath.Join(dir, "medicine.db"))
	}
	ctx, cancel := context.WithCancel(t.Context())
	i := &instance{stdout: new(buffer)}
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, append(all, args...), func(name string) string { return env[name] }, i.stdout, t.Output())
	}()
	i.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		if err := i.stop(); err != nil {
			t.Errorf("run(%q) = %v; want nil after it was told to stop", args, err)
		}
	})
	for {
		if m := opened.FindStringSubmatch(i.stdout.String()); m != nil {
			i.url = m[1]
			return i
		}
		select {
		case err := <-ended:
			ended <- nil
			t.Fatalf("run(%q) = %v; want it to serve", args, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

var opened = regexp.MustCompile(`Medicine is open at (http://\S+) \(sessions: (\w+)\)`)

// A buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A visitor keeps the cookie that it was last given, whatever its name.
type visitor struct {
	t      *testing.T
	cookie string // name=value
	set    string // the last Set-Cookie
}

// client keeps no connection open, so that no server waits for one when it stops.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (v *visitor) do(method, url, body string, headers ...string) (status int, answer string) {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if v.cookie != "" {
		req.Header.Set("Cookie", v.cookie)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := client.Do(req)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatalf("%s %s: %v", method, url, err)
	}
	for _, line := range res.Header.Values("Set-Cookie") {
		v.set = line
		v.cookie, _, _ = strings.Cut(line, ";")
	}
	return res.StatusCode, string(text)
}

func (v *visitor) add(url, name string) (status int, answer string) {
	v.t.Helper()
	return v.do("POST", url+"/pills", `{"name":"`+name+`"}`)
}

// wantPills checks what the session of v holds at the server.
func (v *visitor) wantPills(url string, names ...string) {
	v.t.Helper()
	want := `{"data":[]}`
	if len(names) > 0 {
		want = `{"data":[{"name":"` + strings.Join(names, `"},{"name":"`) + `"}]}`
	}
	if status, got := v.do("GET", url+"/pills", ""); status != 200 || got != want {
		v.t.Errorf("GET /pills = %d %s; want 200 %s", status, got, want)
	}
}

func TestRunServesAndStops(t *testing.T) {
	before := runtime.NumGoroutine()
	dir := t.TempDir()
	for _, pills := range [][]string{{"a"}, {"a", "b"}, {"a", "b", "c"}} {
		i := start(t, dir, nil)
		if m := opened.FindStringSubmatch(i.stdout.String()); !strings.HasPrefix(m[1], "http://localhost:") || m[2] != "sqlite" {
			t.Errorf("the program says %q; want the address to open, on localhost, and the store sqlite", m[0])
		}
		v := &visitor{t: t}
		v.add(i.url, pills[0])
		v.wantPills(i.url, pills[0])
		if err := i.stop(); err != nil {
			t.Errorf("run = %v; want nil", err)
		}
		if !strings.Contains(i.stdout.String(), "Medicine is closing.") {
			t.Errorf("the program says %q; want that it closes", i.stdout)
		}
		if _, err := client.Get(i.url); err == nil {
			t.Errorf("GET %s answers after run has returned", i.url)
		}
		// SQLite removes the log when the last connection closes.
		if left, _ := filepath.Glob(filepath.Join(dir, "medicine.db-*")); len(left) > 0 {
			t.Errorf("run left %q: the store is not closed", left)
		}
	}
	waitFor(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}

// waitFor waits until what is true.
func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

func TestRestartKeepsSessions(t *testing.T) {
	dir := t.TempDir()
	v := &visitor{t: t}
	var names []string
	for _, name := range []string{"a", "b", "c"} {
		i := start(t, dir, nil)
		v.add(i.url, name)
		names = append(names, name)
		v.wantPills(i.url, names...)
		if err := i.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMemoryStoreForgets(t *testing.T) {
	env := map[string]string{"SESSION_STORE": "memory:", "SESSION_SECRET": testSecret}
	v := &visitor{t: t}
	i := start(t, "", env)
	if m := opened.FindStringSubmatch(i.stdout.String()); m[2] != "memory" {
		t.Errorf("the program says %q; want the store memory", m[0])
	}
	v.add(i.url, "a")
	v.wantPills(i.url, "a")
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	v.wantPills(start(t, "", env).url)
}

func TestFlagOverridesEnvironment(t *testing.T) {
	dir := t.TempDir()
	flagged, fromEnv := filepath.Join(dir, "flag.db"), filepath.Join(dir, "env.db")
	env := map[string]string{"SESSION_STORE": "sqlite:" + fromEnv}
	start(t, dir, env, "-store", "sqlite:"+flagged)
	if _, err := os.Stat(flagged); err != nil {
		t.Errorf("-store beside SESSION_STORE: %v; want the flag's file", err)
	}
	if _, err := os.Stat(fromEnv); err == nil {
		t.Error("-store beside SESSION_STORE opened the variable's file")
	}
	start(t, dir, env)
	if _, err := os.Stat(fromEnv); err != nil {
		t.Errorf("SESSION_STORE: %v; want the variable's file", err)
	}
}

func TestPortVariable(t *testing.T) {
	i := start(t, t.TempDir(), map[string]string{"PORT": "0"})
	if !strings.HasPrefix(i.url, "http://localhost:") {
		t.Errorf("PORT=0 opens %s; want http://localhost:…", i.url)
	}
	(&visitor{t: t}).wantPills(i.url)
}

func TestOrigins(t *testing.T) {
	const vite, other = "http://localhost:5173", "https://pharmacy.example"
	for _, test := range []struct {
		name    string
		env     map[string]string
		args    []string
		allowed []string
		refused []string
	}{
		{"default", nil, nil, []string{vite}, []string{other, "http://localhost:9999"}},
		{"variable", map[string]string{"CORS_ORIGINS": other + ", http://localhost:3000"}, nil, []string{other, "http://localhost:3000"}, []string{vite}},
		{"flag", map[string]string{"CORS_ORIGINS": vite}, []string{"-origins", other}, []string{other}, []string{vite}},
		{"none", nil, []string{"-origins", "none"}, nil, []string{vite, other}},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := start(t, t.TempDir(), test.env, test.args...)
			for origin, want := range allOf(test.allowed, test.refused) {
				status, answer := (&visitor{t: t}).do("POST", i.url+"/pills", `{"name":"a"}`, "Origin", origin, "Sec-Fetch-Site", "same-site")
				if status != want {
					t.Errorf("POST from %s = %d %s; want %d", origin, status, answer, want)
				}
			}
		})
	}
}

// allOf maps allowed origins to 200 and refused ones to 403.
func allOf(allowed, refused []string) map[string]int {
	all := make(map[string]int)
	for _, o := range allowed {
		all[o] = http.StatusOK
	}
	for _, o := range refused {
		all[o] = http.StatusForbidden
	}
	return all
}

func TestSecretRotation(t *testing.T) {
	const older, newer = testSecret + " 1", testSecret + " 2"
	dir := t.TempDir()
	serve := func(secrets string) *instance { return start(t, dir, map[string]string{"SESSION_SECRET": secrets}) }
	before, after := &visitor{t: t}, &visitor{t: t}

	i := serve(older)
	before.add(i.url, "before")
	i.stop()

	i = serve(newer + ", " + older)
	before.wantPills(i.url, "before")
	after.add(i.url, "after")
	i.stop()

	i = serve(newer)
	after.wantPills(i.url, "after")
	before.wantPills(i.url)
	i.stop()

	if _, err := os.Stat(filepath.Join(dir, secretFile)); err == nil {
		t.Errorf("%s was made although SESSION_SECRET is set", secretFile)
	}
}

func TestCookieFlags(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		host string // as the browser sends it
		want string // what Set-Cookie begins with and, after …, ends with; or "" for none
	}{
		{"default", nil, "", "__Host-session=s%3A…; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"default from elsewhere", nil, "192.0.2.1:8080", ""},
		{"as Express names it", []string{"-cookie-name", "connect.sid"}, "", "connect.sid=s%3A…; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"insecure", []string{"-insecure-cookie"}, "192.0.2.1:8080", "session=s%3A…; Path=/; HttpOnly; SameSite=Lax"},
		{"insecure as Express", []string{"-insecure-cookie", "-cookie-name", "connect.sid"}, "192.0.2.1:8080", "connect.sid=s%3A…; Path=/; HttpOnly; SameSite=Lax"},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := start(t, t.TempDir(), nil, test.args...)
			v := &visitor{t: t}
			headers := []string{}
			if test.host != "" {
				headers = []string{"Host", test.host}
			}
			status, answer := v.do("POST", i.url+"/pills", `{"name":"a"}`, headers...)
			if test.want == "" {
				if status != http.StatusInternalServerError || v.set != "" {
					t.Errorf("POST = %d %s, cookie %q; want 500 and no cookie", status, answer, v.set)
				}
				return
			}
			begin, end, _ := strings.Cut(test.want, "…")
			if status != 200 || !strings.HasPrefix(v.set, begin) || v.set[strings.Index(v.set, ";"):] != end {
				t.Errorf("POST = %d %s, cookie %q; want 200 and %s", status, answer, v.set, test.want)
			}
			v.wantPills(i.url, "a")
		})
	}
}

func TestTrustedProxies(t *testing.T) {
	for _, test := range []struct {
		name string
		env  map[string]string
		args []string
		want int
	}{
		{"none", nil, nil, 500},
		{"flag", nil, []string{"-trusted-proxies", "127.0.0.1, ::1"}, 200},
		{"variable", map[string]string{"TRUSTED_PROXIES": "127.0.0.0/8,::1/128"}, nil, 200},
		{"another", nil, []string{"-trusted-proxies", "192.0.2.1"}, 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := start(t, t.TempDir(), test.env, test.args...)
			v := &visitor{t: t}
			status, answer := v.do("POST", i.url+"/pills", `{"name":"a"}`, "Host", "pharmacy.example", "X-Forwarded-Proto", "https")
			if status != test.want || (v.cookie != "") != (test.want == 200) {
				t.Errorf("POST through a proxy = %d %s, cookie %q; want %d", status, answer, v.set, test.want)
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	const years = 365 * 24 * time.Hour
	for _, test := range []struct {
		args           []string
		idle, absolute time.Duration // absolute zero: none
	}{
		{nil, 30 * time.Minute, 24 * time.Hour},
		{[]string{"-idle", "90s", "-absolute", "2h"}, 90 * time.Second, 2 * time.Hour},
		{[]string{"-idle=5h", "-absolute=-1s"}, 5 * time.Hour, 0},
		{[]string{"-idle=-1s", "-absolute=-1s"}, 10 * years, 0},
		{[]string{"-idle=72h", "-absolute=1h"}, time.Hour, time.Hour},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			i := start(t, t.TempDir(), nil, test.args...)
			v := &visitor{t: t}
			v.add(i.url, "a")
			_, answer := v.do("GET", i.url+"/session", "")
			var card struct {
				Data struct {
					Created, IdleDeadline time.Time
					AbsoluteDeadline      *time.Time
				}
			}
			if err := json.Unmarshal([]byte(answer), &card); err != nil {
				t.Fatalf("GET /session = %s: %v", answer, err)
			}
			if got := card.Data.IdleDeadline.Sub(card.Data.Created); got < test.idle-time.Second || got > test.idle+10*time.Second {
				t.Errorf("the session ends unused after %v; want %v", got, test.idle)
			}
			var absolute time.Duration
			if d := card.Data.AbsoluteDeadline; d != nil {
				absolute = d.Sub(card.Data.Created)
			}
			if absolute != test.absolute {
				t.Errorf("the session ends at the latest after %v; want %v", absolute, test.absolute)
			}
		})
	}
}

// A session that is over is over at the server, whatever the browser still has.
func TestIdleSessionEnds(t *testing.T) {
	i := start(t, t.TempDir(), nil, "-idle", "100ms")
	v := &visitor{t: t}
	v.add(i.url, "a")
	time.Sleep(150 * time.Millisecond)
	v.wantPills(i.url)
}
