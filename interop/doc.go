// Package interop runs Pillbox beside a real Express application, with the
// express-session, cookie-signature and cookie that npm has, on the five stores
// that Express applications keep their sessions in, and compares what the two do
// and store. It has tests only.
package interop
