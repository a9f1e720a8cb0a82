package live_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pillboxgo/pillbox/live"
	"github.com/pillboxgo/pillbox/session"
)

func TestNewNamesEveryBadField(t *testing.T) {
	_, err := live.New(nil, live.Config{Keys: []string{""}, Heartbeat: -1, PollEvery: time.Microsecond, MaxStreams: -1})
	for _, word := range []string{"manager", "Keys", "Heartbeat", "PollEvery", "MaxStreams"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("New with everything wrong = %v; want an error that names %s", err, word)
		}
	}
}

func TestHeaders(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t, memory(t), session.Config{}, live.Config{})
		v := l.visitor()
		v.takes("a")
		p := v.opens()
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream", "Cache-Control": "no-store",
			"X-Accel-Buffering": "no", "Vary": "Cookie", "Set-Cookie": "",
		} {
			if got := p.header.Get(name); got != want {
				t.Errorf("%s: %q; want %q", name, got, want)
			}
		}
		if text := p.text.String(); !strings.HasPrefix(text, "retry: 2000\n\nevent: session\n") {
			t.Errorf("the stream begins with %q", text)
		}
		for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
			w := httptest.NewRecorder()
			l.hub.ServeHTTP(w, v.request(method))
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET" {
				t.Errorf("%s: %d, Allow %q; want 405, GET", method, w.Code, w.Header().Get("Allow"))
			}
		}
	})
}

// A plain writer, in a wrapper that promises more than there is.
type plain struct {
	http.Flusher // of nobody
	w            *httptest.ResponseRecorder
}

func (p plain) Header() http.Header         { return p.w.Header() }
func (p plain) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p plain) WriteHeader(status int)      { p.w.WriteHeader(status) }
func (p plain) Unwrap() http.ResponseWriter {
	return struct{ http.ResponseWriter }{p.w} // without the recorder's Flush
}

func TestServerThatCannotFlush(t *testing.T) {
	var log bytes.Buffer
	l := newLab(t, memory(t), session.Config{}, live.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	w := httptest.NewRecorder()
	l.hub.ServeHTTP(plain{w: w}, l.visitor().request("GET"))
	if w.Code != http.StatusInternalServerError || !strings.Contains(log.String(), "cannot flush") {
		t.Errorf("status %d, log %q; want 500 and a line that says why", w.Code, &log)
	}
}

// Twenty pages of one session cost what one does.
func TestLooks(t *testing.T) {
	in(t, func(t *testing.T) {
		store := newSpy(t)
		l := newLab(t, store, session.Config{}, live.Config{})
		v := l.visitor()
		v.takes("a")
		var pages []*page
		before := store.calls.Load()
		for range 20 {
			pages = append(pages, v.opens())
		}
		// One more, since nothing may be missed while the store begins to tell.
		time.Sleep(time.Second)
		if n := store.calls.Load() - before; n != 21 {
			t.Errorf("opening 20 pages cost %d calls; want 21", n)
		}
		before = store.calls.Load()
		time.Sleep(27 * time.Minute)
		if n := store.calls.Load() - before; n != 0 {
			t.Errorf("20 pages, on which nothing happens, cost %d calls; want none", n)
		}
		before = store.calls.Load()
		v.takes("a", "b")
		request := store.calls.Load() - before
		time.Sleep(time.Second)
		if n := store.calls.Load() - before - request; n != 1 {
			t.Errorf("a change cost %d calls for 20 pages; want 1", n)
		}
		for _, p := range pages {
			if got := p.events(); len(got) != 2 { // the first, and the change
				t.Errorf("a page gets %q; want two events", got)
			}
			before = store.calls.Load()
			p.cancel()
			p.isOpen("after its client left", false)
			if n := store.calls.Load() - before; n != 0 {
				t.Errorf("the end of a stream cost %d calls; want none", n)
			}
		}
		if sessions, streams := l.hub.Open(); sessions != 0 || streams != 0 {
			t.Errorf("after all pages are closed, %d sessions and %d streams are left", sessions, streams)
		}
		before = store.calls.Load()
		v.takes("c")
		request = store.calls.Load() - before
		time.Sleep(time.Hour)
		if n := store.calls.Load() - before - request; n != 0 {
			t.Errorf("without a page, a change cost %d looks; want none", n)
		}
	})
}

// A page that is open is nobody who uses the session, polled or not.
func TestOpenPageKeepsNoSessionAlive(t *testing.T) {
	for _, polled := range []bool{false, true} {
		in(t, func(t *testing.T) {
			var store session.Store = newSpy(t)
			if polled {
				store = silent{store}
			}
			l := newLab(t, store, session.Config{}, live.Config{PollEvery: 10 * time.Second})
			v := l.visitor()
			v.takes("a")
			v.opens()
			time.Sleep(half - time.Second)
			p := v.opens()
			p.events()
			time.Sleep(time.Second)
			p.gets("at the end", `ended {"reason":"expired"}`)
		})
	}
}

func TestHeartbeat(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t, memory(t), session.Config{}, live.Config{})
		v := l.visitor()
		v.takes("a")
		p := v.opens()
		p.events()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if n := strings.Count(p.text.String(), ":\n\n"); n != 3 {
			t.Errorf("%d heartbeats within a minute; want 3", n)
		}
	})
}

