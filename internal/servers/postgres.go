package servers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pillboxgo/pillbox/internal/need"
)

// postgresConfig is for a server that nobody else reaches and that never sees
// a power cut: commits go to the kernel, not to the disk.
const postgresConfig = `
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = '%s'
max_connections = 200
fsync = off
jit = off
`

// postgresNode makes a node that is a fresh PostgreSQL, with the programs in
// bin and these lines in its configuration.
func postgresNode(dir, bin, config string) (*node, error) {
	n, err := newNode(dir)
	if err != nil {
		return nil, err
	}
	// PostgreSQL refuses to run as root.
	if n.as, err = unprivileged(); err == nil {
		err = n.as.own(dir)
	}
	data := filepath.Join(dir, "data")
	if err == nil {
		err = run([]string{
			filepath.Join(bin, "initdb"), "--pgdata", data, "--username", "postgres", "--auth", "trust",
			"--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions",
		}, dir, n.as)
	}
	if err == nil {
		err = appendTo(filepath.Join(data, "postgresql.conf"), fmt.Sprintf(postgresConfig, n.port.number, dir)+config)
	}
	if err != nil {
		n.port.release()
		return nil, err
	}
	n.argv = []string{filepath.Join(bin, "postgres"), "-D", data}
	// The quickest way that leaves no shared memory behind.
	n.quit = syscall.SIGQUIT
	n.ready = func(ctx context.Context) error {
		return withPostgres(ctx, postgresURL(n), func(conn *pgx.Conn) error { return conn.Ping(ctx) })
	}
	return n, nil
}

func postgresURL(n *node) string {
	return "postgres://postgres@" + n.addr() + "/postgres?sslmode=disable"
}

func withPostgres(ctx context.Context, url string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return do(conn)
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func startPostgres(t testing.TB, s *Server) error {
	t.Helper()
	n, err := postgresNode(filepath.Join(s.dir, "postgres"), postgresBin(t), "")
	if err != nil {
		return err
	}
	s.nodes, s.Addrs = []*node{n}, []string{n.addr()}
	s.URL = postgresURL(n)
	return n.start(t.Context())
}

// postgresBin returns the folder of PostgreSQL's programs, the newest ones of
// Debian's, or ends the test.
func postgresBin(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) > 0 {
		version := func(path string) int {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
			return n
		}
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
	}
	path, err := filepath.EvalSymlinks(need.Program(t, "postgres"))
	if err != nil {
		t.Fatalf("servers: %v", err)
	}
	return filepath.Dir(path)
}
