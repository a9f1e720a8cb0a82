// Package history tests that what has ended stays ended, whoever else is at it:
// it lets clients loose on a store, writes down what each call was asked,
// answered, and when, and has porcupine look for an order of the calls that
// explains all the answers.
//
// Clients live in worlds: a user with a few records, some records that nobody
// owns, and a handful of clients that work on them at once, through several
// handles as several processes would. Worlds know nothing of each other, and are
// small, so that the search for an order is cheap; there are as many as it takes
// to make the operations that were asked for.
//
// # What is checked
//
// The records that nobody owns are checked one by one, and the user, the owned
// records and the moment of revocation together as one object. There must be an
// order of all calls, in which a call that had returned before another was made
// comes first, and each call does and answers what [session.Store] and
// [session.UserIndex] say:
//
//   - Load returns the data that was last written, byte for byte, and the
//     deadline in force; with a Slide it moves that forward, and never back.
//   - Create makes a record where none lives, or else answers ErrExists. With an
//     owner it answers ErrRevoked exactly if the user was revoked with a moment
//     not before AsOf. Where Max is reached it answers ErrTooManySessions or
//     ends the oldest records, exactly as many as need be, and never the one
//     that it replaces. Whatever it refuses stores nothing.
//   - Update changes what still holds what was read, and answers ErrConflict or
//     ErrNotFound exactly if it does not.
//   - Touch moves the deadline forward only.
//   - Delete ends a record, with a non-nil old only if that still holds it.
//   - RevokeUser ends all of the user's records but those it spares, and refuses
//     sign-ins from then on, in one step. It returns how many it ended.
//   - UserIDs names every record of the user whose Create had returned before
//     the call and that lived until it answered, no record of anybody else, none
//     that was never created, and names them in the order of their creation.
//   - Nothing but Create makes a record live, and no owned record lives twice.
//
// A call that returned an error that is none of the contract's may have done its
// work or not, then or at any later time, but not by half.
//
// With [Config.AtomicRevoke] the records of a RevokeUser end at one moment: nobody
// finds one of them gone and, after that, another one still there. Without it each
// of them ends at some moment between that of the call's effect on the user and its
// return. Until then it may be loaded, changed and deleted, but counts towards
// nothing and need not be named by UserIDs. When the call returns it has ended. The
// records that a Create ends for Max end like this in any case.
//
// # What is not checked
//
//   - Time. Deadlines are an hour away; that records die at theirs is the business
//     of package storetest.
//   - UserIDs as one step: it may miss a record whose Create has not returned, or
//     name one that has ended.
//   - What RevokeUser returns, without AtomicRevoke: records that others delete
//     during the call may be counted.
//   - The bound of a user's sessions, in a world where a Create with an owner has
//     returned such an unknown error: that record may or may not count.
//   - Records whose Create has not been acknowledged, or was refused for an unknown
//     reason: nobody asks for their ids, since nobody else gets to know them.
//   - Ids of owned records that are used a second time. They are random.
package history
