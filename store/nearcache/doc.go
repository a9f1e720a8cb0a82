// Package nearcache keeps the records of another store in the process for a
// moment, so that reading a session in steady use costs the other store nothing,
// and changing one costs it one command. It suits an application on several
// machines whose store is behind a network.
//
//	store, err := nearcache.New(redisstore.New(client, redisstore.Options{}), nearcache.Options{})
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//	manager, err := session.New(session.Config{Store: store, …})
//
// # What is promised
//
// An ended session is final. When Delete, RevokeUser, Clear, or a Create that
// ends a user's oldest records has returned nil, no process hands out the ended
// records any more, in no call that begins after that. This is no matter of luck
// or of messages that arrive: a process trusts what it has read for one lease
// ([Options.Lease]), counted from before it asked, and whoever ends a record
// waits for one lease, counted from the store's answer. Whatever another process
// has read of it is then worth nothing. So ending takes a lease longer, 100 ms if
// nothing else is said: a sign-out, and each new id, which ends the old one. A
// sign-in under [session.Config].MaxPerUser waits once for the bound and once for
// the old id.
//
// Nothing is lost. A change is a compare-and-swap in the store below, which
// knows no cache. One that was made on what is no longer there meets a conflict,
// upon which the Manager reads again, from the store, and replays it.
//
// One process sees what it would without the cache: its own changes at once, and
// no record go back to what it was. No record is served past its deadline, and a
// deadline that a [session.Slide] moves is moved in the store.
//
// # What is not promised
//
// What another process has changed, other than by ending a record, may be read
// up to one lease late. Where the store below is a [session.Watcher] and tells of
// changes, that shrinks to the time that its word takes, as a rule.
//
// Who finds a record gone may be ahead of other processes, until the call that
// ended it returns. A visitor who signs out twice at once, in two processes, may be
// told so first by the one that found nothing.
//
// All of it holds among processes that use this package with the same lease. An
// Express application, a process that uses the store directly or one with a
// shorter lease ends a session without waiting long enough, and this process may
// serve it for up to a lease more. The same goes for what ends a record without
// being asked, such as a bound of memory that the store below keeps. To make the
// lease longer, change it in one step, with no old process left.
//
// A process whose machine was suspended does not trust what it had read before,
// provided that the machine's clock shows the time that has passed. That is so
// but for virtual machines that are stopped, copied or moved in a way that they
// cannot notice.
//
// # Waiting
//
// A method that ends records waits until the lease is over or its context is
// done. In the second case it returns an error, though the store below has ended
// them: other processes may still serve them for the rest of the lease. A process
// does not contradict itself meanwhile: a Load that finds no record answers so
// only when that lease is over too, since callers look whether a failed Delete was
// done, and take a record that is gone for one that nobody serves. Requests
// therefore need deadlines, and the Manager a StoreTimeout, that are longer than a
// lease.
//
// A Delete waits even if there was nothing to end, because another process may
// have ended it just now and be waiting itself. It waits also if this process has
// created the record and told nobody its id: another process may have found it
// through UserIDs or List. A Create with an [session.Owner] that has a Max waits
// although it may have ended nothing, since it is not told; one that rejects
// does not, as it ends nothing. An Update waits only if it brings the record's
// deadline nearer than a lease. Nothing else waits.
//
// # What is kept where
//
// A record is in memory for up to two leases after it was last read from the
// store or written, whether or not anybody asks for it, under the SHA-256 of its id.
// The id itself is not kept. How much there may be is bounded: see [Options].
package nearcache