func TestMaxStreams(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t, memory(t), session.Config{}, live.Config{})
		v := l.visitor()
		v.takes("a")
		var pages []*page
		for range 32 {
			pages = append(pages, v.opens())
		}
		over := v.opens()
		over.isOpen("one too many", false)
		if wait, err := strconv.Atoi(over.header.Get("Retry-After")); over.status != http.StatusTooManyRequests || err != nil || wait < 1 {
			t.Errorf("one too many: %d, Retry-After %q; want 429 and seconds", over.status, over.header.Get("Retry-After"))
		}
		other := l.visitor()
		other.takes("a")
		other.opens().isOpen("another session", true)
		pages[7].cancel()
		synctest.Wait()
		v.opens().isOpen("after one has left", true)
		if sessions, streams := l.hub.Open(); sessions != 2 || streams != 33 {
			t.Errorf("%d sessions with %d streams; want 2 with 33", sessions, streams)
		}
	})
}

func TestStoreThatFails(t *testing.T) {
	in(t, func(t *testing.T) {
		store := newSpy(t)
		l := newLab(t, store, session.Config{}, live.Config{})
		v := l.visitor()
		v.takes("a")
		p := v.opens()
		p.events()
		time.Sleep(time.Second)
		broken := errors.New("broken")
		v.takes("b")
		store.fail(broken)
		late := v.opens()
		late.isOpen("while the store fails", false)
		if late.status != http.StatusServiceUnavailable || late.header.Get("Retry-After") == "" {
			t.Errorf("while the store fails: %d, Retry-After %q; want 503 and seconds", late.status, late.header.Get("Retry-After"))
		}
		time.Sleep(20 * time.Second)
		p.gets("while the store fails")
		store.fail(nil)
		time.Sleep(5 * time.Second)
		if got := p.events(); len(got) != 1 || !strings.HasPrefix(got[0], `change {"keys":["pills"],"removed":[],"values":{"pills":["b"]}`) {
			t.Errorf("after the store recovered: %q; want the change", got)
		}
		v.takes("c")
		store.fail(broken)
		before := store.calls.Load()
		time.Sleep(29 * time.Second)
		p.isOpen("after 29 seconds of failure", true)
		if n := store.calls.Load() - before; n < 5 || n > 15 {
			t.Errorf("a store that fails is called %d times within 29 s; want a few times", n)
		}
		time.Sleep(6 * time.Second)
		p.gets("after 35 seconds of failure")
		p.isOpen("after 35 seconds of failure", false)
	})
}

