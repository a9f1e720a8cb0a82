//go:build !unix || solaris || aix

package need

// lockFile locks nothing where there is no flock: two processes may then
// install the same packages, and the rename at the end keeps one result.
func lockFile(string) (unlock func(), err error) { return func() {}, nil }
