// Package mysqlstore keeps sessions in a table of MySQL 8.0 or MariaDB 10.6, or
// newer, the one that express-mysql-session uses, so that Go and Express
// applications share them.
//
//	store, err := mysqlstore.Open(ctx, "app:password@tcp(db.example.com)/shop?tls=true", mysqlstore.Options{})
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	if err := store.Migrate(ctx); err != nil {
//		return err
//	}
//
// A Load is one round trip, whether or not it moves the deadline, and so is
// every other method that concerns one record; only a Create over a dead record
// and a Delete that is refused take more. A sign-in takes two, [Store.RevokeUser]
// three. [New] does the same over a pool that the application has already, at
// the price that its documentation names.
//
// # The table
//
// [Store.Migrate] makes it where it is missing:
//
//	CREATE TABLE sessions (
//		session_id varchar(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
//		expires    int unsigned NOT NULL,
//		data       mediumtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
//		owner      varbinary(255),
//		owned_at   bigint,
//		PRIMARY KEY (session_id),
//		KEY pillbox_owner (owner, owned_at),
//		KEY pillbox_expires (expires)
//	) ENGINE=InnoDB;
//	CREATE TABLE sessions_revocations (
//		user varbinary(255) NOT NULL PRIMARY KEY, revoked_at bigint, kept_until bigint NOT NULL, KEY (kept_until)
//	) ENGINE=InnoDB;
//
// To a table that Express made it adds the two columns and the two indexes, and
// the second table. Express neither sees nor disturbs them: what it writes leaves
// the owner alone. Without Migrate the store works on Express's table too, but
// not for users: Create with an owner, UserIDs and RevokeUser answer an error that
// names Migrate.
//
// The store looks at the table before it uses it first, and refuses one that
// would not keep records as they are: with data of MySQL's type json, which
// rewrites what is stored, in another character set than utf8mb4, with ids that
// a collation takes for one another, or with an engine other than InnoDB.
//
// Ids that differ in spaces at their end have room for one of them only, since
// the collation of Express's table takes no notice of such spaces. The store never
// takes one for the other.
//
// # Clocks
//
// A record is live while its deadline is after the server's clock, which is read
// when the record's row is. A call that had to wait for the row does not bring
// back what died meanwhile. Express compares with its own clock. Deadlines are
// kept in whole seconds, rounded up, and end in the year 2106 at the latest.
//
// # What survives
//
// Once Create, Update, Touch, Delete, RevokeUser or Clear has returned nil, it
// survives a crash of the server and of its machine, if the server has
// innodb_flush_log_at_trx_commit = 1 and, where it writes a binary log,
// sync_binlog = 1; both are the default of MySQL, and the first is of MariaDB.
// With other settings a crash may bring back what ended just before it:
// [Store.Ping] warns of them. A failover to a replica loses what the replica
// lacks.
//
// A call whose connection breaks after it was sent returns an error, and may or
// may not have been done. It is never sent a second time. What met a deadlock or
// the server's own bound on waiting for a lock has not been done, and is tried
// again for as long as the context allows.
//
// A Load with a Slide waits for a transaction that has changed the record and not
// committed yet, as every write does. Keep such transactions of your own short.
//
// # Settings
//
// The store writes what comes from outside into its statements in hexadecimal
// digits only, so that no setting of the connection makes a difference to their
// safety or their meaning: character set, sql_mode, time zone, isolation level,
// clientFoundRows, interpolateParams. Two settings are refused: autocommit = 0,
// and binlog_format = STATEMENT. A user needs SELECT, INSERT, UPDATE and DELETE
// on the two tables.
//
// # Limits
//
// A record holds up to 16 MiB, and never more than half of the server's
// max_allowed_packet: 8 MiB on a MariaDB that has its default of 16 MiB. Data must
// be UTF-8. The name of a user has at most 255 bytes.
//
// Statements that run alongside others for the same user or id take turns, by row
// locks in the primary. Writing to several primaries at once, as in Galera with
// writes to more than one node, has not been tested.
//
// There is no [session.Watcher]: neither server tells clients of changes.
package mysqlstore
