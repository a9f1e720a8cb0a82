// Package pgstore keeps sessions in a table of PostgreSQL, the one that
// connect-pg-simple uses, so that Go and Express applications share them.
//
//	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
//	if err != nil {
//		return err
//	}
//	store := pgstore.New(pool, pgstore.Options{})
//	defer store.Close()
//	if err := store.Migrate(ctx); err != nil {
//		return err
//	}
//
// A Load is one statement, whether or not it moves the deadline, and so is every
// other method that concerns one record; it may be two where there is nothing to
// move after all, because the record is gone or another request has moved its
// deadline further. Only what has to be atomic with regard
// to a user, a sign-in or [Store.RevokeUser], is a transaction, and that goes to
// the server and back once.
//
// # Loads that go together
//
// While two Loads of a process are under way, further ones wait for them, for two
// milliseconds at most, and then up to 64 of them are one statement. A busy
// process so needs few connections for its reads, and the server a fraction of the
// time. Each of them is still atomic by itself, gets its own answer, and returns
// when its own context ends. None waits for a record that is not its own: what
// another transaction has locked is passed over, and asked for by itself. Hooks and
// tracers of pgx see such a statement once, with the values of the context of one
// of those Loads, whose end is not its own: do not choose there, by such a value,
// what a connection may see.
//
// # The table
//
// [Store.Migrate] makes it where it is missing:
//
//	CREATE TABLE session (
//		sid      varchar      NOT NULL COLLATE "default",
//		sess     json         NOT NULL,
//		expire   timestamp(6) NOT NULL,
//		owner    bytea,
//		owned_at bigint,
//		CONSTRAINT session_pkey PRIMARY KEY (sid)
//	) WITH (fillfactor = 70);
//	CREATE INDEX session_owner_idx ON session (owner, owned_at) WHERE owner IS NOT NULL;
//	CREATE TABLE session_revocations (owner bytea PRIMARY KEY, at bigint NOT NULL, kept_until bigint NOT NULL);
//
// To a table that Express made it adds the two columns, the index and the
// second table, and changes nothing else; Express neither sees nor disturbs
// them. Without Migrate the store works on Express's table too, but cannot find
// the sessions of a user: the methods of [session.UserIndex] answer an error
// that names Migrate, and so does a Create that bounds a user's sessions.
//
// There is no index on expire, and there is room on each page, so that moving a
// deadline touches no index and leaves little to vacuum (a HOT update). Express's
// own table has that index, "IDX_session_expire", which each touch has to write
// to; drop it if the table is busy. Without it, removing dead records reads the
// whole table, some tens of milliseconds for 100,000 of them: with many processes,
// let one of them do it, and set [Options.PruneEvery] to a negative value in the
// others.
//
// The column sess has the type json, or text. A jsonb column does not keep what
// was stored byte for byte, which detecting changes relies on, and refuses
// "\u0000", which JavaScript allows; the store refuses to work with one.
//
// # Time zones
//
// The column expire is a date and time without a zone, which connect-pg-simple
// writes and reads in the TimeZone of its connection. The store does the same, in
// the same words of SQL. So all connections to one table must have the same
// TimeZone: leave it alone in the connection strings and let the database
// decide,
//
//	ALTER DATABASE app SET timezone = 'UTC';
//
// and mind that pgx takes one from PGTZ or from timezone= in a connection
// string. [Store.Ping] tells the logger when the rows that Express has written
// look shifted. With a zone that has summer time, a deadline within the hour that
// comes twice in autumn is taken for the second of the two: such a session may
// live an hour too long, and none ends early. UTC has no such hour.
//
// # What survives
//
// Once Create, Update, Delete, RevokeUser or Clear has returned nil, it survives a
// crash of the server: the store asks for a synchronous commit even where
// synchronous_commit is off. A deadline moved by Touch, or by the slide of a
// Load, is committed asynchronously and may fall back, which ends a session early
// but never prolongs it. With fsync = off nothing is promised. A failover to a
// standby loses what the standby lacks: name it in synchronous_standby_names if
// an ended session must not come back then.
//
// # PgBouncer
//
// With transaction pooling every method works but [Store.Watch], which needs a
// connection to the server itself. Prepared statements need PgBouncer 1.21 and
// its max_prepared_statements; without them set DefaultQueryExecMode of pgx to
// QueryExecModeExec, or default_query_exec_mode=exec in the connection string.
// Simple protocol works too.
//
// # Failures
//
// A call fails rather than guesses when the server cannot be asked, and nothing
// has to be restarted when it can be asked again. A call that meets a connection
// which the server has closed fails, too; the pool replaces the connection. One
// that finds the server read-only gives its connection up, so that after a
// failover the pool finds the new primary, if the connection string names both
// and says target_session_attrs=read-write.
//
// # Limits
//
// The tests have run on PostgreSQL 15 and 18. A record holds up to 64 MiB.
// Deadlines are kept in whole milliseconds, rounded up, and compared with the
// clock of the application. Express counts in seconds and lets a session end up
// to a second before its deadline.
package pgstore
