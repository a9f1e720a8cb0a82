package session

import "io"

// SetRandom makes ids and nonces come from r, until the function that it
// returns is called.
func SetRandom(r io.Reader) (restore func()) {
	old := randomReader
	randomReader = r
	return func() { randomReader = old }
}
