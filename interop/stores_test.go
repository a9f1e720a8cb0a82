package interop_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// test runs what holds for every store.
func (h *house) test() {
	h.t.Run("sessions are shared", h.testShared)
	h.t.Run("rows are what Express writes", h.testRows)
	h.t.Run("either side's use moves the row", h.testTouch)
	h.t.Run("a lifetime is shared", h.testLifetime)
	h.t.Run("ended by Express is final", h.testEndedByExpress)
	h.t.Run("ended by Pillbox", h.testEndedByPillbox)
	h.t.Run("the redirect finds the session", h.testRedirect)
	h.t.Run("lists show sessions only", h.testLists)
	h.t.Run("parallel requests", h.testParallel)
}

// lifetimes are the two pairs of applications in the common place.
var lifetimes = []struct {
	name string
	app  int
	edit func(*session.Config)
}{
	{"no lifetime", plain, func(*session.Config) {}},
	{"an hour", hourly, hourlong},
}

func (h *house) testShared(t *testing.T) {
	store := h.open(t, h.url, common)
	for _, l := range lifetimes {
		express, pillbox := h.app(l.app), h.pillbox(t, store, l.edit)
		for _, pair := range [][2]side{{express, pillbox}, {pillbox, express}} {
			t.Run(fmt.Sprintf("%s, made by %s", l.name, pair[0].name), func(t *testing.T) {
				exchange(t, pair[0], pair[1], func(id string) string { return h.row(t, common, id).data })
			})
		}
	}
}

// What lies in the row after a request to Pillbox is what lies there after the
// same request to Express, but for Pillbox's own member.
func (h *house) testRows(t *testing.T) {
	store := h.open(t, h.url, common)
	for _, l := range lifetimes {
		express, pillbox := h.app(l.app), h.pillbox(t, store, l.edit)
		for _, visit := range []struct {
			name     string
			requests []string
		}{
			{"changes", []string{
				`[["set","a",1],["set","b",{"z":1,"a":[1,-2.5,"x",null,true,{}]}]]`, `[["set","a",2]]`, `[["set","c","é😀<&>"]]`,
				`[["delete","b"]]`, `[["append","l",1],["append","l",{"x":[]}]]`, `[["append","l","y"]]`, `[]`, `[["set","big",4294967296],["set","c",0.1]]`,
			}},
			{"values", []string{`[["set","v",` + values + `]]`, `[["set","n",1]]`, `[["append","l",` + values + `],["set","v",` + values + `]]`, `[["set","m",1]]`}},
			{"a lifetime of its own", []string{`[["set","a",1]]`, `[["maxAge",1800000],["set","a",2]]`, `[["set","a",3]]`, `[]`}},
			{"save", []string{`[["set","a",1],["save"]]`, `[["set","a",2],["save"]]`}},
			{"regenerate", []string{`[["set","a",1]]`, `[["regenerate"],["set","b",1]]`, `[["set","c",1]]`}},
			{"destroy", []string{`[["set","a",1]]`, `[["destroy"]]`}},
		} {
			want := h.rows(t, express, express, visit.requests)
			for _, maker := range []side{express, pillbox} {
				t.Run(fmt.Sprintf("%s, %s, made by %s", l.name, visit.name, maker.name), func(t *testing.T) {
					got := h.rows(t, maker, pillbox, visit.requests)
					for i := range want {
						if got[i].differs(want[i]) {
							t.Errorf("%s leaves\n    %s; after Express it is\n    %s", visit.requests[i], got[i], want[i])
						}
					}
				})
			}
		}
	}
}

// A left is a row as a request left it, without what is by chance.
type left struct {
	row
	least, most time.Duration // from the request to the row's end
}

// rows makes a visitor's requests, the first to one side and the others to
// another, and returns what each left.
func (h *house) rows(t *testing.T, maker, changer side, requests []string) []left {
	t.Helper()
	v := &visitor{t: t}
	var rows []left
	for i, ops := range requests {
		to := changer
		if i == 0 {
			to = maker
		}
		before := v.id()
		began := time.Now()
		v.must(to.url, ops)
		id := v.id()
		if id == "" { // cleared
			id = before
		}
		r := h.row(t, common, id)
		l := left{r, time.Until(r.expires), r.expires.Sub(began)}
		l.data = plainRow(t, r.data)
		rows = append(rows, l)
	}
	return rows
}

