// Package redisstore keeps sessions in Redis 6.2 or later, or in Valkey: one
// server, Sentinel or a Cluster. It is the store for an application on several
// machines, and for one that shares its sessions with an Express application that
// uses connect-redis.
//
//	client, err := rueidis.NewClient(rueidis.ClientOption{
//		InitAddress:  []string{"redis:6379"},
//		DisableCache: true,
//	})
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	store := redisstore.New(client, redisstore.Options{})
//	defer store.Close()
//
// An application with another client hands that in: see [NewFrom].
//
// # Layout
//
// A session is what connect-redis makes of it: a string under the key sess:ID
// that holds the session's JSON and nothing else, and expires at its deadline. A
// session without an expiry (connect-redis's disableTTL) has a deadline in the
// year 9999, until its data is changed the next time.
//
// Beside them, not below their prefix, the store keeps for each user with
// sessions a hash pillbox:user:sess::DIGEST, which lists their ids and when they
// were revoked, and a key pillbox:pruner:sess: that makes one process at a time
// tidy up those hashes. The digest is the SHA-256 of the user. Sessions that
// Express signs in are not listed. Where the prefix itself begins like these keys
// they begin with of-pillbox: instead.
//
// # Consistency
//
// Every method that concerns one session is one command: SET with NX or IFEQ,
// UNLINK, or a script. A script touches one key, so all of it works in a Cluster.
// Data is changed by comparing it with what was read, byte for byte, at the
// server: an application that knows nothing of Pillbox and overwrites blindly is
// noticed. Deadlines are kept to the millisecond and enforced by the clock of the
// server.
//
// A command that changes data is sent once. If its answer is lost, the method
// returns an error and the caller cannot know whether it was done; sent again, a
// compare-and-swap that had succeeded would report a conflict, and a change would
// be applied twice. What may be run twice (Load, Touch, Delete whatever there is)
// is tried a second time when a connection breaks.
//
// All reading is done at the master. Neither replicas nor client-side caching are
// used: of reads right after another process had deleted a session, 77 % still
// found it in such a cache. That a session has ended is worth the round trip;
// package nearcache saves it without Redis's word for it.
//
// What many goroutines ask for at the same moment goes to one server in one
// packet, for which nobody waits: rueidis's own options for that
// (PipelineMultiplex, MaxFlushDelay) need not be set. A Cluster, a client with
// hooks and one with Standalone.EnableRedirect get each command by itself. A
// large session holds up those that share its packet: keep them small.
//
// A method returns when its context is done. What it had sent by then may still
// be carried out.
//
// # What survives
//
// An operation is acknowledged when its method has returned nil. Whether it then
// survives is up to the server's configuration:
//
//   - appendonly yes with appendfsync always: all survives, and an ended session
//     does not come back.
//   - appendfsync everysec, the default: all survives that redis-server is killed.
//     When the machine loses power, about the last second is lost: changes, and
//     that sessions have ended.
//   - Snapshots (save) without appendonly: whatever happened since the last
//     snapshot is undone, so that ended sessions live again until their deadline.
//     Do not use these alone.
//   - No persistence: a restart ends all sessions, and forgets revocations.
//
// Replication is asynchronous. A failover, by Sentinel or in a Cluster, loses what
// had not yet reached the replica that takes over: usually a few milliseconds, and
// a master that is cut off may go on to acknowledge for as long as its clients
// reach it (bound that with min-replicas-to-write and min-replicas-max-lag). With
// Options.WaitReplicas each change waits until so many replicas have it, and fails
// with [ErrUnconfirmed] if they do not in time. With as many as there are
// replicas, whichever takes over has all that was acknowledged; with fewer that
// depends on the one that is chosen, which is the one that has most as far as the
// others know. Such a change uses a connection alone, of which there are then as
// many as changes at a time, and in a Cluster it fails while its slot is moved.
// Touch, Load and Clear do not wait.
//
// While a failover lasts, requests fail at once or when their time is up. The
// store works again by itself as soon as the client has found the new master: a
// rueidis client for Sentinel should have Sentinel.TopologyRefreshInterval set,
// one for a Cluster ClusterOption.ShardsRefreshInterval, to 5 seconds for example.
//
// # Memory
//
// Set maxmemory-policy to noeviction. Under an allkeys policy Redis may remove
// the list of a user's sessions, so that RevokeUser does not find them; under a
// volatile policy it ends sessions early, and may forget a revocation. [Store.Ping]
// warns of both. A full server refuses new sessions and changes, while reading,
// sliding and ending go on.
//
// A session of 330 bytes takes about 500 bytes of memory (MEMORY USAGE of Redis
// 7.0: 472), and a user with one session 200 more, with five 464. Dead sessions are
// removed by Redis, which looks at some of them ten times a second and at the
// others when they are asked for. What the index by user still lists of them is
// dropped from time to time: see Options.PruneEvery.
//
// # Rights
//
// With the prefix sess: the client's user needs
//
//	~sess:* ~pillbox:user:sess::* ~pillbox:pruner:sess:
//	+get +set +unlink +exists +strlen +pttl +pexpiretime +pexpireat +persist
//	+hget +hset +evalsha +eval +scan +time +info +hello +ping
//
// (Redis before 7.0 has no pexpiretime) and behind Sentinel +role, on a Cluster
// +cluster|slots, +cluster|shards and +role, with Options.WaitReplicas +wait, with
// Options.Watch &pillbox:changes:sess: +publish +subscribe +unsubscribe, and in
// another database than 0 +select.
// [Store.Ping] tells of most that lack; the errors of the methods tell of all.
//
// # Watching
//
// Redis delivers what is published at most once. A [Store.Watch] that was cut off
// says that anything may have changed. In a Cluster messages also travel between
// nodes, and are lost without a sign while two of them cannot reach each other:
// take what Watch tells as a hint to look, not as the only way to learn that a
// session has ended.
//
// # Limits
//
// A record holds up to 512 MiB, if the server's proto-max-bulk-len is not lower.
// List, Count, Clear and the pruning of the index look at every key of the
// database, so one that Redis shares with much else makes them slow.
package redisstore
