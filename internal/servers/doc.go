// Package servers starts the real servers that tests run against: Redis and
// its relatives, PostgreSQL, MariaDB, MySQL, and stand-ins that speak the
// protocols of MongoDB and DynamoDB. "make test" installs them.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { os.Exit(servers.Main(m)) }
//
// and its tests call [Shared] for a server that they use together, each under
// its own prefix, table or database, or [Start] for one that is theirs, to be
// killed and started again. [Proxy] puts a network that fails in front of
// either.
//
// Everything listens on 127.0.0.1, on free ports below the range that the
// kernel gives to outgoing connections, and keeps its data in a short folder
// of its own. It ends with the test process, however that ends: the kernel
// kills a server whose starter is gone, and what a killed process leaves on
// disk is removed by the next one that starts a server.
//
// Where an address is in the environment (PILLBOX_TEST_REDIS7 and so on, see
// [Kind]), Shared uses the server there instead of starting one. Starting
// needs Linux; elsewhere, tests run against addresses from the environment and
// skip the rest.
package servers
