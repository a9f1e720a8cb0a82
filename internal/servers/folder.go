package servers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// home is the one folder of this process below which all of its servers keep
// their data. It is locked while the process lives.
var home struct {
	sync.Mutex
	path string
	lock *os.File
	made int // folders in it, over time
}

// homePattern is how the homes of all processes are called.
const homePattern = "pillbox-servers-*"

// parent is where homes are. Their paths have to be short, because a socket's
// may have 107 bytes, and t.TempDir is long.
func parent() string {
	if dir := os.TempDir(); len(dir) <= 40 {
		return dir
	}
	return "/tmp"
}

// newFolder makes a folder for a server. The first call of a process makes its
// home, and sweeps those of processes that were killed.
func newFolder(name string) (string, error) {
	home.Lock()
	defer home.Unlock()
	if home.path == "" {
		sweep(parent())
		path, lock, err := newHome(parent())
		if err != nil {
			return "", err
		}
		home.path, home.lock = path, lock
	}
	home.made++
	dir := filepath.Join(home.path, fmt.Sprintf("%d-%s", home.made, name))
	// Some servers run as another user.
	return dir, os.Mkdir(dir, 0o755)
}

// newHome makes a folder in dir and locks it.
func newHome(dir string) (string, *os.File, error) {
	for range 100 {
		path, err := os.MkdirTemp(dir, homePattern)
		if err != nil {
			return "", nil, err
		}
		// Until it is locked, somebody's sweep may take it for a dead one's.
		if lock := tryLock(path); lock != nil {
			if err := os.Chmod(path, 0o755); err == nil {
				return path, lock, nil
			}
			lock.Close()
		}
	}
	return "", nil, errors.New("cannot lock a folder in " + dir)
}

// removeHome removes this process's home, if it has one.
func removeHome() {
	home.Lock()
	defer home.Unlock()
	if home.path != "" {
		os.RemoveAll(home.path)
		home.lock.Close()
		home.path = ""
	}
}

// sweep removes the homes in dir whose processes are gone, with whatever still
// runs there: a server that was paused does not hear that it shall end. What
// belongs to other users is left alone.
func sweep(dir string) {
	stale, _ := filepath.Glob(filepath.Join(dir, homePattern))
	for _, path := range stale {
		if lock := tryLock(path); lock != nil {
			killAllIn(path)
			os.RemoveAll(path)
			lock.Close()
		}
	}
}