// A store that cannot be watched is polled, and tried again.
func TestWatchThatFails(t *testing.T) {
	in(t, func(t *testing.T) {
		var log bytes.Buffer
		store := &moody{spy: newSpy(t)}
		store.off.Store(true)
		here := newLab(t, store, session.Config{}, live.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		there := newLab(t, store, session.Config{}, live.Config{})
		v := there.visitor()
		v.takes("a")
		p := v.at(here).opens()
		p.events()
		v.takes("b")
		time.Sleep(600 * time.Millisecond)
		if got := p.events(); len(got) != 1 {
			t.Errorf("polled: %q; want the change", got)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "watching is off") {
			t.Errorf("the log of a store that cannot be watched: %q; want one line with the reason", &log)
		}
		store.off.Store(false) // as after somebody has set it right
		time.Sleep(2 * time.Minute)
		before := store.calls.Load()
		time.Sleep(time.Minute)
		if n := store.calls.Load() - before; n != 0 {
			t.Errorf("watched again, the store is called %d times in a minute; want never", n)
		}
		v.takes("c")
		time.Sleep(20 * time.Millisecond)
		if got := p.events(); len(got) != 1 {
			t.Errorf("watched again: %q; want the change", got)
		}
	})
}

// moody fails to be watched.
type moody struct {
	*spy
	off atomic.Bool
}

func (m *moody) Watch(ctx context.Context, changed func(string)) error {
	if m.off.Load() {
		return errors.New("watching is off")
	}
	return m.spy.Watch(ctx, changed)
}

// What happens between a page's own look and its stream's beginning is told.
func TestNothingIsMissedWhileConnecting(t *testing.T) {
	for what, test := range map[string]struct {
		do   func(there, here *visitor)
		want string
	}{
		"nothing":                    {func(_, _ *visitor) {}, ""},
		"a change here":              {func(_, v *visitor) { v.takes("b") }, `change {"keys":["pills"],"removed":[],"values":{"pills":["b"]}`},
		"a change elsewhere":         {func(v, _ *visitor) { v.takes("b") }, `change {"keys":["pills"],"removed":[],"values":{"pills":["b"]}`},
		"a sign-out here":            {func(_, v *visitor) { v.does((*session.Session).Destroy) }, `ended {"reason":"signed-out"}`},
		"a sign-out elsewhere":       {func(v, _ *visitor) { v.does((*session.Session).Destroy) }, `ended {"reason":"unknown"}`},
		"a sign-in here":             {func(_, v *visitor) { v.signsIn("homer") }, `renewed {"signedIn":true}`},
		"the user's revocation here": {func(_, v *visitor) { _, _ = v.lab.m.RevokeUser(v.lab.t.Context(), "ilmer") }, `ended {"reason":"revoked"}`},
		"much, and a change": {func(_, v *visitor) {
			other := v.lab.visitor()
			v.takes("b")
			for i := range 400 {
				other.takes(strconv.Itoa(i))
			}
		}, `change {"keys":["pills"],"removed":[],"values":{"pills":["b"]}`},
	} {
		for _, second := range []bool{false, true} {
			in(t, func(t *testing.T) {
				store := newSpy(t)
				here := newLab(t, store, session.Config{}, live.Config{})
				there := newLab(t, store, session.Config{}, live.Config{})
				v := here.visitor()
				v.takes("a")
				v.signsIn("ilmer")
				other := here.visitor()
				other.takes("other")
				other.opens() // so that the hub listens
				if second {
					v.opens()
				}
				time.Sleep(time.Second)
				happens := func() {
					test.do(v.at(there), v.at(here))
					time.Sleep(time.Millisecond) // the store tells of it
				}
				store.after.Store(&happens)
				p := v.opens()
				time.Sleep(200 * time.Millisecond)
				got := p.events()
				if test.want == "" && len(got) == 1 {
					return
				}
				if len(got) != 2 || !strings.HasPrefix(got[0], `session {"live":true`) || !strings.Contains(got[0], `["a"]`) || !strings.HasPrefix(got[1], test.want) {
					t.Errorf("%s, second page %v: %q; want the session and %s", what, second, got, test.want)
				}
			})
		}
	}
}

// What happens while a look is under way is looked at afterwards.
func TestNothingIsMissedWhileLooking(t *testing.T) {
	for what, test := range map[string]struct {
		do   func(v *visitor)
		want string
	}{
		"a change":   {func(v *visitor) { v.takes("c") }, `change {"keys":["pills"],"removed":[],"values":{"pills":["c"]}`},
		"revocation": {func(v *visitor) { _, _ = v.lab.m.RevokeUser(v.lab.t.Context(), "ilmer") }, `ended {"reason":"revoked"}`},
	} {
		in(t, func(t *testing.T) {
			store := newSpy(t)
			l := newLab(t, store, session.Config{}, live.Config{})
			v := l.visitor()
			v.signsIn("ilmer")
			p := v.opens()
			time.Sleep(time.Second)
			p.events()
			v.takes("b")
			happens := func() { test.do(v) }
			store.after.Store(&happens) // the next call is the look
			time.Sleep(time.Second)
			got := p.events()
			if len(got) != 2 || !strings.Contains(got[0], `["b"]`) || !strings.HasPrefix(got[1], test.want) {
				t.Errorf("%s: %q; want the change before and %s", what, got, test.want)
			}
		})
	}
}

// A page that opens may know more of the session than those that are open.
func TestNewPageTellsOldOnes(t *testing.T) {
	in(t, func(t *testing.T) {
		store := newSpy(t)
		here := newLab(t, store, session.Config{}, live.Config{})
		there := newLab(t, store, session.Config{}, live.Config{})
		v := there.visitor()
		v.takes("a")
		p := v.at(here).opens()
		time.Sleep(10 * time.Minute)
		v.reads() // of which no store tells
		p.events()
		late := v.at(here).opens()
		time.Sleep(time.Second)
		p.gets("an old page", "deadline {"+ms(half, day-10*time.Minute))
		if got := late.events(); len(got) != 1 {
			t.Errorf("the new page gets %q; want its first event alone", got)
		}
	})
}

// The store may be closed after the hub.
func TestCloseWaitsForLooks(t *testing.T) {
	in(t, func(t *testing.T) {
		store := newSpy(t)
		l := newLab(t, store, session.Config{}, live.Config{})
		v := l.visitor()
		v.takes("a")
		v.opens()
		time.Sleep(time.Second)
		v.takes("b")
		slow := func() { time.Sleep(time.Second) }
		store.after.Store(&slow)
		time.Sleep(20 * time.Millisecond)
		start := time.Now()
		l.hub.Close()
		if took := time.Since(start); took < 900*time.Millisecond {
			t.Errorf("Close returned after %v, while the store was in use for a second", took)
		}
	})
}

// A user whose sessions are all revoked and who signs in again meanwhile keeps
// the new one.
func TestRevocationSparesWhoSignedInSince(t *testing.T) {
	in(t, func(t *testing.T) {
		var l *lab
		var fresh *visitor
		var p *page
		l = newLab(t, memory(t), session.Config{Observe: func(e session.Event) {
			if e.Kind == session.EventRevoked { // it is done, and is about to be told
				time.Sleep(time.Millisecond)
				fresh = l.visitor()
				fresh.signsIn("ilmer")
				p = fresh.opens()
				p.events()
			}
		}}, live.Config{})
		v := l.visitor()
		v.signsIn("ilmer")
		old := v.opens()
		old.events()
		if _, err := l.m.RevokeUser(t.Context(), "ilmer"); err != nil {
			t.Fatal(err)
		}
		old.gets("revoked", `ended {"reason":"revoked"}`)
		time.Sleep(time.Second)
		p.gets("signed in since")
		p.isOpen("signed in since", true)
	})
}

// Somebody who reads slowly gets what became of it all, and holds up nobody.
func TestSlowReader(t *testing.T) {
	in(t, func(t *testing.T) {
		l := newLab(t, memory(t), session.Config{}, live.Config{})
		v := l.visitor()
		v.takes("0")
		slow, quick := v.opens(), v.opens()
		slow.events()
		quick.events()
		release := slow.hold()
		v.takes("1") // sticks in the middle of being sent
		time.Sleep(time.Second)
		for i := range 100 {
			v.does(func(s *session.Session) error { return notes.Set(s, strconv.Itoa(i)) })
			v.takes(strconv.Itoa(i))
			time.Sleep(20 * time.Millisecond)
		}
		v.does(func(s *session.Session) error { return notes.Delete(s) })
		time.Sleep(time.Second)
		if got := quick.events(); len(got) != 102 {
			t.Errorf("who reads gets %d events; want 102", len(got))
		}
		release()
		got := slow.events()
		if len(got) != 2 || !strings.HasPrefix(got[1], `change {"keys":["notes","pills"],"removed":["notes"],"values":{"pills":["99"]}`) {
			t.Errorf("who did not read for long gets %q; want the first change, and all others in one", got)
		}
		hold := slow.hold()
		v.takes("sticks")
		time.Sleep(time.Second)
		v.does(func(s *session.Session) error { return notes.Set(s, "x") })
		time.Sleep(time.Second)
		v.does(func(s *session.Session) error { return notes.Delete(s) })
		time.Sleep(time.Second)
		v.takes("last")
		time.Sleep(time.Second)
		v.does((*session.Session).Destroy)
		hold()
		got = slow.events()
		if len(got) != 3 || !strings.HasPrefix(got[1], `change {"keys":["pills","notes"],"removed":["notes"],"values":{"pills":["last"]}`) || got[2] != `ended {"reason":"signed-out"}` {
			t.Errorf("at the end it gets %q; want two changes and the end", got)
		}
	})
}

func TestClose(t *testing.T) {
	in(t, func(t *testing.T) {
		store := newSpy(t)
		l := newLab(t, store, session.Config{}, live.Config{})
		v := l.visitor()
		v.takes("a")
		p := v.opens()
		p.events()
		l.hub.Close()
		p.gets("closed")
		p.isOpen("closed", false)
		l.hub.Close()
		before := store.calls.Load()
		v.takes("b")
		request := store.calls.Load() - before
		time.Sleep(time.Hour)
		if n := store.calls.Load() - before - request; n != 0 {
			t.Errorf("closed, it calls the store %d times", n)
		}
		v.takes("c")
		for _, v := range []*visitor{v, l.visitor()} {
			late := v.opens()
			if late.status != http.StatusServiceUnavailable || late.header.Get("Retry-After") == "" {
				t.Errorf("closed: %d, Retry-After %q; want 503 and seconds", late.status, late.header.Get("Retry-After"))
			}
		}
	})
	unused := newLab(t, memory(t), session.Config{}, live.Config{})
	unused.hub.Close()
}

// What others keep in the session does not break the stream.
func TestForeignJSON(t *testing.T) {
	in(t, func(t *testing.T) {
		store := newSpy(t)
		l := newLab(t, store, session.Config{}, live.Config{})
		v := l.visitor()
		v.takes("a")
		p := v.opens()
		p.events()
		id := firstID(t, store)
		rec, err := store.Load(t.Context(), id, session.Slide{})
		if err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct{ stored, want string }{
			{"[\r\n \"line\",\n\t\"break\"\r]", `["line","break"]`},
			{`["lone \ud800 surrogate"]`, `["lone \ud800 surrogate"]`},
			{"[\"no UTF-8: \xff\xfe\"]", "[\"no UTF-8: \uFFFD\"]"},
			{"[\"\u2028\u2029\u0085</script>\"]", "[\"\u2028\u2029\u0085</script>\"]"},
			{`"data: x\n\nevent: ended\ndata: {}"`, `"data: x\n\nevent: ended\ndata: {}"`},
			{strings.Repeat("[", 9000) + strings.Repeat("]", 9000), strings.Repeat("[", 9000) + strings.Repeat("]", 9000)},
		} {
			cut := bytes.Index(rec.Data, []byte(`"pills":`)) + len(`"pills":`)
			data := slices.Concat(rec.Data[:cut], []byte(test.stored), []byte("}"))
			if err := store.Update(t.Context(), id, rec.Data, data, rec.Deadline); err != nil {
				t.Fatal(err)
			}
			rec.Data = data
			time.Sleep(time.Second)
			want := `change {"keys":["pills"],"removed":[],"values":{"pills":` + test.want + `},`
			if got := p.events(); len(got) != 1 || !strings.HasPrefix(got[0], want) {
				t.Errorf("stored as %.60q: %.200q; want %.200q", test.stored, got, want)
			}
		}
	})
}

// firstID returns the id of the only session.
func firstID(t *testing.T, store session.Lister) string {
	t.Helper()
	ids, _, err := store.List(t.Context(), "", 2)
	if err != nil || len(ids) != 1 {
		t.Fatalf("List = %d ids, %v", len(ids), err)
	}
	return ids[0]
}

// The log has neither ids nor data.
func TestLogIsDiscreet(t *testing.T) {
	in(t, func(t *testing.T) {
		var log bytes.Buffer
		store := newSpy(t)
		l := newLab(t, silent{store}, session.Config{}, live.Config{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		v := l.visitor()
		v.takes("data that is nobody's business")
		public, id := v.publicID(), firstID(t, store)
		v.opens()
		before := store.calls.Load()
		store.fail(errors.New("broken"))
		time.Sleep(59 * time.Second)
		l.hub.Close()
		if n := store.calls.Load() - before; n > 15 {
			t.Errorf("a store that fails is polled %d times within half a minute; want a few times", n)
		}
		for _, secret := range []string{"business", public, id, v.cookie} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("the log has %q: %s", secret, &log)
			}
		}
		if n := strings.Count(log.String(), "broken"); n != 1 {
			t.Errorf("the log says %d times a minute what is wrong; want once: %s", n, &log)
		}
	})
}
