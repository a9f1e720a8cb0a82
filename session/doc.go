// Package session gives web applications sessions that are kept on the server:
// what a visitor collects lives in a store, and the browser holds no more than a
// signed id in a cookie that scripts cannot read.
//
//	sessions, err := session.New(session.Config{
//		Store:   store,
//		Secrets: []string{os.Getenv("SESSION_SECRET")},
//	})
//	...
//	http.ListenAndServe(addr, sessions.Handler(mux))
//
// A handler finds its visitor's session with [From], and reads and changes it
// through constants of type [Key]:
//
//	const pills session.Key[[]Pill] = "pills"
//
//	func addPill(w http.ResponseWriter, r *http.Request) {
//		s := session.From(r.Context())
//		all, err := pills.Update(s, func(list []Pill) []Pill { return append(list, pill) })
//		...
//	}
//
// # What it promises
//
// No update is lost: Update is atomic across goroutines, and across processes and
// machines as far as they share the store, and changes by parallel requests to different keys are both kept. An ended
// session is final: no request that is under way can bring it back. A response
// leaves after its session is stored, so the next request finds it; where the
// store fails, the response is an error. A request that does not use its session
// costs no call of the store, and one that only reads costs one.
//
// # Sharing sessions with Express
//
// Cookies, signatures and stored JSON are those of express-session. With the
// name "connect.sid", the same secret and the same store, a Go service and an
// Express application read, change and end each other's sessions; [ExpressV1]
// and [ExpressV2] have the rest of its defaults.
//
// # Stores
//
// A [Store] is five atomic verbs. The package storetest checks one.
package session
