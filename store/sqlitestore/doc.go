// Package sqlitestore keeps sessions in a SQLite file, without cgo. It is the
// store for an application on one machine: one process or several, no server
// to run, nothing lost when the application restarts.
//
//	store, err := sqlitestore.Open(ctx, "sessions.db", sqlitestore.Options{})
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//
// # What survives
//
// An operation is acknowledged when its method has returned nil.
//
//   - The process is killed (kill -9, a panic, out of memory): every
//     acknowledged operation survives.
//   - The machine loses power or its kernel crashes: every acknowledged
//     Create, Update, Delete, RevokeUser and Clear survives, since each has
//     been forced to the disk before it is acknowledged (synchronous=FULL). An
//     ended session does not come back. A deadline moved by Touch, or by the
//     slide of a Load, may fall back to an earlier one, which can end a session
//     early but never prolongs it; a record removed by Prune may be there
//     again, as dead as it was.
//
// Both assume that the disk does not lie about having written. The database is
// the file together with the -wal beside it, and a copy of the file alone may be
// of an older state, or damaged: take backups through SQLite, with [Store.DB]
// and VACUUM INTO.
//
// # Several processes
//
// Any number of processes on one machine may open the same file. Readers are
// not held up by writers. Writers take turns; a method that finds the file
// locked by another process waits for as long as its context allows, and has
// changed nothing if it then gives up. A network file system does not do: the
// write-ahead log needs memory shared between the processes.
//
// The file and the -wal and -shm beside it must stay where they are while a
// process uses them: what is written to a file after it has been deleted, or
// replaced by a restored backup, is lost with it.
//
// Within a process, open the file with SQLite only. Where POSIX record locks
// are in use, opening and closing the file by other means, even to read it,
// drops the locks that protect it from other processes.
// See https://www.sqlite.org/howtocorrupt.html §2.2.
//
// # Limits
//
// A record holds up to 512 MiB. Deadlines are kept in whole milliseconds,
// rounded up, and compared with the clock of this process, so processes that
// share a file should share a clock, which on one machine they do.
package sqlitestore
