package sqlitestore

import (
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// errClosed is what every method answers after Close.
var errClosed = errors.New("the store is closed")

// code returns SQLite's primary result code, or zero if err is not SQLite's.
func code(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// isBusy reports whether the same call may succeed once another connection has
// moved on. SQLITE_PROTOCOL is the loser of a race for a slot in the -shm file.
func isBusy(err error) bool {
	c := code(err)
	return c == sqlite3.SQLITE_BUSY || c == sqlite3.SQLITE_PROTOCOL
}

// What an operator can do about a failure.
const (
	remedyFull     = "there is no room left"
	remedyReadOnly = "the file, or its -wal and -shm in the same directory, is missing or cannot be written: " +
		"check owner and mode of the file and of the directory, and how the file system is mounted"
	remedyIO      = "the disk failed, or has no room left"
	remedyNotADB  = "this is not a SQLite database: name another file"
	remedyCorrupt = "the database is damaged: stop every process that uses it, " +
		"then restore a backup, or move it and its -wal and -shm away to begin anew"
)

func remedy(err error) string {
	switch code(err) {
	case sqlite3.SQLITE_FULL:
		return remedyFull
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
		return remedyReadOnly
	case sqlite3.SQLITE_IOERR:
		return remedyIO
	case sqlite3.SQLITE_NOTADB:
		return remedyNotADB
	case sqlite3.SQLITE_CORRUPT:
		return remedyCorrupt
	}
	return ""
}

// fail names the operation and the cause, and where an operator can do
// something about it, the file and the remedy. SQLite's messages name tables
// and columns but no values, so neither id nor data gets into them.
func (s *Store) fail(operation string, err error) error {
	if err == nil {
		return nil
	}
	if hint := remedy(err); hint != "" {
		return fmt.Errorf("pillbox: sqlite %s: %s: %s: %w", operation, s.path, hint, err)
	}
	return fmt.Errorf("pillbox: sqlite %s: %w", operation, err)
}

func openError(path string, err error) error {
	if hint := remedy(err); hint != "" {
		return fmt.Errorf("pillbox: sqlite open %s: %s: %w", path, hint, err)
	}
	return fmt.Errorf("pillbox: sqlite open %s: %w", path, err)
}
