package browser_test

import "testing"

const warning = `says("Your session is about to end.")`

// A session that nobody uses warns its pages before it ends. An open page is no
// use; the button is. What has expired is told apart from a sign-out.
func TestExpiryIsAnnounced(t *testing.T) {
	t.Parallel()
	browser(t) // before npm is asked for
	script := axe(t)
	type visitor struct {
		s        *server
		one, two *tab
		cookie   string
	}
	var visitors []visitor // at the same time, since what takes time here is to wait
	for _, store := range stores {
		s := serveOn(t, store, "-idle", "9s")
		one := visit(t, s.url+"/pharmacy")
		one.click(fill, 1)
		wait(one, "shown()", 1)
		two := one.another(s.url + "/about")
		visitors = append(visitors, visitor{s, one, two, one.cookie(s.url)})
	}
	for _, v := range visitors {
		for _, b := range []*tab{v.one, v.two} {
			wait(b, warning, true)
			wait(b, `/0:0[1-3]/.test(seen(all("[role=timer]")[0]))`, true)
			b.watch("!" + warning)
		}
		v.two.click(`button("Stay")`, 1)
		wantWithin(t, 2*second, "that the session stays", v.two, v.one, v.two)
		v.s.wantStored("Ibuprofen")
	}

	// It warns again, and then the end comes: not before it was announced.
	for n, v := range visitors {
		wait(v.one, warning, true)
		if got := v.s.stored(); len(got) != 1 {
			t.Errorf("while it warns, stored are %q; want the one session", got)
		}
		v.two.look("about-expiring", script, []string{"light", "dark"}[n], n)
	}
	for _, v := range visitors {
		for _, b := range []*tab{v.one, v.two} {
			b.says("Your session has ended.")
			b.says("It was not used for 9 seconds.")
			wait(b, warning, false)
			wait(b, `says("signed out") || says("was ended")`, false)
			b.wantNoProblem("a page whose session expires")
		}
		wait(v.one, "shown()", 0)
		v.s.refuses(v.cookie)
		v.one.front()
		v.one.click(`button("Close")`, 1)
		wait(v.one, `says("Your session has ended.")`, false)
		v.one.click(fill, 1)
		wait(v.one, "shown()", 1)
	}
}

// The longest time of a session is extended by nothing, so that nothing is
// offered.
func TestLongestTimeIsAnnounced(t *testing.T) {
	t.Parallel()
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
