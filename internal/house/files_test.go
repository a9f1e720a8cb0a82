package house_test

import (
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// A file longer than this holds more than one idea.
const maxLines = 700

func TestFilesAreShort(t *testing.T) {
	for _, rel := range files(t, ".go", ".ts", ".svelte") {
		text := read(t, rel)
		if strings.HasPrefix(text, "// Code generated ") {
			continue
		}
		if n := strings.Count(text, "\n"); n > maxLines {
			t.Errorf("%s has %d lines; want at most %d", rel, n, maxLines)
		}
	}
}

func TestFuzzTargetsHaveSeeds(t *testing.T) {
	for _, rel := range files(t, ".go") {
		if !strings.HasSuffix(rel, "_test.go") {
			continue
		}
		_, file := parse(t, rel)
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Fuzz") || fn.Body == nil {
				continue
			}
			if seeds, _ := filepath.Glob(filepath.Join(root(), path.Dir(rel), "testdata", "fuzz", fn.Name.Name, "*")); len(seeds) > 0 {
				continue
			}
			if !calls(fn.Body, "Add") {
				t.Errorf("%s: %s has no seeds: neither f.Add nor testdata/fuzz/%s", rel, fn.Name, fn.Name)
			}
		}
	}
}

// A test that cannot run says what it lacks by package need, which fails it
// where nothing may be skipped. A fuzz target returns from what does not
// interest it.
func TestOnlyPackageNeedSkips(t *testing.T) {
	for _, rel := range files(t, ".go") {
		if strings.HasPrefix(rel, "internal/need/") {
			continue
		}
		fset, file := parse(t, rel)
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			who, ok := sel.X.(*ast.Ident)
			if !ok || who.Name != "t" && who.Name != "b" && who.Name != "f" && who.Name != "tb" {
				return true
			}
			switch sel.Sel.Name {
			case "Skip", "Skipf", "SkipNow":
				t.Errorf("%s: %s.%s; want a function of internal/need", fset.Position(call.Pos()), who.Name, sel.Sel.Name)
			}
			return true
		})
	}
}

// calls reports whether anything in body is called by the selector name.
func calls(body ast.Node, name string) bool {
	found := false
	ast.Inspect(body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == name {
				found = true
			}
		}
		return !found
	})
	return found
}

var (
	fenced     = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```[^\n]*$")
	inlineCode = regexp.MustCompile("`[^`\n]*`")
	mdLink     = regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`)
	mdRef      = regexp.MustCompile(`(?m)^\[[^\]]+\]:\s*(\S+)`)
	mdHeading  = regexp.MustCompile(`(?m)^#{1,6}\s+(.+?)\s*#*$`)
	mdAnchor   = regexp.MustCompile(`(?:id|name)="([^"]+)"`)
	htmlSource = regexp.MustCompile(`(?:src|srcset|href)="([^"\s]+)"`)
)

func TestMarkdownLinksResolve(t *testing.T) {
	for _, rel := range files(t, ".md") {
		text := inlineCode.ReplaceAllString(fenced.ReplaceAllString(read(t, rel), ""), "")
		var targets []string
		for _, re := range []*regexp.Regexp{mdLink, mdRef, htmlSource} {
			for _, m := range re.FindAllStringSubmatch(text, -1) {
				targets = append(targets, m[1])
			}
		}
		for _, target := range targets {
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			to := rel
			if file != "" {
				to = path.Join(path.Dir(rel), file)
				if strings.HasPrefix(file, "/") {
					to = strings.TrimPrefix(file, "/")
				}
			}
			if _, err := os.Stat(filepath.Join(root(), filepath.FromSlash(to))); err != nil {
				t.Errorf("%s: link to %s: there is no %s", rel, target, to)
				continue
			}
			if anchor != "" && strings.HasSuffix(to, ".md") && !anchors(read(t, to))[anchor] {
				t.Errorf("%s: link to %s: %s has no such heading", rel, target, to)
			}
		}
	}
}

// anchors returns the fragments of a Markdown page, as GitHub makes them of
// its headings.
func anchors(text string) map[string]bool {
	found := make(map[string]bool)
	text = fenced.ReplaceAllString(text, "")
	for _, m := range mdAnchor.FindAllStringSubmatch(text, -1) {
		found[m[1]] = true
	}
	for _, m := range mdHeading.FindAllStringSubmatch(text, -1) {
		heading := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(m[1], "$1")
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ' || r == '-':
				return '-'
			case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, heading)
		base := slug
		for i := 1; found[slug]; i++ {
			slug = base + "-" + string(rune('0'+i))
		}
		found[slug] = true
	}
	return found
}
