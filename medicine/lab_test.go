package medicine_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/pillboxgo/pillbox/medicine/lab"
)

// attack runs an attack and returns its outcome.
func (v *visitor) attack(name string) lab.Outcome {
	v.t.Helper()
	r := v.do("POST", "/lab/"+name, "")
	var body struct{ Data lab.Outcome }
	if err := json.Unmarshal([]byte(r.body), &body); r.status != http.StatusOK || err != nil {
		v.t.Fatalf("POST /lab/%s = %d %s, %v; want 200", name, r.status, r.body, err)
	}
	return body.Data
}

func TestLabTampered(t *testing.T) {
	s := serve(t)
	v := s.visitor(t)
	v.add(`{"name":"mine"}`)
	before := v.cookie
	o := v.attack("tampered")
	t.Logf("%+v", o)
	if !o.Refused || len(o.Steps) != 7 {
		t.Errorf("tampered = %+v", o)
	}
	if n := s.sessions(t); n != 1 || v.cookie != before {
		t.Errorf("%d sessions", n)
	}
	v.do("GET", "/pills", "").want(t, "GET /pills", 200, `{"data":[{"name":"mine"}]}`)
}
