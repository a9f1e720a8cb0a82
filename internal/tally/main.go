// Command tally reads what go test -json writes and prints it for people: a
// line for each package, all of what a failed test said, every skip with its
// reason, and a last line with the number of tests.
//
//	go test -json ./... | go run ./internal/tally
//
// Without -v, go test hides skips and counts nothing; with it, the failures
// drown. The exit status is 1 if anything failed or if there was no test.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := tally(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(1)
	}
}

// event is a line of go test -json; see go doc cmd/test2json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds

	ImportPath  string // of a build-output event, in place of Package
	FailedBuild string // of a package that fails for want of a build
}

// test names one test of one package. An empty name is the package itself.
type test struct{ pkg, name string }

// tally copies what matters of the events in r to w.
func tally(r io.Reader, w io.Writer) error {
	start := time.Now()
	said := make(map[test][]string) // by tests that have not passed
	builds := make(map[string][]string)
	var passed, failed, packages, badPackages int
	var skips []string

	in := bufio.NewScanner(r)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var e event
		if err := json.Unmarshal(in.Bytes(), &e); err != nil {
			fmt.Fprintln(w, in.Text()) // what go itself says, such as a toolchain download
			continue
		}
		id := test{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			builds[e.ImportPath] = append(builds[e.ImportPath], e.Output)
		case "output":
			if !strings.HasPrefix(strings.TrimSpace(e.Output), "=== ") {
				said[id] = append(said[id], e.Output)
			}
		case "pass", "skip", "fail":
			what := said[id]
			delete(said, id)
			if e.Test == "" {
				packages++
				for _, line := range builds[e.FailedBuild] {
					fmt.Fprint(w, line)
				}
				if e.Action == "fail" {
					badPackages++
					for _, line := range what {
						fmt.Fprint(w, line)
					}
					// A test that panicked, or that a panic elsewhere cut
					// off, never ends; the panic is among its words.
					for _, id := range cutOff(said, e.Package) {
						failed++
						fmt.Fprintf(w, "--- CUT OFF: %s\n%s", id.name, strings.Join(said[id], ""))
						delete(said, id)
					}
				}
				if e.Action != "skip" { // a package without tests is skipped
					fmt.Fprintf(w, "%-4s\t%s\t%.1fs\n", map[string]string{"pass": "ok", "fail": "FAIL"}[e.Action], e.Package, e.Elapsed)
				}
				continue
			}
			switch e.Action {
			case "pass":
				passed++
			case "skip":
				skips = append(skips, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(what)))
			case "fail":
				failed++
				fmt.Fprint(w, strings.Join(what, ""))
			}
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	slices.Sort(skips)
	for _, s := range skips {
		fmt.Fprintln(w, "skipped:", s)
	}
	fmt.Fprintf(w, "Go tests: %d run, %d passed, %d failed, %d skipped, in %d packages (%.0fs)\n",
		passed+failed, passed, failed, len(skips), packages, time.Since(start).Seconds())
	switch {
	case failed > 0 || badPackages > 0:
		return fmt.Errorf("%d tests and %d packages failed", failed, badPackages)
	case passed == 0:
		return fmt.Errorf("no test was run")
	}
	return nil
}

// cutOff lists the tests of a package that began and did not end.
func cutOff(said map[test][]string, pkg string) []test {
	var ids []test
	for id := range said {
		if id.pkg == pkg && id.name != "" {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b test) int { return cmp.Compare(a.name, b.name) })
	return ids
}

// reason returns the words of a skip without their place in the source.
func reason(said []string) string {
	text := strings.TrimSpace(strings.Join(said, " "))
	if i := strings.Index(text, "--- SKIP"); i > 0 {
		text = strings.TrimSpace(text[:i])
	}
	if _, after, ok := strings.Cut(text, ".go:"); ok {
		if _, after, ok = strings.Cut(after, ": "); ok {
			text = after
		}
	}
	return text
}
