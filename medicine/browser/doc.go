// Package browser tests Medicine in a real browser: the program itself, with
// nothing set or on Redis, and Chromium as its visitor. It has no code of its own.
//
// Tests that measure time run alone, before those that run beside each other.
//
// Pictures of the pages are written to the folder screenshots at the root of
// the repository, for people to look at.
package browser
