package session_test

import (
	"errors"
	"strings"
	"testing"
)

// An operator learns that the store is down also from requests that only read.
func TestOutageIsLogged(t *testing.T) {
	l := newLab(t)
	v := l.visitor()
	v.write("mine")
	l.takeEvents()
	l.store.rig(fails(errors.New("pillbox: test load session: the cable is cut"), "Load"), nil)
	v.read()
	want(t, "events", l.takeEvents(), "failed")
	l.mu.Lock()
	defer l.mu.Unlock()
	if log := l.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "the cable is cut") {
		t.Errorf("the log does not tell of the outage at level error:\n%s", log)
	}
}
