//go:build unix && !solaris && !aix

package need

import (
	"os"
	"syscall"
)

// lockFile waits until it alone holds the lock at path, among all processes,
// and returns what lets go of it. A process that dies lets go too.
func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}
