package wire

import (
	"context"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

// A setting says where a peer keeps its sessions and how.
type setting struct {
	store string // memory, redis, postgres
	url   string // of the store's server
	slide bool   // every request moves the session's deadline
}

// A site is a peer's application, ready to serve. It answers
//
//	/cpu            how many nanoseconds of processor time the process has used
//	/bare           "visitor", without any session
//	POST /start     begins a session: user "visitor", visits 0, list []
//	GET /read       the session's user
//	POST /write     adds one to the session's visits, and says how many those are
//	POST /append?v= reads the list, works for 5 ms, and adds v to it
//	GET /list       the list, as JSON
type site struct {
	handler http.Handler               // nil for what is not net/http
	serve   func(l net.Listener) error // nil where handler does
	close   func()
}

// A peer is an implementation of sessions in Go.
type peer struct {
	name   string // on the command line
	title  string // in the table
	stores []string
	open   func(ctx context.Context, s setting) (*site, error)
}

// peers are all of them.
var peers = []peer{
	{"pillbox", measure.Pillbox, []string{"memory", "redis", "postgres"}, openPillbox},
	{"scs-gob", "scs (gob)", []string{"memory", "redis", "postgres"}, openSCSGob},
	{"scs-json", "scs (JSON)", []string{"memory", "redis", "postgres"}, openSCSJSON},
	{"gorilla", "gorilla", []string{"memory", "redis"}, openGorilla},
	{"fiber", "fiber", []string{"memory"}, openFiber},
	{"gin", "gin-contrib", []string{"memory", "redis"}, openGin},
	{"pillbox-near", near, []string{"redis"}, openNear},
}

// keeps reports whether the peer has that store here.
func (p peer) keeps(store string) bool { return slices.Contains(p.stores, store) }

func peerNamed(name string) (peer, error) {
	for _, p := range peers {
		if p.name == name {
			return p, nil
		}
	}
	return peer{}, fmt.Errorf("there is no peer %q", name)
}

// start opens the peer's application.
func (p peer) start(ctx context.Context, s setting) (*site, error) {
	if !p.keeps(s.store) {
		return nil, fmt.Errorf("%s has no store %q here; want one of %v", p.title, s.store, p.stores)
	}
	return p.open(ctx, s)
}

// work is what the handler of /append does between reading and writing.
const work = 5 * time.Millisecond

// secret signs cookies. It protects nothing: no peer is reachable from elsewhere.
const secret = "bench-secret-bench-secret-bench-"

// idle is how long sessions may idle, for each peer that can be told.
const idle = 30 * time.Minute

func init() { gob.Register([]int{}) }

// routes are the handlers of a site that is net/http's, without its sessions.
type routes struct {
	start, read, write, append, list http.HandlerFunc
	more                             map[string]http.HandlerFunc
}

// site makes a site of them, with wrap around each handler that has a session.
func (r routes) site(wrap func(http.Handler) http.Handler, close func()) *site {
	mux := http.NewServeMux()
	mux.HandleFunc("/cpu", func(w http.ResponseWriter, _ *http.Request) { say(w, cpu()) })
	mux.HandleFunc("/bare", func(w http.ResponseWriter, _ *http.Request) { say(w, "visitor") })
	mux.Handle("/start", wrap(r.start))
	mux.Handle("/read", wrap(r.read))
	mux.Handle("/write", wrap(r.write))
	mux.Handle("/append", wrap(r.append))
	mux.Handle("/list", wrap(r.list))
	for path, h := range r.more {
		mux.Handle(path, wrap(h))
	}
	return &site{handler: mux, close: close}
}

func cpu() string { return strconv.FormatInt(int64(measure.CPU()), 10) }

// say answers as all handlers here do.
func say(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(text)) // a client that has gone asks nothing else
}

// refuse answers a request that has failed.
func refuse(w http.ResponseWriter, err error) {
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// number returns what /append is to add.
func number(r *http.Request) int {
	n, err := strconv.Atoi(r.URL.Query().Get("v"))
	if err != nil {
		return -1
	}
	return n
}

// integer returns a number as a codec has left it.
func integer(v any) int {
	switch v := v.(type) {
	case int:
		return v
	case float64:
		return int(v)
	}
	return 0
}

// integers returns a list as a codec has left it. It is the caller's.
func integers(v any) []int {
	switch v := v.(type) {
	case []int:
		return slices.Clone(v)
	case []any:
		list := make([]int, len(v))
		for i := range v {
			list[i] = integer(v[i])
		}
		return list
	}
	return nil
}

// text returns a list as /list answers it.
func text(list []int) string {
	out, err := json.Marshal(list)
	if err != nil {
		return err.Error() // unheard of for numbers
	}
	return string(out)
}
