package interop_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net/url"
	"regexp"
	"slices"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

func TestMySQL(t *testing.T) {
	t.Parallel()
	server := servers.Shared(t, servers.MariaDB)
	b := &mysqlBackend{server: server}
	b.db = b.connect(t, server.URL)
	newHouse(t, b, server, 24*time.Hour).test()
}

type mysqlBackend struct {
	server *servers.Server
	db     *sql.DB
}

func (b *mysqlBackend) connect(t *testing.T, text string) *sql.DB {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("mysql", u.User.String()+"@tcp("+u.Host+")"+u.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func (b *mysqlBackend) express(url, place string) map[string]any {
	return map[string]any{"kind": "mysql", "url": url, "schema": map[string]any{"tableName": place}}
}

func (b *mysqlBackend) open(t *testing.T, url, place string) session.Store {
	store := mysqlstore.New(b.connect(t, url), mysqlstore.Options{Table: place})
	t.Cleanup(func() { store.Close() })
	migrate(t, store)
	return store
}

func (b *mysqlBackend) read(ctx context.Context, place, id string) (r row, err error) {
	var expires int64
	err = b.db.QueryRowContext(ctx, "SELECT data, expires FROM "+place+" WHERE session_id = ?", id).Scan(&r.data, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, nil
	}
	r.expires = time.Unix(expires, 0)
	return r, err
}

func (b *mysqlBackend) age(ctx context.Context, place, id string, d time.Duration) error {
	_, err := b.db.ExecContext(ctx, "UPDATE "+place+" SET expires = ? WHERE session_id = ?", time.Now().Add(d).Unix(), id)
	return err
}

// tap lets commands that may write to the server one at a time, and looks at the
// row after each. A trigger could not be the tap: with one, the server tells
// clients no insert id, by which the store knows what an update came to.
func (b *mysqlBackend) tap(t *testing.T, place string) tap {
	n := &notes{backend: b, place: place}
	return n.tap(t, replaceHost(t, b.server.URL, n.proxy(t, b.server.Addrs[0], protocol{mysqlPacket, mysqlWrites})))
}

// mysqlPacket reads a packet: three bytes for its length, one for its number, and
// so much more. None here is so long that it would go on in the next.
func mysqlPacket(client io.Reader) ([]byte, error) {
	header := make([]byte, 4)
	if _, err := io.ReadFull(client, header); err != nil {
		return nil, err
	}
	n := int(header[0]) | int(header[1])<<8 | int(header[2])<<16
	packet := slices.Grow(header, n)[:len(header)+n]
	_, err := io.ReadFull(client, packet[len(header):])
	return packet, err
}

// mysqlWrites reports whether a packet is COM_QUERY with a statement that writes.
func mysqlWrites(packet []byte) bool {
	const header, query = 4, 3
	return len(packet) > header && packet[header] == query && mysqlVerb.Match(packet[header+1:])
}

var mysqlVerb = regexp.MustCompile(`^(?i:INSERT|UPDATE|DELETE|REPLACE)\b`)
