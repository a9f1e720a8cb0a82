package browser_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/pillboxgo/pillbox/internal/need"
	"github.com/pillboxgo/pillbox/internal/servers"
)

// scratch is a folder for what all tests share: the program and the browser's
// profile.
var scratch string

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	var err error
	if scratch, err = os.MkdirTemp("", "medicine-browser-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(scratch)
	defer func() {
		if chromium.stop != nil {
			chromium.stop()
		}
	}()
	return servers.Main(m)
}

// chromium is the browser that all tests share; each has a profile of its own.
var chromium struct {
	once    sync.Once
	ctx     context.Context
	err     error
	stop    func()
	clients net.Addr // where clientPage is served
}

// browser starts the browser, the first time.
func browser(t *testing.T) context.Context {
	t.Helper()
	path := need.Chromium(t)
	c := &chromium
	c.once.Do(func() {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			c.err = err
			return
		}
		clients := &http.Server{Handler: http.HandlerFunc(serveClient)}
		go clients.Serve(listener)
		c.clients = listener.Addr()

		options := []chromedp.ExecAllocatorOption{
			chromedp.ExecPath(path),
			chromedp.UserDataDir(filepath.Join(scratch, "profile")),
			chromedp.Headless,
			chromedp.DisableGPU,
			chromedp.NoFirstRun,
			chromedp.NoDefaultBrowserCheck,
			// No request of the browser's own.
			chromedp.Flag("disable-background-networking", true),
			chromedp.Flag("disable-component-update", true),
			chromedp.Flag("disable-sync", true),
			chromedp.Flag("disable-quic", true),
			chromedp.Flag("disable-dev-shm-usage", true),
			// A window that is not in front is not slowed down.
			chromedp.Flag("disable-background-timer-throttling", true),
			chromedp.Flag("disable-backgrounding-occluded-windows", true),
			chromedp.Flag("disable-renderer-backgrounding", true),
			// The port of Vite, which is the one that is trusted by default, may
			// be taken on this machine.
			chromedp.Flag("host-resolver-rules", "MAP localhost:5173 "+listener.Addr().String()),
		}
		if os.Geteuid() == 0 {
			options = append(options, chromedp.NoSandbox)
		}
		ctx, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
		ctx, stop := chromedp.NewContext(ctx)
		c.ctx, c.err = ctx, chromedp.Do(ctx)
		c.stop = func() {
			stop()
			stopAllocator()
			clients.Close()
		}
	})
	if c.err != nil {
		t.Fatalf("start %s: %v", path, c.err)
	}
	return c.ctx
}

// A tab is a page, and what went wrong in it.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
	requests []*request
	byID     map[network.RequestID]*request
}

// A request is one of a page, in the order in which they were sent.
type request struct {
	method, url string
	status      int64
	outcome     outcome
}

type outcome int

const (
	underWay outcome = iota
	answered         // whole, and with a status below 400
	refused          // by a status from 400 on, or by the browser
)

// visit opens a page as a new visitor: in a profile without cookies.
func visit(t *testing.T, url string) *tab {
	t.Helper()
	return newTab(t, browser(t), url, chromedp.WithNewBrowserContext())
}

// another opens a page beside this one, in the same window and in front of it.
func (b *tab) another(url string) *tab {
	b.t.Helper()
	return newTab(b.t, b.ctx, url, chromedp.WithNewWindow(false))
}

func newTab(t *testing.T, parent context.Context, url string, options ...chromedp.ContextOption) *tab {
	t.Helper()
	b := &tab{t: t, byID: map[network.RequestID]*request{}}
	ctx, cancel := chromedp.NewContext(parent, append(options, chromedp.WithListener(b.note))...)
	t.Cleanup(func() {
		if t.Failed() {
			b.tell(t)
		}
		cancel()
	})
	b.ctx = ctx
	// Animations end at once, so that a picture shows no half of one.
	b.media("light")
	b.size(1280, 900)
	if url != "" {
		b.open(url)
	}
	return b
}

// tell logs what the tab did last, for who reads of a failure.
func (b *tab) tell(t *testing.T) {
	where, _ := eval[string](b, "location.href")
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.requests[max(0, len(b.requests)-12):] {
		where += fmt.Sprintf("\n\t%s %s: %d %s", r.method, r.url, r.status, [...]string{"under way", "answered", "refused"}[r.outcome])
	}
	t.Logf("a tab is at %s\nproblems: %q", where, b.problems)
}

