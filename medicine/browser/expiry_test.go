package browser_test

import "testing"

const warning = `says("Your session is about to end.")`

// A session that nobody uses warns its pages before it ends. An open page is no
// use; the button is. What has expired is told apart from a sign-out.
func TestExpiryIsAnnounced(t *testing.T) {
	onEachStore(t, func(t *testing.T, s *server) {
		one := visit(t, s.url+"/pharmacy")
		one.click(fill, 1)
		wait(one, "shown()", 1)
		two := one.another(s.url + "/about")
		cookie := one.cookie(s.url)
		for _, b := range []*tab{one, two} {
			wait(b, warning, true)
			wait(b, `/0:0[1-3]/.test(seen(all("[role=timer]")[0]))`, true)
		}
		for _, b := range []*tab{one, two} {
			b.watch("!" + warning)
		}
		two.click(`button("Stay")`, 1)
		wantWithin(t, second, "that the session stays", two, one, two)
		s.wantStored("Ibuprofen")

		// It warns again, and then the end comes: not before it was announced.
		wait(one, warning, true)
		if got := s.stored(); len(got) != 1 {
			t.Errorf("while it warns, stored are %q; want the one session", got)
		}
		for _, b := range []*tab{one, two} {
			b.says("Your session has ended.")
			b.says("It was not used for 9 seconds.")
			wait(b, warning, false)
			wait(b, `says("signed out") || says("was ended")`, false)
			b.wantNoProblem("a page whose session expires")
		}
		wait(one, "shown()", 0)
		s.refuses(cookie)
		one.front()
		one.click(`button("Close")`, 1)
		wait(one, `says("Your session has ended.")`, false)
		one.click(fill, 1)
		wait(one, "shown()", 1)
	}, "-idle", "9s")
}

// The longest time of a session is extended by nothing, so that nothing is
// offered.
func TestLongestTimeIsAnnounced(t *testing.T) {
	s := serve(t, "-absolute", "8s", "-idle", "8s")
	b := visit(t, s.url+"/pharmacy")
	b.click(fill, 1)
	wait(b, "shown()", 1)
	wait(b, warning, true)
	b.click(fill, 1)
	wait(b, "shown()", 2)
	wait(b, warning, true)
	wait(b, `!!button("Stay")`, false)
	b.says("Your session has ended.")
	b.says("It had reached its longest time")
	b.wantNoProblem("a page whose session ends")
}
