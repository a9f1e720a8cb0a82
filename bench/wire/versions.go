package wire

import (
	"encoding/json"
	"maps"
	"os/exec"
	"strings"
	"sync"

	"github.com/pillboxgo/pillbox/bench/node"
)

var versions = struct {
	sync.Mutex
	of map[string]string
}{of: map[string]string{}}

// Versions returns the versions of the servers and of Node.js that the rows have
// run so far, as these tell, and of the packages that the latter had, as
// package-lock.json pins them.
func Versions() map[string]string {
	versions.Lock()
	defer versions.Unlock()
	return maps.Clone(versions.of)
}

func seen(name, version string) {
	versions.Lock()
	defer versions.Unlock()
	versions.of[name] = version
}

// nodeVersions notes those of Node.js and of what server.mjs imports.
func nodeVersions(program string) error {
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return err
	}
	seen("Node.js", strings.TrimPrefix(strings.TrimSpace(string(out)), "v"))
	text, err := node.Files.ReadFile("package-lock.json")
	if err != nil {
		return err
	}
	var lock struct {
		Packages map[string]struct {
			Version      string
			Dependencies map[string]string
		}
	}
	if err := json.Unmarshal(text, &lock); err != nil {
		return err
	}
	for name := range lock.Packages[""].Dependencies {
		seen(name, lock.Packages["node_modules/"+name].Version)
	}
	return nil
}
