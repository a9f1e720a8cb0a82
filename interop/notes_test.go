package interop_test

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// notes are the states of one row, for servers that do not tell them: whoever
// may write does so one at a time, and the row is looked at after each. What goes
// one at a time are single commands of the protocol; how those of several clients
// mix stays as it is.
type notes struct {
	backend
	place string

	mu   sync.Mutex // held while a command may write
	id   string     // empty: not begun
	kept []string
}

// enter waits until no other command may write.
func (n *notes) enter() { n.mu.Lock() }

// leave looks at what the command has done.
func (n *notes) leave(t *testing.T) {
	defer n.mu.Unlock()
	if n.id == "" {
		return
	}
	r, err := n.read(context.WithoutCancel(t.Context()), n.place, n.id)
	if err != nil {
		t.Errorf("read row: %v", err)
	}
	if n.kept[len(n.kept)-1] != r.data {
		n.kept = append(n.kept, r.data)
	}
}

// tap returns the tap for clients that use url, behind which are the notes.
func (n *notes) tap(t *testing.T, url string) tap {
	return tap{
		url: url,
		begin: func(id string) {
			n.mu.Lock()
			defer n.mu.Unlock()
			r, err := n.read(t.Context(), n.place, id)
			if err != nil {
				t.Fatalf("read row: %v", err)
			}
			n.id, n.kept = id, []string{r.data}
		},
		states: func() []string {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.id = ""
			return slices.Clone(n.kept[1:])
		},
	}
}

// A protocol is how a server's clients speak.
type protocol struct {
	// next reads a client's next message.
	next func(client io.Reader) ([]byte, error)

	// writes reports whether a message is a command that may write. It is
	// over when the server begins to answer, for which the client waits.
	writes func(message []byte) bool
}

// proxy listens in front of a server and returns its address.
func (n *notes) proxy(t *testing.T, upstream string, p protocol) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, conn := range open {
			conn.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			server, err := net.Dial("tcp", upstream)
			if err != nil {
				t.Errorf("proxy: %v", err)
				client.Close()
				continue
			}
			mu.Lock()
			open = append(open, client, server)
			mu.Unlock()
			var writing atomic.Bool
			all.Go(func() { n.ask(client, server, p, &writing) })
			all.Go(func() { n.answer(t, client, server, &writing) })
		}
	})
	return listener.Addr().String()
}

// ask passes on what the client says.
func (n *notes) ask(client, server net.Conn, p protocol, writing *atomic.Bool) {
	defer server.Close()
	for {
		message, err := p.next(client)
		if err != nil {
			return
		}
		if p.writes(message) {
			n.enter()
			writing.Store(true)
		}
		if _, err := server.Write(message); err != nil {
			return // so the server's end is closed, and answer leaves
		}
	}
}

// answer passes on what the server says.
func (n *notes) answer(t *testing.T, client, server net.Conn, writing *atomic.Bool) {
	defer client.Close()
	buffer := make([]byte, 64<<10)
	for {
		size, err := server.Read(buffer)
		if writing.CompareAndSwap(true, false) {
			n.leave(t)
		}
		if err != nil {
			return
		}
		if _, err := client.Write(buffer[:size]); err != nil {
			return
		}
	}
}
