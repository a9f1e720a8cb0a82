package servers

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// ForExample is [Shared] for an Example, which has no testing.TB. The package's
// TestMain names the kind to [Main], so that Examples run only where there is
// such a server: they cannot skip by themselves.
func ForExample(k Kind) *Server {
	var s *Server
	testing.Benchmark(func(b *testing.B) { s = Shared(b, k) })
	return s
}

// leaveOutExamples skips the package's Examples if a server is missing that they
// need.
func leaveOutExamples(kinds []Kind) {
	if len(kinds) == 0 || !examplesRun() {
		return
	}
	for _, k := range kinds {
		if ForExample(k) != nil {
			continue
		}
		skip := "^Example"
		if also := flag.Lookup("test.skip").Value.String(); also != "" {
			skip += "|" + also
		}
		if err := flag.Set("test.skip", skip); err != nil {
			panic(err) // the flag is testing's own
		}
		fmt.Fprintf(os.Stderr, "the examples are left out: they need %s\n", titles[k])
		return
	}
}

// examplesRun reports whether the command line may ask for examples: starting a
// server takes time.
func examplesRun() bool {
	if !flag.Parsed() {
		flag.Parse()
	}
	if flag.Lookup("test.list").Value.String() != "" {
		return false
	}
	run := flag.Lookup("test.run").Value.String()
	matches, err := regexp.MatchString(run, "Example")
	return err == nil && matches || strings.Contains(run, "Example")
}
