package servers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// A port is a TCP port that no other process with this package uses until it
// is released, whether or not something listens there: a server that was
// killed comes back to it.
type port struct {
	number int
	hold   net.Listener
}

// Ports from 32768 on are given to outgoing connections.
const lowestPort, highestPort = 10000, 32767

// reserve returns a port on which nothing listens.
//
// The reservation is a socket in Linux's abstract namespace: it needs no file,
// is common to all users, belongs to the same network namespace as the port,
// and goes with the process that holds it.
func reserve() (port, error) {
	for range 1000 {
		n := lowestPort + rand.IntN(highestPort-lowestPort+1)
		hold, err := net.Listen("unix", "@pillbox-port-"+strconv.Itoa(n))
		if err != nil {
			continue
		}
		free, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", n))
		if err != nil {
			hold.Close()
			continue
		}
		free.Close()
		return port{n, hold}, nil
	}
	return port{}, errors.New("no free port on 127.0.0.1")
}

// release lets others have the port. Releasing it twice is harmless.
func (p port) release() {
	if p.hold != nil {
		p.hold.Close()
	}
}
