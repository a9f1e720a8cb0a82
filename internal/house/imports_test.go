package house_test

import (
	"slices"
	"strings"
	"testing"
)

// Whoever imports the session library gets the standard library and nothing
// else to trust, to build or to update.
func TestSessionImportsOnlyTheStandardLibrary(t *testing.T) {
	for _, p := range list(t, "-deps", "./session") {
		if !p.Standard && p.ImportPath != module+"/session" {
			t.Errorf("session depends on %s; want the standard library only", p.ImportPath)
		}
	}
}

// layers are the folders of the module, lowest first. A package may import
// what is on a lower layer, and of its own layer only what is in its own unit.
var layers = [][]string{
	{"session"},
	{"session/storetest"},
	{"store", "live", "doctor", "crossorigin"},
	{"internal"}, // but everything above session may import it
	{"medicine"},
	{"cmd", "interop", "examples"},
}

// place returns the layer of a package and the unit that it belongs to: the
// folder itself, or the one below it where those are independent of each other.
func place(path string) (layer int, unit string, ok bool) {
	rel := strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
	best := ""
	for i, folders := range layers {
		for _, f := range folders {
			if (rel == f || strings.HasPrefix(rel, f+"/")) && len(f) > len(best) {
				best, layer, ok = f, i, true
			}
		}
	}
	unit = best
	if best == "store" || best == "cmd" {
		if below, _, _ := strings.Cut(strings.TrimPrefix(rel, best+"/"), "/"); below != "internal" {
			unit = best + "/" + below
		}
	}
	return layer, unit, ok
}

// Arrows run one way: cmd → medicine → {live, doctor, crossorigin, store} →
// session. Stores know nothing of each other, but for what they share in
// store/internal.
func TestImportsRunOneWay(t *testing.T) {
	packages := list(t, "./...")
	if len(packages) < 3 {
		t.Fatalf("go list ./... finds %d packages", len(packages))
	}
	for _, p := range packages {
		from, unit, ok := place(p.ImportPath)
		if !ok {
			t.Errorf("%s has no place among the layers %v", p.ImportPath, layers)
			continue
		}
		for _, imported := range p.Imports {
			if imported != module && !strings.HasPrefix(imported, module+"/") {
				continue
			}
			to, other, _ := place(imported)
			shared := other == "internal" && unit != "session" || other == "store" && to == from // store/internal
			if to < from || other == unit || shared {
				continue
			}
			t.Errorf("%s imports %s; want imports of lower layers only (%v)", p.ImportPath, imported, layers)
		}
	}
}

// What only tests need does not reach users' binaries.
func TestLibrariesDoNotImportTesting(t *testing.T) {
	for _, p := range list(t, "./...") {
		rel := strings.TrimPrefix(p.ImportPath, module+"/")
		if strings.HasPrefix(rel, "internal/") || rel == "session/storetest" || strings.HasPrefix(rel, "interop") {
			continue
		}
		for _, forTests := range []string{"testing", module + "/internal/need", module + "/session/storetest"} {
			if slices.Contains(p.Imports, forTests) {
				t.Errorf("%s imports %s outside of its tests", p.ImportPath, forTests)
			}
		}
	}
}