// differs reports whether the rows are not the same, or end at moments that are
// further apart than the stores of Express round.
func (l left) differs(other left) bool {
	const rounding = 1500 * time.Millisecond
	return l.data != other.data || l.rest != other.rest ||
		l.data != "" && (l.least > other.most+rounding || other.least > l.most+rounding)
}

// plainRow takes out of a row's data what is by chance, and Pillbox's own member.
func plainRow(t *testing.T, data string) string {
	t.Helper()
	data = pillboxObject.ReplaceAllString(data, "")
	data = pillboxMember.ReplaceAllString(data, "")
	data = objectUnset.ReplaceAllString(data, "")
	data = objectDate.ReplaceAllStringFunc(data, func(text string) string {
		ms, err := strconv.ParseInt(objectDate.FindStringSubmatch(text)[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return `"expires":"` + time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") + `"`
	})
	data = objectMaxAge.ReplaceAllString(data, `"originalMaxAge":$1`)
	return mend(relative(t, expiresMember, time.RFC3339, data))
}

// Sessions that are stored as objects, in Extended JSON. What is unset in a
// cookie is null where Express has made the session, since its driver knows no
// undefined, and stays so; in one that Pillbox has made it is absent, as in JSON.
var (
	pillboxObject = regexp.MustCompile(`,"__pillbox":\{"created":\{[^}]*\}\}`)
	objectUnset   = regexp.MustCompile(`"(partitioned|priority|secure|domain)":null,|,"sameSite":null`)
	objectDate    = regexp.MustCompile(`"expires":\{"\$date":\{"\$numberLong":"(\d+)"\}\}`)
	objectMaxAge  = regexp.MustCompile(`"originalMaxAge":\{"\$numberInt":"(\d+)"\}`)
)

// wantExpiry checks that a row ends d after a request that began at a moment, as
// stores round that: to whole seconds.
func (h *house) wantExpiry(t *testing.T, id, when string, began time.Time, d time.Duration) {
	t.Helper()
	r := h.row(t, common, id)
	if r.expires.Before(began.Add(d-time.Second)) || r.expires.After(time.Now().Add(d+time.Second)) {
		t.Errorf("%s: the row ends in %v; want %v", when, time.Until(r.expires), d)
	}
}

// A request that only reads moves the end of the row, and nothing else of it.
func (h *house) testTouch(t *testing.T) {
	store := h.open(t, h.url, common)
	for _, l := range lifetimes {
		express, pillbox := h.app(l.app), h.pillbox(t, store, l.edit)
		lives := h.idle
		if l.app == hourly {
			lives = time.Hour
		}
		for _, maker := range []side{express, pillbox} {
			v := &visitor{t: t}
			began := time.Now()
			v.must(maker.url, `[["set","a",1]]`)
			v.must(pillbox.url, `[]`) // which notes when Express's session began
			h.wantExpiry(t, v.id(), l.name+", made by "+maker.name, began, lives)
			before := h.row(t, common, v.id())
			for _, user := range []side{pillbox, express, pillbox, express} {
				began := h.aged(t, v.id())
				v.must(user.url, `[]`)
				when := fmt.Sprintf("%s, made by %s, then used by %s", l.name, maker.name, user.name)
				h.wantExpiry(t, v.id(), when, began, lives)
				if after := h.row(t, common, v.id()); after.data != before.data || after.rest != before.rest {
					t.Errorf("%s: the row became\n    %s; was\n    %s", when, after, before)
				}
			}
		}
	}
}

// aged makes a row end in ten minutes, and returns the time.
func (h *house) aged(t *testing.T, id string) time.Time {
	t.Helper()
	began := time.Now()
	if err := h.age(t.Context(), common, id, 10*time.Minute); err != nil {
		t.Fatal(err)
	}
	h.wantExpiry(t, id, "aged", began, 10*time.Minute)
	return time.Now()
}

// A lifetime that one side gives to a session holds for the other.
func (h *house) testLifetime(t *testing.T) {
	store := h.open(t, h.url, common)
	express, pillbox := h.app(plain), h.pillbox(t, store)
	for _, pair := range [][2]side{{express, pillbox}, {pillbox, express}} {
		v := &visitor{t: t}
		v.must(pair[0].url, `[["set","a",1],["maxAge",1800000]]`)
		for _, user := range []side{pair[1], pair[0], pair[1]} {
			began := h.aged(t, v.id())
			v.must(user.url, `[]`)
			h.wantExpiry(t, v.id(), "half an hour given by "+pair[0].name+", used by "+user.name, began, 30*time.Minute)
		}
		began := time.Now()
		v.must(pair[1].url, `[["maxAge",7200000],["set","a",2]]`)
		v.must(pair[0].url, `[["set","a",3]]`)
		h.wantExpiry(t, v.id(), "two hours given by "+pair[1].name+", changed by "+pair[0].name, began, 2*time.Hour)
	}
}

// lists are the stores of Express that have all, length and clear.
func (h *house) lists() bool {
	kind := h.express("", "")["kind"]
	return kind == "redis" || kind == "mongo" || kind == "mysql"
}

// The index by user lies where Express's all, length and clear do not see it.
func (h *house) testLists(t *testing.T) {
	express := h.app(lister)
	(&visitor{t: t}).must(express.url, `[["set","name","a"],["destroy"]]`) // Express makes the table, if there is one
	store := h.open(t, h.url, counted)
	m, err := session.New(h.configure(store))
	if err != nil {
		t.Fatal(err)
	}
	pillbox := h.pillbox(t, store)
	visitors := make(map[string]*visitor)
	enter := func(url, ops string) {
		t.Helper()
		v := &visitor{t: t}
		v.must(url, ops)
		visitors[v.id()] = v
	}
	check := func(when string, ilmer, all int) {
		t.Helper()
		infos, err := m.Sessions(t.Context(), "ilmer")
		if len(infos) != ilmer || err != nil {
			t.Errorf("%s: Sessions(ilmer) = %d, %v; want %d", when, len(infos), err, ilmer)
		}
		if n, err := store.(session.Counter).Count(t.Context()); n != all || err != nil {
			t.Errorf("%s: Count() = %d, %v; want %d", when, n, err, all)
		}
		if !h.lists() {
			return
		}
		v := &visitor{t: t}
		if got := string(v.must(express.url, `[["store","length"]]`).result); got != fmt.Sprint(all) {
			t.Errorf("%s: Express counts %s sessions; want %d", when, got, all)
		}
		got := string(v.must(express.url, `[["store","all"]]`).result)
		if strings.Count(got, `"cookie":{`) != all || strings.Count(got, `"name":`) != all {
			t.Errorf("%s: Express lists %s; want %d sessions", when, got, all)
		}
	}
	enter(pillbox.url, `[["signIn","ilmer"],["set","name","a"]]`)
	enter(pillbox.url, `[["signIn","ilmer"],["set","name","b"]]`)
	enter(pillbox.url, `[["signIn","homer"],["set","name","c"]]`)
	enter(pillbox.url, `[["set","name","d"]]`)
	enter(express.url, `[["signIn","ilmer"],["set","name","e"]]`) // whom Express signs in is not indexed
	check("after sign-ins", 2, 5)

	if n, err := m.RevokeUser(t.Context(), "ilmer"); n != 2 || err != nil {
		t.Errorf("RevokeUser(ilmer) = %d, %v; want 2", n, err)
	}
	check("after RevokeUser", 0, 3)
	for id, v := range visitors {
		_, live := v.must(express.url, `[]`).data["name"]
		if lies := h.row(t, counted, id) != (row{}); live != lies {
			t.Errorf("Express finds a session: %v; there is a row: %v; want both or none", live, lies)
		}
	}

	if h.lists() {
		(&visitor{t: t}).must(express.url, `[["store","clear"]]`)
		check("after Express's clear", 0, 0)
		enter(pillbox.url, `[["signIn","ilmer"],["set","name","f"]]`)
		check("after a sign-in after that", 1, 1)
	}
	if err := store.(session.Clearer).Clear(t.Context()); err != nil {
		t.Errorf("Clear: %v", err)
	}
	check("after Pillbox's Clear", 0, 0)
}
