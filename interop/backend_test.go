package interop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
)

func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }

// A backend is a server that keeps sessions for both sides, and a client of its
// own that looks at them without the help of either. A place is where the
// sessions of one set lie: under a prefix, or in a table or collection.
type backend interface {
	// express returns what stores.mjs is to open: Express's store.
	express(url, place string) map[string]any

	// open opens Pillbox's store.
	open(t *testing.T, url, place string) session.Store

	// read returns a session's row as it lies there; the zero row for none.
	read(ctx context.Context, place, id string) (row, error)

	// age makes a row end in d.
	age(ctx context.Context, place, id string, d time.Duration) error

	// tap begins to take down what becomes of the rows of a place.
	tap(t *testing.T, place string) tap
}

// A row is one session as its server has it.
type row struct {
	data    string    // the session; Extended JSON where it is no text
	expires time.Time // when the row says that it ends
	rest    string    // all else
}

// A tap knows each state that a row has been in, in the server's own order,
// whoever wrote it.
type tap struct {
	url    string // to be used by those whose writes it is to notice
	begin  func(id string)
	states func() []string // since begin; each is a row's data
}

// A house is a server with an Express application and a Pillbox one on it.
type house struct {
	backend
	t    *testing.T
	url  string
	idle time.Duration // how long Express keeps a session whose cookie has no lifetime

	link *servers.Link // to the server, for those who use slow
	slow string        // its URL
	tap  tap           // of the place watched
	apps string        // address of the Express applications
}

// The places of a house.
const (
	common  = "common"  // for tests that look at rows of their own only
	watched = "watched" // has the tap
	counted = "counted" // for the test that counts and clears all
)

// The Express applications of a house, by their index.
const (
	plain   = iota // in common; the cookie has no lifetime
	hourly         // in common; the cookie lives for an hour
	delayed        // in common, by way of the link
	tapped         // in watched, by way of the tap
	lister         // in counted
)

// newHouse starts a house's Express applications.
func newHouse(t *testing.T, b backend, server *servers.Server, idle time.Duration) *house {
	t.Helper()
	h := &house{backend: b, t: t, url: server.URL, idle: idle}
	h.tap = b.tap(t, watched)
	h.link = servers.Proxy(t, server.Addrs[0])
	h.slow = replaceHost(t, server.URL, h.link.Addr)
	const hour = `{"secret":"keyboard cat","resave":false,"saveUninitialized":false,"cookie":{"maxAge":3600000}}`
	h.apps = startApps(t,
		app{b.express(h.url, common), json.RawMessage(recommended)},
		app{b.express(h.url, common), json.RawMessage(hour)},
		app{b.express(h.slow, common), json.RawMessage(recommended)},
		app{b.express(h.tap.url, watched), json.RawMessage(recommended)},
		app{b.express(h.url, counted), json.RawMessage(recommended)},
	)
	return h
}

// app returns one of the Express applications.
func (h *house) app(i int) side { return side{"Express", fmt.Sprint(h.apps, "/", i)} }

// pillbox starts a Pillbox application that keeps sessions as long as Express does.
func (h *house) pillbox(t *testing.T, store session.Store, edit ...func(*session.Config)) side {
	t.Helper()
	return side{"Pillbox", startPillbox(t, h.configure(store, edit...))}
}

// configure is the function of this name for a store in the house.
func (h *house) configure(store session.Store, edit ...func(*session.Config)) session.Config {
	return configure(store, append([]func(*session.Config){func(c *session.Config) { c.IdleTimeout = h.idle }}, edit...)...)
}

// hourlong is what hourly is, for Pillbox.
func hourlong(c *session.Config) { c.IdleTimeout, c.Cookie.MaxAge = 0, time.Hour }

// row returns a row of a place.
func (h *house) row(t *testing.T, place, id string) row {
	t.Helper()
	r, err := h.read(context.WithoutCancel(t.Context()), place, id)
	if err != nil {
		t.Fatalf("read row: %v", err)
	}
	return r
}

// migrate makes what the store lacks of its tables and indexes.
func migrate(t *testing.T, store interface{ Migrate(context.Context) error }) {
	t.Helper()
	if err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// replaceHost returns a URL with another host.
func replaceHost(t *testing.T, text, host string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = host
	return u.String()
}

// String describes a row without what is by chance, and without what Pillbox
// adds of its own.
func (r row) String() string {
	if r == (row{}) {
		return "no row"
	}
	data := pillboxMember.ReplaceAllString(r.data, "")
	return fmt.Sprintf("%s ends in %.0f s, beside %s", data, time.Until(r.expires).Seconds(), strings.TrimSpace(r.rest))
}
