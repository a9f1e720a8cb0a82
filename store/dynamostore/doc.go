// Package dynamostore keeps sessions in a table of Amazon DynamoDB, in the items
// of connect-dynamodb 3, so that an Express application can use them too.
//
//	cfg, err := config.LoadDefaultConfig(ctx) // region and credentials
//	if err != nil {
//		return err
//	}
//	store := dynamostore.New(dynamodb.NewFromConfig(cfg), dynamostore.Options{})
//	defer store.Close()
//	if err := store.Migrate(ctx); err != nil {
//		return err
//	}
//
// # Items
//
// The table is "sessions", and its hash key "id" is "sess:" and the session's id.
// A record has sess, the data as JSON text; expires, its deadline in seconds since
// 1970, with milliseconds as a fraction, as connect-dynamodb writes it too; type,
// which is "connect-session"; and change, a name for the last write, of which
// Express knows nothing. Other attributes, such as those of connect-dynamodb's
// specialKeys, stay as they are until Create replaces a record that is dead. An
// item without sess is what connect-dynamodb's touch leaves behind when a session
// has ended before it, and is no record. One whose sess or expires cannot be a
// record's is [session.ErrDamaged].
//
// The index by user is an item for each user that has signed in, of the type
// "pillbox-user", with the prefix "user sess: " and, instead of a name, a hash. It
// lists the ids of the user's sessions, some 10,000 of which fit; a sign-in beyond
// that fails unless Config.MaxPerUser bounds them. No transactions are used.
//
// # What a Load costs
//
// A read unit of DynamoDB covers 4 KB, and a write unit, which costs five times as
// much, 1 KB of the item, however little of it is changed. A condition that does
// not hold costs what the write would. So a Load cannot try to move the deadline
// each time, and if it read first, moving would be a second round trip. Instead the
// store remembers the deadlines of the sessions that it has seen lately, and knows
// beforehand: it reads where nothing is to be moved, and otherwise writes, which
// returns the item too. Where it knows nothing, it writes. In commands, and in read
// units for a session of 1 KB and of 4 KB:
//
//	                                                 Remember ≥ 0     Remember < 0
//	a Load that moves nothing                        1    1    1      1    1    1
//	a Load that moves the deadline                   1    5   20      2    6   21
//	the first of a process, that moves nothing       1    5   20      1    1    1
//	after another process has moved the deadline     1    5   20      1    1    1
//
// With the Manager's default a deadline is moved once a minute of use. A fleet of
// many short-lived processes pays for the last two lines; [Options.Remember] can be
// negative there. An id that is unknown costs one write unit, or two commands until
// the server has been seen to return the item with a refusal.
//
// Create, Update, Touch and Delete are one command each, conditional where they have
// to be. A Create with an owner and a RevokeUser also read and replace the user's
// item.
//
// # Failures
//
// An operation is acknowledged when its method has returned nil, and DynamoDB then
// has it on several disks. The client repeats what fails, three times in all by
// default, within the context's deadline. If the answer to a conditional write is
// lost, the repetition finds the condition broken by the write itself: the name in
// change tells. Where that has been overwritten too, or a compare-and-delete finds
// nothing, nobody can tell, and the method returns an error that says so rather
// than an answer that may be wrong.
//
// Reads are strongly consistent. Deadlines are compared with the clock of the process
// that asks, to the millisecond, so processes that share a table should share a time
// source. A global table in its usual mode lets the last writer win among Regions,
// so that an ended session can come back: let all processes use one Region.
//
// # Removal
//
// DynamoDB's Time to Live removes dead items within about two days; [Store.Migrate]
// switches it on. It never decides what is live. Amazon documents it for a number of
// seconds and does not say whether a fraction matters. One of its own libraries says
// that the numbers are compared (https://github.com/aws/strands-dynamodb-storage/pull/27),
// and connect-dynamodb relies on it. [Store.Prune] is for a table without it.
//
// # Limits
//
// A record holds up to [MaxBytes], which is less than 1 MiB, since an item of DynamoDB
// has no more than 400 KB. Long sessions are dear: see above. [Store.List],
// [Store.Count] and [Store.Clear] read the whole table.
//
// # What it is tested with
//
// The tests run against two emulators, dynalite 4.0 and moto 5.2, which are not
// DynamoDB. Requests to moto go one at a time, because its conditional writes are not
// atomic. dynalite returns no item with a refusal and has no Time to Live. What this
// page says of prices, capacity, Time to Live and global tables follows Amazon's
// documentation. With PILLBOX_TEST_DYNAMODB=aws the same tests run against Amazon's
// own, in the account and Region of the environment.
package dynamostore
