package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each row can be told from the others, and is measured by something.
func TestRowNames(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range allRows() {
		if row.Name == "" || row.Key == "" || row.Open == nil {
			t.Errorf("row %q lacks its name, its key or what opens it", row.Name)
		}
		if strings.ContainsAny(row.Name, "|\n") {
			t.Errorf("row %q breaks its table", row.Name)
		}
		if seen[row.Name] {
			t.Errorf("two rows are called %q", row.Name)
		}
		seen[row.Name] = true
	}
}

func TestQuoted(t *testing.T) {
	if got, want := quoted([]string{"-only", "it's|new session", "-passes", "2"}), `-only 'it'\''s|new session' -passes 2`; got != want {
		t.Errorf("quoted = %s; want %s", got, want)
	}
}

// The command writes what it measured to the folder it was given, and nothing
// about a row that it was not to measure.
func TestRun(t *testing.T) {
	out := t.TempDir()
	if err := run([]string{"-only", "^(read|change) one value, memory$", "-passes", "2", "-time", "1ms", "-out", out}, io.Discard); err != nil {
		t.Fatal(err)
	}
	results, err := os.ReadFile(filepath.Join(out, "results.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## read one value, memory", "## change one value, memory", "| Pillbox |", "| scs (gob) |", "github.com/alexedwards/scs/v2 | v"} {
		if !strings.Contains(string(results), want) {
			t.Errorf("results.md lacks %q", want)
		}
	}
	if strings.Contains(string(results), "loopback") {
		t.Error("results.md has rows that were not picked")
	}
	if _, err := os.Stat(filepath.Join(out, "images", "bench-cost.svg")); err != nil {
		t.Error(err)
	}
	for _, args := range [][]string{{"-only", "no such row"}, {"-only", "("}, {"row"}} {
		if err := run(args, io.Discard); err == nil {
			t.Errorf("run(%q) = nil; want an error", args)
		}
	}
}
