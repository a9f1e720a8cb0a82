package session_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

// RFC 6265bis §5.8.3 and §8.6: a sibling host can plant cookies of our name, and
// their order proves nothing. What is planted neither signs the visitor out nor
// in as another.
func TestSecurityPlantedBadCookies(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("mine")
	good := v.cookies[0]
	dead := l.visitor()
	dead.write("dead")
	ended := dead.cookies[0]
	dead.post(func(s *session.Session) error { return s.Destroy() })
	unknown := hostCookie + signLab("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	forged := hostCookie + "s%3Aforged.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for name, planted := range map[string][]string{
		"junk":     {hostCookie + "junk"},
		"empty":    {hostCookie},
		"forged":   {forged},
		"ended":    {ended},
		"unknown":  {unknown},
		"twice":    {good},
		"many":     {forged, ended, unknown, hostCookie + "x"},
		"80 of it": slices.Repeat([]string{forged}, 80), // Chromium keeps at most 180 of a site
	} {
		before := l.visitor(append(slices.Clone(planted), good)...)
		want(t, name+" before the good one", before.read(), "mine")
		after := l.visitor(append([]string{good}, planted...)...)
		want(t, name+" after the good one", after.read(), "mine")
		around := l.visitor(slices.Concat(planted, []string{good}, planted)...)
		want(t, name+" around the good one", around.read(), "mine")
	}
}

func TestSecurityPlantedLiveCookie(t *testing.T) {
	l := newLab(t)
	v, mallory := l.visitor(), l.visitor()
	v.write("mine")
	mallory.write("mallory's")
	for _, cookies := range [][]string{
		{v.cookies[0], mallory.cookies[0]},
		{mallory.cookies[0], v.cookies[0]},
	} {
		l.takeEvents()
		both := l.visitor(cookies...)
		want(t, "note with two live cookies", both.read(), "none")
		want(t, "events", l.takeEvents(), "ambiguous")
		want(t, "cookies set", len(both.fresh), 0)
	}
	want(t, "the visitor's note afterwards", v.read(), "mine")
}

// However many of its own ids an attacker plants in front, the visitor never
// gets the attacker's session: he would enter his data there.
func TestSecurityPlantedCookiesInFront(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 8, 31, 32, 33, 100} {
		for _, live := range []int{-1, 0, n - 1} { // where mallory's live session is among them
			l := newLab(t)
			v, mallory := l.visitor(), l.visitor()
			v.write("mine")
			mallory.write("mallory's")
			var planted []string
			for i := range n {
				planted = append(planted, hostCookie+signLab(fmt.Sprintf("planted-%024d", i)))
			}
			if live >= 0 {
				planted[live] = mallory.cookies[0]
			}
			got := l.visitor(append(planted, v.cookies[0])...).read()
			if got == "mallory's" || live < 0 && n <= 3 && got != "mine" {
				t.Errorf("%d planted cookies, a live one at %d: note = %q", n, live, got)
			}
		}
	}
}

// Who signs out is signed out, whatever else came along.
func TestSecurityDestroyWithPlantedCookies(t *testing.T) {
	for _, n := range []int{1, 4, 8, 31} {
		l := newLab(t)
		v := l.visitor()
		v.write("mine")
		own := v.id()
		var cookies []string
		for i := range n {
			cookies = append(cookies, hostCookie+signLab(fmt.Sprintf("planted-%024d", i)))
		}
		w := l.visitor(append(cookies, v.cookies[0])...)
		w.post(func(s *session.Session) error { return s.Destroy() })
		want(t, fmt.Sprintf("visitor's session is alive after Destroy with %d planted cookies", n), l.under.has(own), false)
		want(t, "cookies left in the browser", len(w.cookies), 0)
	}
}

// A session begun among planted ones ends them: they would go on competing.
func TestSecurityPlantedLiveCookiesEndWithANewSession(t *testing.T) {
	l := newLab(t)
	a, b := l.visitor(), l.visitor()
	a.write("a")
	b.write("b")
	v := l.visitor(a.cookies[0], b.cookies[0])
	v.signIn("ilmer")
	want(t, "rows", l.under.count(), 1)
	w := l.visitor(a.cookies[0], b.cookies[0], v.cookies[0])
	w.post(func(s *session.Session) error {
		user, err := s.User()
		want(t, "user", user, "ilmer")
		return err
	})
}
