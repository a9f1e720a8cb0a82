package main

import (
	"strings"
	"testing"
)

func TestTally(t *testing.T) {
	for _, test := range []struct {
		name    string
		events  []string
		want    []string // in the output
		without []string // not in the output
		err     string
	}{
		{
			name: "passes are counted, not shown",
			events: []string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}`,
				`{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.1}`,
				`{"Action":"pass","Package":"p","Elapsed":1.5}`,
			},
			want:    []string{"ok  \tp\t1.5s", "Go tests: 1 run, 1 passed, 0 failed, 0 skipped, in 1 packages"},
			without: []string{"chatter"},
		},
		{
			name: "a skip is shown with its reason",
			events: []string{
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}`,
				`{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: needs chromium: run make test\n"}`,
				`{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}`,
				`{"Action":"skip","Package":"p","Test":"TestB"}`,
				`{"Action":"pass","Package":"p"}`,
			},
			want: []string{"skipped: p TestB: needs chromium: run make test\n", "1 run, 1 passed, 0 failed, 1 skipped"},
		},
		{
			name: "a failure is shown in full",
			events: []string{
				`{"Action":"pass","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: got 1; want 2\n"}`,
				`{"Action":"fail","Package":"p","Test":"TestB"}`,
				`{"Action":"fail","Package":"p","Elapsed":0.2}`,
			},
			want: []string{"got 1; want 2", "FAIL\tp\t0.2s", "2 run, 1 passed, 1 failed"},
			err:  "1 tests and 1 packages failed",
		},
		{
			name: "a panic cuts a test off",
			events: []string{
				`{"Action":"run","Package":"p","Test":"TestA"}`,
				`{"Action":"output","Package":"p","Test":"TestA","Output":"panic: oh no\n"}`,
				`{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}`,
				`{"Action":"fail","Package":"p","Elapsed":0.1}`,
			},
			want: []string{"CUT OFF: TestA", "panic: oh no"},
			err:  "1 tests and 1 packages failed",
		},
		{
			name: "a package that does not build",
			events: []string{
				`{"ImportPath":"p [p.test]","Action":"build-output","Output":"./p.go:3:1: syntax error\n"}`,
				`{"ImportPath":"p [p.test]","Action":"build-fail"}`,
				`{"Action":"fail","Package":"p","Elapsed":0,"FailedBuild":"p [p.test]"}`,
			},
			want: []string{"./p.go:3:1: syntax error", "FAIL\tp"},
			err:  "0 tests and 1 packages failed",
		},
		{
			name:   "what is not an event is passed on",
			events: []string{`go: cannot find main module`},
			want:   []string{"go: cannot find main module"},
			err:    "no test was run",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out strings.Builder
			err := tally(strings.NewReader(strings.Join(test.events, "\n")), &out)
			if test.err == "" && err != nil || test.err != "" && (err == nil || err.Error() != test.err) {
				t.Errorf("tally() = %v; want %q", err, test.err)
			}
			for _, want := range test.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("output\n%s\nwant %q in it", &out, want)
				}
			}
			for _, without := range test.without {
				if strings.Contains(out.String(), without) {
					t.Errorf("output\n%s\nwant no %q in it", &out, without)
				}
			}
		})
	}
}