// note keeps what the browser tells of the page.
func (b *tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	problem := func(format string, args ...any) { b.problems = append(b.problems, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if o := e.ExceptionDetails.Exception; o != nil {
			text += " " + o.Description
		}
		problem("exception: %s", text)
	case *runtime.EventConsoleAPICalled:
		switch e.Type {
		case runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning, runtime.ConsoleAPICalledTypeAssert:
			var args []string
			for _, a := range e.Args {
				args = append(args, string(a.Value)+a.Description)
			}
			problem("console.%s: %s", e.Type, strings.Join(args, " "))
		}
	case *log.EventEntryAdded:
		// Violations of the Content-Security-Policy come here, among others.
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			problem("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		r := &request{method: e.Request.Method, url: e.Request.URL}
		b.requests, b.byID[e.RequestID] = append(b.requests, r), r
	case *network.EventLoadingFinished:
		if r := b.byID[e.RequestID]; r != nil && r.status < 400 {
			r.outcome = answered
		}
	case *network.EventLoadingFailed:
		r := b.byID[e.RequestID]
		if r == nil {
			r = new(request)
		}
		r.outcome = refused
		// A page that goes away ends the stream it listens to.
		if !e.Canceled || !strings.HasSuffix(r.url, "/live") {
			problem("request failed: %s: %s (cancelled: %v)", r.url, e.ErrorText, e.Canceled)
		}
	case *network.EventResponseReceived:
		r := b.byID[e.RequestID]
		if r == nil {
			r = new(request)
		}
		r.status = e.Response.Status
		if r.status >= 400 {
			r.outcome = refused
			problem("%s answers %d", e.Response.URL, e.Response.Status)
		}
	}
}

// count returns how many requests of this kind came to this.
func (b *tab) count(method, path string, want outcome) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, r := range b.requests {
		if r.method == method && strings.HasSuffix(r.url, path) && r.outcome == want {
			n++
		}
	}
	return n
}

// wantCount waits until so many requests of this kind have come to this.
func (b *tab) wantCount(method, path string, want outcome, n int) {
	b.t.Helper()
	waitFor(b.t, fmt.Sprintf("%d times %s %s", n, method, path), func() error {
		if got := b.count(method, path, want); got != n {
			return fmt.Errorf("there are %d", got)
		}
		return nil
	})
}

// wantNoProblem checks that nothing has gone wrong in the page.
func (b *tab) wantNoProblem(what string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Errorf("%s: %s", what, p)
	}
}

// sent returns how many requests of this kind, "POST /pills", the page has sent.
func (b *tab) sent(method, path string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, r := range b.requests {
		if r.method == method && strings.HasSuffix(r.url, path) {
			n++
		}
	}
	return n
}

func (b *tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// call sends a command of the DevTools protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

func (b *tab) open(url string) {
	b.t.Helper()
	b.do("open "+url, chromedp.Navigate(url))
}

// media chooses light or dark colours, as the system would.
func (b *tab) media(colours string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: colours},
		{Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

func (b *tab) size(width, height int64) {
	b.t.Helper()
	b.do("change the size", chromedp.EmulateViewport(width, height))
}

// front makes this tab the one that the visitor looks at.
func (b *tab) front() {
	b.t.Helper()
	call(b, page.BringToFront, cdp.Empty{})
	// What is clicked before it is painted is not clicked.
	get[any](b, "new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted)))")
}

// seeing is known to every script that the tests evaluate.
//
//go:embed testdata/page.js
var seeing string

// eval evaluates an expression, and awaits it.
func eval[T any](b *tab, expression string) (T, error) {
	script := "(async () => {" + seeing + "return (" + expression + ");})()"
	ctx, cancel := context.WithTimeout(b.ctx, 30*time.Second)
	defer cancel()
	raw, err := chromedp.Run(ctx, chromedp.Evaluate[[]byte](script, chromedp.EvalAwaitPromise, chromedp.EvalAsValue))
	var value T
	if err != nil || len(raw) == 0 {
		return value, err
	}
	return value, json.Unmarshal(raw, &value)
}

// get is eval for what must not fail.
func get[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := eval[T](b, expression)
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// wait waits until an expression has this value.
func wait[T comparable](b *tab, expression string, want T) {
	b.t.Helper()
	waitFor(b.t, fmt.Sprintf("%s to be %v", expression, want), func() error {
		got, err := eval[T](b, expression)
		if err != nil {
			return err // the page may be loading
		}
		if got != want {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

const fill = `button("Fill Prescription")`

// cookies returns the cookies that the browser has for url.
func (b *tab) cookies(url string) []*network.Cookie {
	b.t.Helper()
	return call(b, network.GetCookies, network.GetCookiesParams{URLs: []string{url}}).Cookies
}

// cookie returns the value of the session's cookie at url, or "" for none.
func (b *tab) cookie(url string) string {
	b.t.Helper()
	for _, c := range b.cookies(url) {
		if c.Name == "__Host-session" {
			return c.Value
		}
	}
	return ""
}
