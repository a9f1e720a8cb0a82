package servers

import (
	"context"
	"embed"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/internal/need"
)

// dynalite pins the emulator and all that it depends on.
//
//go:embed dynalite/package.json dynalite/package-lock.json dynalite/guard.js
var dynalite embed.FS

func startDynalite(t testing.TB, s *Server) error {
	t.Helper()
	pinned := filepath.Join(s.dir, "pinned")
	if err := os.CopyFS(pinned, dynalite); err != nil {
		return err
	}
	modules := need.NPM(t, filepath.Join(pinned, "dynalite"))
	n, err := s.add("dynalite")
	if err != nil {
		return err
	}
	n.argv = []string{
		need.Node(t), "--require", filepath.Join(pinned, "dynalite", "guard.js"), filepath.Join(modules, "node_modules", "dynalite", "cli.js"),
		"--host", "127.0.0.1", "--port", strconv.Itoa(n.port.number),
		// Tables are there, or gone, at once.
		"--createTableMs", "0", "--deleteTableMs", "0", "--updateTableMs", "0",
	}
	if s.durable {
		n.argv = append(n.argv, "--path", filepath.Join(n.dir, "data"))
	}
	return s.startEndpoint(t, n)
}

func startMoto(t testing.TB, s *Server) error {
	t.Helper()
	program, ok := need.Find("moto_server")
	if !ok {
		missing(t, DynamoDBMoto, "moto_server 5.2.1 on PATH")
	}
	n, err := s.add("moto")
	if err != nil {
		return err
	}
	n.argv = []string{program, "-H", "127.0.0.1", "-p", strconv.Itoa(n.port.number)}
	return s.startEndpoint(t, n)
}

// startEndpoint starts a node that speaks DynamoDB's protocol over HTTP.
func (s *Server) startEndpoint(t testing.TB, n *node) error {
	t.Helper()
	s.URL = "http://" + n.addr()
	n.ready = func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader("{}"))
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		// Whatever the status, it speaks: the request is not signed.
		return response.Body.Close()
	}
	return n.start(t.Context())
}
