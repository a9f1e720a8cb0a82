package servers

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/pillboxgo/pillbox/internal/need"
)

func startMariaDB(t testing.TB, s *Server) error {
	t.Helper()
	daemon := need.Program(t, "mariadbd")
	install := need.Program(t, "mariadb-install-db")
	return startMySQLLike(t, s, daemon, []string{"--innodb-log-file-size=8M", "--skip-name-resolve"},
		func(n *node, options []string) []string {
			return append(append([]string{install}, options...), "--auth-root-authentication-method=normal", "--skip-test-db")
		})
}

func startMySQL(t testing.TB, s *Server) error {
	t.Helper()
	daemon := unpacked(t, MySQL, "sid", "usr/sbin/mysqld")
	usr := filepath.Dir(filepath.Dir(daemon))
	return startMySQLLike(t, s, daemon, []string{
		"--basedir=" + usr, "--lc-messages-dir=" + filepath.Join(usr, "share", "mysql"),
		"--plugin-dir=" + filepath.Join(usr, "lib", "mysql", "plugin"), "--secure-file-priv=",
		"--mysqlx=OFF", "--skip-log-bin", "--innodb-redo-log-capacity=8388608",
	}, func(n *node, options []string) []string {
		return append(append([]string{daemon}, options...), "--initialize-insecure")
	})
}

// startMySQLLike starts MariaDB or MySQL, whose data the command that
// initialize returns makes.
func startMySQLLike(t testing.TB, s *Server, daemon string, options []string, initialize func(*node, []string) []string) error {
	t.Helper()
	n, err := s.add("mysql")
	if err != nil {
		return err
	}
	// Not the /tmp that is theirs by default: a MariaDB that starts removes
	// there the temporary tables of another one that runs.
	tmp := filepath.Join(n.dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	options = append([]string{
		"--no-defaults", // has to come first
		"--tmpdir=" + tmp,
		"--datadir=" + filepath.Join(n.dir, "data"),
		// Commits go to the kernel, and to the disk once a second.
		"--innodb-flush-log-at-trx-commit=2",
	}, options...)
	if os.Geteuid() == 0 {
		options = append(options, "--user=root")
	}
	if err := run(initialize(n, options), n.dir, nil); err != nil {
		return err
	}
	n.argv = append(append([]string{daemon}, options...),
		"--bind-address=127.0.0.1", "--port="+strconv.Itoa(n.port.number), "--max-connections=300",
		"--socket="+filepath.Join(n.dir, "socket"), "--pid-file="+filepath.Join(n.dir, "pid"))
	n.ready = func(ctx context.Context) error { return createTestDatabase(ctx, n.addr()) }
	s.URL = "mysql://root@" + n.addr() + "/test"
	return n.start(t.Context())
}

func createTestDatabase(ctx context.Context, addr string) error {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr = "root", "tcp", addr
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	_, err = db.ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS test")
	return err
}
