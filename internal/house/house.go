// Package house holds the rules of this repository as tests: which package may
// import which, that every exported name is documented and every link in a
// comment or a Markdown file leads somewhere, that files stay readable in size,
// that fuzz targets have seeds, and that nothing skips in silence.
//
// It has no code of its own. CONTRIBUTING.md says why the rules are there.
package house
