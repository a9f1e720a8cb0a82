package dynamostore_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/pillboxgo/pillbox/internal/servers"
)

// A gateway stands in front of an emulator and passes requests on. It counts
// the commands that arrive, which is what the server gets to do, and can refuse
// them as DynamoDB does, or lose their answers.
//
// It also makes up for what the emulators cannot do. It passes on whole requests
// only: dynalite dies of a client that goes away in the middle of one. To moto it
// passes on one at a time, since moto looks at a condition and changes the item
// in two steps, between which others get in. And see replaceLong.
type gateway struct {
	addr     string
	upstream string
	moto     bool
	client   *http.Client
	turn     chan struct{} // holds a token for each request that is under way

	mu     sync.Mutex
	counts map[string]int
	refuse func(command string) (status int, body string)
	lose   func(command string) bool
}

func newGateway(t testing.TB, server *servers.Server) *gateway {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	g := &gateway{
		upstream: server.URL,
		moto:     server.Kind == servers.DynamoDBMoto,
		client:   &http.Client{Transport: transport},
		turn:     make(chan struct{}, 64),
		counts:   make(map[string]int),
	}
	if g.moto {
		g.turn = make(chan struct{}, 1)
	}
	front := httptest.NewServer(g)
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
		transport.CloseIdleConnections()
	})
	g.addr = front.Listener.Addr().String()
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	_, command, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	refuse, lose := g.arrived(command)
	if refuse != nil {
		if status, body := refuse(command); status != 0 {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.WriteHeader(status)
			io.WriteString(w, body)
			return
		}
	}
	g.turn <- struct{}{}
	defer func() { <-g.turn }()
	send := g.pass
	if g.moto && command == "UpdateItem" && len(body) > 300_000 {
		send = g.replaceLong
	}
	status, header, body, err := send(r, body)
	if err != nil || lose != nil && lose(command) {
		panic(http.ErrAbortHandler) // closes the connection
	}
	maps.Copy(w.Header(), header)
	w.WriteHeader(status)
	w.Write(body)
}

// pass sends a request to the server, with this body, even if its client has
// gone meanwhile.
func (g *gateway) pass(r *http.Request, body []byte) (status int, header http.Header, answer []byte, err error) {
	request, err := http.NewRequestWithContext(context.WithoutCancel(r.Context()), r.Method, g.upstream, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	request.Header = r.Header.Clone()
	request.Host = r.Host
	response, err := g.client.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, response.Header, answer, err
}

// replaceLong passes an UpdateItem on in two steps, of which the first removes
// the data: moto refuses to replace long data by long data, because it adds both
// to the item's size.
func (g *gateway) replaceLong(r *http.Request, body []byte) (int, http.Header, []byte, error) {
	const condition, update = "ConditionExpression", "UpdateExpression"
	var whole map[string]any
	if err := json.Unmarshal(body, &whole); err != nil {
		return 0, nil, nil, err
	}
	step := func(changes map[string]any) (int, http.Header, []byte, error) {
		in := maps.Clone(whole)
		maps.Copy(in, changes)
		only, _ := in[condition].(string)
		for _, names := range []string{"ExpressionAttributeNames", "ExpressionAttributeValues"} {
			used := maps.Clone(whole[names].(map[string]any))
			maps.DeleteFunc(used, func(name string, _ any) bool {
				return !strings.Contains(only+in[update].(string), name)
			})
			in[names] = used
		}
		body, err := json.Marshal(in)
		if err != nil {
			return 0, nil, nil, err
		}
		return g.pass(r, body)
	}
	status, header, answer, err := step(map[string]any{update: "REMOVE #sess"})
	if err != nil || status != http.StatusOK {
		return status, header, answer, err
	}
	return step(map[string]any{condition: nil})
}

func (g *gateway) arrived(command string) (refuse func(string) (int, string), lose func(string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts[command]++
	return g.refuse, g.lose
}

// count returns the commands that arrive while do runs.
func (g *gateway) count(do func()) map[string]int {
	g.mu.Lock()
	clear(g.counts)
	g.mu.Unlock()
	do()
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.counts)
}

// refusing makes the gateway answer commands itself where refuse gives a
// status. Nil ends that.
func (g *gateway) refusing(refuse func(command string) (status int, body string)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse = refuse
}

// losing makes the gateway close the connection instead of answering, after the
// server has done the command. Nil ends that.
func (g *gateway) losing(lose func(command string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lose = lose
}
