// Package live tells pages that are open what happens to their session, when it
// happens: that another tab changed it, that it is about to end, and that it has
// ended, because its visitor signed out elsewhere, because somebody revoked it, or
// because its time is over.
//
// A [Hub] is a handler for GET that answers with server-sent events (HTML standard,
// §9.2). A browser's EventSource reads them, and so does anything that reads lines.
//
//	hub, err := live.New(sessions, live.Config{Keys: []string{"pills"}})
//	mux.Handle("GET /live", hub)
//	server.RegisterOnShutdown(hub.Close)
//
// # The stream
//
// The data of each event is one line of JSON. "idle" and "absolute" are the
// milliseconds that are left until that limit, and null where there is none.
//
//	event: session    first of all
//	{"live":true,"session":"<public id>","signedIn":true,"keys":["pills"],
//	 "values":{"pills":[…]},"idle":1799000,"absolute":86399000}
//
//	event: session    there is no live session; the stream ends. "cookie" says
//	{"live":false,"cookie":true}    whether the request carried a session cookie
//
//	event: change     these keys were set or removed, by whomever
//	{"keys":["pills"],"removed":[],"values":{"pills":[…]},"idle":…,"absolute":…}
//
//	event: expiring   it ends in Config.WarnBefore unless somebody uses it
//	{"idle":120000,"absolute":…}
//
//	event: deadline   it was used, and so ends later than was said
//	{"idle":…,"absolute":…}
//
//	event: renewed    it goes on under a new id, which the browser has or is about
//	{"signedIn":true}    to get; the stream ends: connect again
//
//	event: ended      why is "signed-out", "revoked", "expired" or "unknown"; the
//	{"reason":"revoked"}    stream ends
//
// Lines that begin with a colon are heartbeats. Changes that follow one another
// faster than they are looked at, or than a client reads, are told as one; the last
// value counts. "values" has what [Config].Keys allows out and nothing else.
//
// The reason is known where this process ended the session. What another process
// ended, or the store to keep a bound on a user's sessions, is "unknown": the page
// connects again and learns what is now. A stream that ends without a word, as all
// do when a server shuts down, may be opened again after a pause that grows. So may
// one that was refused with status 429 or 503, after what Retry-After says.
//
// # What it costs
//
// An open page is nobody who uses the session: neither the request nor the stream
// extends it, and nothing is ever written. One look at the store is made for a new
// stream, and one for each change, however many streams of the session there are in
// this process. Where nothing happens the store is not asked.
//
// That needs a store that tells of changes, a [session.Watcher], whose Watch holds
// one connection for each Hub from the first stream on. Other stores are polled,
// each session with a stream every Config.PollEvery. So are redisstore and pgstore
// without their option Watch, in every process. Changes that an Express application
// makes to a shared session are told by no store: they are seen at the next look.
//
// # Around it
//
// A Hub needs no [session.Manager.Handler] around it, and is as well off inside of
// one, except where Config.Rolling, Config.Resave or Config.SaveUninitialized have
// that extend a session with each request: put it outside then. Writers between it
// and the server have to pass on flushing, by a method Unwrap. The server's
// WriteTimeout and ReadTimeout do not end streams; a client that does not read what
// it is sent is dropped after ten seconds.
package live
