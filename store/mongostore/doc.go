// Package mongostore keeps sessions in MongoDB, in the documents of connect-mongo
// 6, so that an Express application can use them too.
//
//	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://localhost"))
//	if err != nil {
//		return err
//	}
//	store := mongostore.New(client.Database("app"), mongostore.Options{})
//	defer store.Close()
//	if err := store.Migrate(ctx); err != nil {
//		return err
//	}
//
// # Documents
//
// The collection is "sessions". A document's _id is the session's id, its expires
// the deadline as a Date, and its session the data: JSON text, or with
// [Options.Object] a subdocument. Those are connect-mongo's stringify: true, which
// is its default, and stringify: false. Its other fields (lastModified, createdAt,
// updatedAt) are left alone. A document without expires is a session that has no
// deadline; the first change gives it one. Options of connect-mongo that change
// ids or data, which are transformId, serialize, crypto and cryptoAdapter, cannot
// be shared: an encrypted session is refused by an error that wraps
// [errors.ErrUnsupported], and stays as it is.
//
// # Subdocuments
//
// A subdocument holds what JSON.parse and the driver for Node.js would make of the
// data, with cookie.expires as a Date. Where that loses something (digits beyond
// 2^53, a number written as 1.0, spaces, equal keys, halves of surrogate pairs),
// the text is kept beside it in the field pillbox. It counts until somebody else
// replaces the subdocument, of which pillbox holds the hash. Then, and where
// Express made the session, Load returns what JSON.stringify makes of the
// subdocument: a Date reads as its ISO 8601 text with milliseconds, an ObjectId as
// its digits, bytes as base64, an int64 as its digits, Decimal128 and rarer types as
// MongoDB Extended JSON. What an Update leaves as it was keeps its type.
//
// Data that cannot be a subdocument is stored as text all the same, which Express
// then cannot read: more than 90 levels deep, a NUL in a key, more than 7 MiB as
// BSON. Keys that begin with $ need MongoDB 5.0.
//
// # What survives
//
// An operation is acknowledged when its method has returned nil. Every write
// waits until a majority of the replica set has it in its journal, whatever the
// client asks of others: with less, a failover may take back a deletion that has
// been acknowledged, and an ended session is live again. If the answer is lost,
// the write is done or not; then the driver repeats it once on a replica set, under
// a number by which the server knows it, so that a comparison is not made twice. It
// repeats nothing on a server without that, such as FerretDB.
//
// All reads go to the primary, and read what a majority has, so that nothing is
// read that a failover takes back. One window is left: a primary that has been cut
// off from the others goes on to answer a Load that moves no deadline, as things
// stood then, until it notices and steps down, after ten seconds by default. A
// process that is cut off together with it may see a session for so long that has
// ended elsewhere; it cannot change the session, nor prolong it. Closing this takes
// read concern linearizable, which is a write to the whole set for each read, and
// which a standalone server does not have; it is not used.
//
// Clocks: deadlines are compared with the clock of the process that asks, to the
// millisecond. Processes that share a collection should share a time source.
//
// # Removal
//
// [Store.Migrate] makes the index by which the server removes dead documents,
// about once a minute; it is connect-mongo's own. A store also removes them itself,
// see [Options.PruneEvery], for servers that do not. Neither decides what is live.
//
// The index by user is the collection "sessions_users", with a document for each
// user that has signed in. No transactions are used.
//
// # Limits
//
// A record holds up to 4 MiB. The collection must not have a collation of its own.
// Change streams are not used, so there is no [session.Watcher].
//
// # What it is tested with
//
// The tests run against FerretDB 2.7 on PostgreSQL with DocumentDB, which speaks
// MongoDB's protocol and is one server without replication. What this page says of
// replica sets follows MongoDB's documentation. With the URL of another server in
// PILLBOX_TEST_MONGODB the same tests run there.
package mongostore
