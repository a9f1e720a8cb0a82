package house_test

import (
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// source is a package with its syntax, tests left out.
type source struct {
	pkg
	fset  *token.FileSet
	files []*ast.File
}

func load(t *testing.T, p pkg) source {
	t.Helper()
	s := source{pkg: p, fset: token.NewFileSet()}
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
		file, err := parser.ParseFile(s.fset, filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		s.files = append(s.files, file)
	}
	return s
}

// at returns a position as file:line, relative to the root.
func (s source) at(pos token.Pos) string {
	p := s.fset.Position(pos)
	if rel, err := filepath.Rel(root(), p.Filename); err == nil {
		p.Filename = filepath.ToSlash(rel)
	}
	return p.Filename + ":" + strconv.Itoa(p.Line)
}

// exports returns what a link may name in a package: "Name", and "Type.Name"
// for methods and fields, those of embedded types of the package included.
func (s source) exports() map[string]bool {
	names := make(map[string]bool)
	embedded := make(map[string][]string)
	for _, file := range s.files {
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					names[d.Name.Name] = true
				} else if len(d.Recv.List) == 1 {
					names[typeName(d.Recv.List[0].Type)+"."+d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							names[name.Name] = true
						}
					case *ast.TypeSpec:
						names[spec.Name.Name] = true
						var fields *ast.FieldList
						switch typ := spec.Type.(type) {
						case *ast.StructType:
							fields = typ.Fields
						case *ast.InterfaceType:
							fields = typ.Methods
						default:
							continue
						}
						for _, field := range fields.List {
							for _, name := range field.Names {
								names[spec.Name.Name+"."+name.Name] = true
							}
							if len(field.Names) == 0 {
								embedded[spec.Name.Name] = append(embedded[spec.Name.Name], typeName(field.Type))
							}
						}
					}
				}
			}
		}
	}
	for range 3 { // deep enough for the types that people link to
		for outer, inners := range embedded {
			for _, inner := range inners {
				names[outer+"."+inner] = true
				for name := range names {
					if rest, ok := strings.CutPrefix(name, inner+"."); ok {
						names[outer+"."+rest] = true
					}
				}
			}
		}
	}
	return names
}

// typeName returns the name of a type without pointer, package and parameters.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.IndexListExpr:
		return typeName(e.X)
	}
	return ""
}

// imports maps the names by which the package's files know others to paths.
func (s source) imports() map[string]string {
	names := make(map[string]string)
	for _, file := range s.files {
		for _, spec := range file.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			name := path.Base(p)
			if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" { // …/v2
				name = path.Base(path.Dir(p))
			}
			if spec.Name != nil {
				name = spec.Name.Name
			}
			names[name] = p
		}
	}
	return names
}

// link is one [bracketed] reference of a comment.
type link struct{ at, text, path, name string }

// links returns the references in the comments of a package's declarations,
// unexported ones too: those are read by us.
func (s source) links() []link {
	imports := s.imports()
	// The parser takes brackets for a link only where a lookup succeeds. Ours
	// always do, so that the ones that lead nowhere come out as well.
	p := &comment.Parser{
		LookupSym: func(string, string) bool { return true },
		LookupPackage: func(name string) (string, bool) {
			if path, ok := imports[name]; ok {
				return path, true
			}
			if path, ok := comment.DefaultLookupPackage(name); ok {
				return path, true
			}
			return "?" + name, true
		},
	}
	var found []link
	for _, file := range s.files {
		for _, group := range docComments(file) {
			at := s.at(group.Pos())
			for _, l := range docLinks(p.Parse(group.Text())) {
				name := l.Name
				if l.Recv != "" {
					name = l.Recv + "." + l.Name
				}
				if strings.HasPrefix(l.ImportPath, "?") && name == "" {
					continue // a word in brackets
				}
				text := name
				if l.ImportPath != "" {
					text = strings.TrimSuffix(strings.TrimPrefix(l.ImportPath, "?")+"."+name, ".")
				}
				found = append(found, link{at: at, text: text, path: l.ImportPath, name: name})
			}
		}
	}
	return found
}

