package main

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/pillboxgo/pillbox/bench/internal/report"
	"github.com/pillboxgo/pillbox/bench/wire"
)

// machine tells what the figures depend on. It does not tell whose it is.
func machine() []string {
	facts := []string{
		fmt.Sprintf("%d processor cores%s", runtime.GOMAXPROCS(0), model()),
		runtime.GOOS + "/" + runtime.GOARCH + system(),
		runtime.Version(),
	}
	return facts
}

// model returns the processor's model, where the system tells it.
func model() string { return field("/proc/cpuinfo", "model name", ":") }

// system returns the name of the operating system's release.
func system() string { return field("/etc/os-release", "PRETTY_NAME", "=") }

// field returns ", " and the first value under name in a file of names and
// values; empty if there is none.
func field(path, name, separator string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), separator); ok && strings.TrimSpace(key) == name {
			return ", " + strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}

// rivals are the modules whose versions matter to the figures.
var rivals = []string{
	"github.com/alexedwards/scs/",
	"github.com/boj/redistore",
	"github.com/gin-contrib/sessions",
	"github.com/gin-gonic/gin",
	"github.com/gofiber/fiber/",
	"github.com/gomodule/redigo",
	"github.com/gorilla/securecookie",
	"github.com/gorilla/sessions",
	"github.com/jackc/pgx/",
	"github.com/quasoft/memstore",
	"github.com/redis/go-redis/",
	"github.com/valyala/fasthttp",
	"modernc.org/sqlite",
}

// versions returns those of Pillbox, of the modules that are measured, and of
// the programs.
func versions() []report.Version {
	list := []report.Version{{Name: "Pillbox", Version: revision()}}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if slices.ContainsFunc(rivals, func(prefix string) bool { return strings.HasPrefix(dep.Path, prefix) }) {
				list = append(list, report.Version{Name: dep.Path, Version: dep.Version})
			}
		}
	}
	programs := wire.Versions()
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		list = append(list, report.Version{Name: name, Version: programs[name]})
	}
	return list
}

// revision returns Pillbox's commit, where git knows it.
func revision() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "of this repository"
	}
	return "commit " + strings.TrimSpace(string(out))
}
