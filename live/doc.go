// Package live pushes what happens to a session to the pages that are open on it,
// by server-sent events.
package live
