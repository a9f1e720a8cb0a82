package lab_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

const cookieName = "sid"

// A flaw is a hole that real session libraries have had.
type flaw string

const (
	none             flaw = "none"
	keepsID          flaw = "signing up keeps the id"
	oldIDLives       flaw = "signing up leaves the old id alive"
	adoptsUnsigned   flaw = "an unsigned id is adopted"
	adoptsSigned     flaw = "an id with any signature is adopted"
	acceptsUnsigned  flaw = "an id without a signature is accepted"
	ignoresSignature flaw = "the signature is not looked at"
	anySignature     flaw = "another session's signature will do"
	lenient          flaw = "one character of the signature is not looked at"
	prefixOfID       flaw = "only the beginning of the id is looked up"
	clearsDamaged    flaw = "a damaged cookie is cleared"
	replacesDamaged  flaw = "a damaged cookie is replaced by a new session"
	logoutAtBrowser  flaw = "signing out clears only the browser's cookie"
	writeRevives     flaw = "writing revives what was ended"
	reusesEnded      flaw = "an ended id begins the next session"
)

// naive is a small application with sessions of its own, and with one flaw.
type naive struct {
	flaw flaw

	mu     sync.Mutex
	live   map[string]*box
	ended  map[string]*box
	issued []string // each cookie value that it set
	users  []string
}

type box struct {
	pills []string
	user  string
}

func newNaive(f flaw) *naive {
	return &naive{flaw: f, live: make(map[string]*box), ended: make(map[string]*box)}
}

func sign(id string) string {
	mac := hmac.New(sha256.New, []byte("naive"))
	mac.Write([]byte(id))
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil))
}

// verified returns the id in a cookie, if it is one that may be looked up.
func (n *naive) verified(value string) (id string, ok bool) {
	text, _ := url.PathUnescape(value)
	text, signed := strings.CutPrefix(text, "s:")
	if !signed {
		return text, n.flaw == acceptsUnsigned || n.flaw == adoptsUnsigned
	}
	dot := strings.LastIndexByte(text, '.')
	id, signature := text[:dot], text[dot+1:]
	want := sign(id)
	switch n.flaw {
	case ignoresSignature, adoptsSigned, prefixOfID:
		return id, true
	case anySignature:
		for other := range n.live {
			if signature == sign(other) {
				return id, true
			}
		}
	case lenient:
		wrong := 0
		for i := range want {
			if i >= len(signature) || want[i] != signature[i] {
				wrong++
			}
		}
		return id, wrong <= 1
	}
	return id, signature == want
}

func (n *naive) set(w http.ResponseWriter, id string) {
	value := url.QueryEscape("s:" + id + "." + sign(id))
	n.issued = append(n.issued, value)
	w.Header().Set("Set-Cookie", cookieName+"="+value+"; Path=/; HttpOnly")
}

func (n *naive) begin(w http.ResponseWriter, id string) *box {
	if id == "" {
		id = rand.Text()
	}
	b := &box{}
	n.live[id] = b
	n.set(w, id)
	return b
}

func (n *naive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var body struct{ Name, Username string }
	_ = json.NewDecoder(r.Body).Decode(&body)

	var id string
	var valid bool
	c, err := r.Cookie(cookieName)
	if err == nil {
		id, valid = n.verified(c.Value)
	}
	b := n.live[id]
	if n.flaw == prefixOfID && b == nil && len(id) > 4 {
		for other := range n.live {
			if other[:4] == id[:4] {
				b = n.live[other]
			}
		}
	}
	if !valid {
		b = nil
		if err == nil && n.flaw == clearsDamaged {
			w.Header().Set("Set-Cookie", cookieName+"=; Path=/; Max-Age=0")
		}
		if err == nil && n.flaw == replacesDamaged {
			b = n.begin(w, "")
		}
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /pills":
	case "POST /pills":
		if b == nil {
			next := ""
			switch {
			case valid && (n.flaw == adoptsUnsigned || n.flaw == adoptsSigned || n.flaw == reusesEnded):
				next = id
			case valid && n.flaw == writeRevives && n.ended[id] != nil:
				b = n.ended[id]
				n.live[id] = b
			}
			if b == nil {
				b = n.begin(w, next)
			}
		}
		b.pills = append(b.pills, body.Name)
	case "POST /register":
		n.users = append(n.users, body.Username)
		signedIn := &box{user: body.Username}
		if b != nil {
			signedIn.pills = b.pills
		}
		switch {
		case n.flaw == keepsID && b != nil:
			b.user = body.Username
		case n.flaw == oldIDLives:
			*n.begin(w, "") = *signedIn
		default:
			delete(n.live, id)
			*n.begin(w, "") = *signedIn
		}
		w.WriteHeader(http.StatusCreated)
		return
	case "GET /me":
		if b == nil || b.user == "" {
			http.Error(w, `{"error":{"code":"signed_out"}}`, http.StatusUnauthorized)
			return
		}
	case "POST /logout":
		if n.flaw != logoutAtBrowser {
			n.ended[id] = b
			delete(n.live, id)
		}
		w.Header().Set("Set-Cookie", cookieName+"=; Path=/; Max-Age=0")
	default:
		http.NotFound(w, r)
		return
	}
	pills := []map[string]string{}
	if b != nil {
		for _, name := range b.pills {
			pills = append(pills, map[string]string{"name": name})
		}
	}
	text, _ := json.Marshal(map[string]any{"data": pills})
	fmt.Fprintf(w, "%s", text)
}
