package session

import "testing"

// Whoever leaves just as the turn comes passes it on.
func TestLineOfThoseWhoLeave(t *testing.T) {
	l := newLines()
	first, second, third := l.stand("k", true), l.stand("k", true), l.stand("k", true)
	if o, err := first.wait(t.Context()); o != nil || err != nil {
		t.Fatalf("the first in the line got %v, %v; want the turn", o, err)
	}
	first.leave()
	second.leave() // it has not heard yet
	select {
	case o := <-third.offers:
		if third.mine = o == nil; !third.mine {
			t.Errorf("the last in the line got an offer; want the turn")
		}
	default:
		t.Fatal("nobody has the turn")
	}
	if !l.busy("k") {
		t.Error("the line is empty while somebody has the turn")
	}
	third.leave()
	if l.busy("k") {
		t.Error("somebody has the turn after all have left")
	}
	if fourth := l.stand("k", true); len(fourth.offers) != 1 {
		t.Error("who comes to an empty line has not got the turn")
	}
}
