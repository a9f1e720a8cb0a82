package servers_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
)

// A client that goes away in the middle of its request ends nobody's tests.
func TestDynaliteOutlivesItsClients(t *testing.T) {
	addr := servers.Start(t, servers.DynamoDB).Addrs[0]
	for range 20 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("dynalite has ended: %v", err)
		}
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\nContent-Length: 1000\r\n\r\n{")
		time.Sleep(5 * time.Millisecond) // so that it has begun to read
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("dynalite has ended: %v", err)
	}
	conn.Close()
}
