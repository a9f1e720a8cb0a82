package browser_test

import (
	"fmt"
	"testing"
	"time"
)

// second is what the pages of one visitor may be behind each other.
const second = time.Second

// Ten fast clicks: ten pills, in both tabs, without a reload, within a second.
// Behind one Redis the tabs may be those of two processes: a browser sends them
// the same cookie. The original keeps two to seven pills, and shows none of them
// in the other tab.
func TestTenFastClicksShowInBothTabs(t *testing.T) {
	for _, test := range []struct {
		name, store string
		processes   int
		new         bool // the visitor has no session before the first click
	}{
		{"one process on SQLite", "sqlite", 1, false},
		{"one process on SQLite, a new visitor", "sqlite", 1, true},
		{"one process on Redis, a new visitor", "redis", 1, true},
		{"two processes behind one Redis", "redis", 2, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := serveOn(t, test.store)
			other := s
			if test.processes == 2 {
				other = s.beside()
			}
			one := visit(t, s.url+"/pharmacy")
			if !test.new {
				one.click(fill, 1)
				wait(one, "shown()", 1)
				one.click(`button("Remove one Ibuprofen")`, 1)
			}
			wait(one, "shown()", 0)
			two := one.another(other.url + "/pharmacy")
			wait(two, "shown()", 0)
			one.front()
			one.watch("shown() === 10")
			two.watch("shown() === 10")
			one.click(fill, 10)
			wantWithin(t, second, "ten pills", one, one, two)
			s.wantStored(repeat("Ibuprofen", 10)...)
			one.wantNoProblem("first tab")
			two.wantNoProblem("second tab")
		})
	}
}

// A browser opens six connections to a server in all, so that eight tabs with a
// stream each would wait for each other for ever. They share one.
func TestEightTabs(t *testing.T) {
	s := serve(t)
	window := visit(t, "about:blank")
	var tabs []*tab
	for range 8 {
		b := window.another(s.url + "/pharmacy")
		wait(b, "shown()", 0)
		tabs = append(tabs, b)
	}
	last := tabs[len(tabs)-1]
	for _, b := range tabs {
		b.watch("shown() === 1")
	}
	last.click(fill, 1)
	wantWithin(t, 2*second, "a pill", last, tabs...)

	// The first has the stream; when it closes, another one opens it.
	tabs[0].close()
	tabs = tabs[1:]
	for _, b := range tabs {
		b.watch("shown() === 2")
	}
	last.click(fill, 1)
	for _, b := range tabs {
		wait(b, "shown()", 2)
		b.wantNoProblem("one of the tabs")
	}
	s.wantStored(repeat("Ibuprofen", 2)...)
}

// The pages of a server that was restarted find it again by themselves, and the
// session is what it was.
func TestPagesFollowAgainAfterARestart(t *testing.T) {
	t.Parallel()
	onEachStore(t, func(t *testing.T, s *server) {
		one := visit(t, s.url+"/pharmacy")
		one.click(fill, 1)
		wait(one, "shown()", 1)
		two := one.another(s.url + "/pharmacy")
		wait(two, "shown()", 1)
		cookie := one.cookie(s.url)
		for n, end := range []func(){s.kill, s.stop} {
			end()
			s.start()
			one.front()
			for _, b := range []*tab{one, two} {
				b.watch(fmt.Sprintf("shown() === %d", 2+n))
			}
			one.click(fill, 1)
			for _, b := range []*tab{one, two} {
				t.Logf("after restart %d: a pill is seen after %v", n+1, b.since(one))
			}
		}
		if got := one.cookie(s.url); got != cookie {
			t.Error("the cookie has changed over a restart; want the same session")
		}
		s.wantStored(repeat("Ibuprofen", 3)...)
	})
}
