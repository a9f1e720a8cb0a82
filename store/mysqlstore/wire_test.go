package mysqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// A wire counts the commands that go to the server over connections dialed with
// it. Each is a round trip, but for the closing of a prepared statement.
type wire struct {
	mu       sync.Mutex
	commands []string
}

// through returns cfg with connections that are counted.
func (w *wire) through(cfg *mysql.Config) *mysql.Config {
	cfg = cfg.Clone()
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return counted{conn, w}, err
	}
	return cfg
}

// take returns what was sent since it was last called.
func (w *wire) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.commands
	w.commands = nil
	return all
}

var commandNames = map[byte]string{0x01: "QUIT", 0x03: "QUERY", 0x0e: "PING", 0x16: "PREPARE", 0x17: "EXECUTE", 0x19: "CLOSE"}

type counted struct {
	net.Conn
	wire *wire
}

// Write sees one packet, or a part of one, at a time. A packet has its length in
// three bytes and its number in one, which is 0 where a command begins.
func (c counted) Write(b []byte) (int, error) {
	if len(b) > 4 && b[3] == 0 && int(b[0])|int(b[1])<<8|int(b[2])<<16 == len(b)-4 {
		name := commandNames[b[4]]
		if name == "" {
			name = fmt.Sprintf("0x%02x", b[4])
		}
		c.wire.mu.Lock()
		c.wire.commands = append(c.wire.commands, name)
		c.wire.mu.Unlock()
	}
	return c.Conn.Write(b)
}

// statements returns the server's own counters whose names are like this, by their
// names in small letters, but those that are zero.
func statements(t testing.TB, db *sql.DB, like string) map[string]int {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SHOW GLOBAL STATUS WHERE Variable_name LIKE '"+like+"' AND Value <> '0'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]int{}
	for rows.Next() {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		all[strings.ToLower(name)] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