// docComments returns the comments that document something.
func docComments(file *ast.File) []*ast.CommentGroup {
	groups := []*ast.CommentGroup{file.Doc}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			groups = append(groups, n.Doc)
			return false
		case *ast.GenDecl:
			groups = append(groups, n.Doc)
		case *ast.TypeSpec:
			groups = append(groups, n.Doc)
		case *ast.ValueSpec:
			groups = append(groups, n.Doc, n.Comment)
		case *ast.Field:
			groups = append(groups, n.Doc, n.Comment)
		}
		return true
	})
	return slices.DeleteFunc(groups, func(g *ast.CommentGroup) bool { return g == nil })
}

// docLinks collects the links of a parsed comment.
func docLinks(d *comment.Doc) []*comment.DocLink {
	var found []*comment.DocLink
	var texts func([]comment.Text)
	texts = func(list []comment.Text) {
		for _, text := range list {
			switch text := text.(type) {
			case *comment.DocLink:
				found = append(found, text)
			case *comment.Link:
				texts(text.Text)
			}
		}
	}
	var blocks func([]comment.Block)
	blocks = func(list []comment.Block) {
		for _, block := range list {
			switch block := block.(type) {
			case *comment.Paragraph:
				texts(block.Text)
			case *comment.Heading:
				texts(block.Text)
			case *comment.List:
				for _, item := range block.Items {
					blocks(item.Content)
				}
			}
		}
	}
	blocks(d.Content)
	return found
}

func TestLinksInCommentsResolve(t *testing.T) {
	var sources []source
	paths := make(map[string]bool) // of packages that are linked to
	for _, p := range list(t, "./...") {
		s := load(t, p)
		sources = append(sources, s)
		for _, l := range s.links() {
			if l.path != "" && !strings.HasPrefix(l.path, "?") {
				paths[l.path] = true
			}
		}
	}
	exports := make(map[string]map[string]bool)
	if len(paths) > 0 {
		var args []string
		for path := range paths {
			args = append(args, path)
		}
		for _, p := range list(t, args...) {
			if p.Error == nil && len(p.GoFiles)+len(p.CgoFiles) > 0 {
				exports[p.ImportPath] = load(t, p).exports()
			}
		}
	}
	checked := 0
	for _, s := range sources {
		own := s.exports()
		for _, l := range s.links() {
			checked++
			there := own
			if l.path != "" {
				there = exports[l.path]
			}
			if there == nil || l.name != "" && !there[l.name] {
				t.Errorf("%s: [%s] leads nowhere", l.at, l.text)
			}
		}
	}
	if checked == 0 {
		t.Error("no link found in any comment")
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, p := range list(t, "./...") {
		s := load(t, p)
		if !slices.ContainsFunc(s.files, func(f *ast.File) bool { return f.Doc != nil }) && len(s.files) > 0 {
			t.Errorf("package %s has no comment", p.ImportPath)
		}
		for _, file := range s.files {
			for _, decl := range file.Decls {
				s.checkDocumented(t, decl)
			}
		}
	}
}

func (s source) checkDocumented(t *testing.T, decl ast.Decl) {
	t.Helper()
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if !d.Name.IsExported() || d.Doc != nil {
			return
		}
		if d.Recv == nil {
			t.Errorf("%s: %s has no comment", s.at(d.Pos()), d.Name)
		} else if recv := typeName(d.Recv.List[0].Type); ast.IsExported(recv) {
			t.Errorf("%s: %s.%s has no comment", s.at(d.Pos()), recv, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
						t.Errorf("%s: %s has no comment", s.at(name.Pos()), name)
					}
				}
			case *ast.TypeSpec:
				if !spec.Name.IsExported() {
					continue
				}
				if d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
					t.Errorf("%s: %s has no comment", s.at(spec.Pos()), spec.Name)
				}
				switch typ := spec.Type.(type) {
				case *ast.StructType:
					s.checkFields(t, spec.Name.Name, typ.Fields)
				case *ast.InterfaceType:
					s.checkFields(t, spec.Name.Name, typ.Methods)
				}
			}
		}
	}
}

// checkFields wants a comment on each exported field or method of a type.
// Embedded ones are documented where they are declared.
func (s source) checkFields(t *testing.T, typ string, fields *ast.FieldList) {
	t.Helper()
	for _, field := range fields.List {
		for _, name := range field.Names {
			if name.IsExported() && field.Doc == nil && field.Comment == nil {
				t.Errorf("%s: %s.%s has no comment", s.at(name.Pos()), typ, name)
			}
		}
	}
}
