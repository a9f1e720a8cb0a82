package servers

import (
	"strings"
	"testing"
)

// A Kind is a server program, or an arrangement of several of them.
//
// The environment variable PILLBOX_TEST_ and its name in capitals, with _ for
// -, names one that is there already, in the form of [Server.URL].
type Kind string

// The kinds of servers.
const (
	// Redis7 is the redis-server of Debian: 7.0 in Debian 12.
	Redis7 Kind = "redis7"

	// Redis8 is a Redis 8, which expires hash fields and has SET … IFEQ from
	// 8.4 on.
	Redis8 Kind = "redis8"

	// Valkey is a Valkey 9.
	Valkey Kind = "valkey"

	// RedisCluster is a Redis Cluster of the Redis of [Redis7]: three masters,
	// which are nodes 0 to 2 at first, and a replica of each, nodes 3 to 5.
	RedisCluster Kind = "redis-cluster"

	// RedisSentinel is a master with two replicas of the Redis of [Redis7],
	// watched by three sentinels. The sentinels are nodes 0 to 2, the first
	// master is node 3, the replicas are nodes 4 and 5.
	RedisSentinel Kind = "redis-sentinel"

	// Postgres is the PostgreSQL of Debian: 15 in Debian 12.
	Postgres Kind = "postgres"

	// MariaDB is the MariaDB of Debian: 10.11 in Debian 12.
	MariaDB Kind = "mariadb"

	// MySQL is Oracle's MySQL 9.
	MySQL Kind = "mysql"

	// MongoDB is what can be had of MongoDB as free software: FerretDB on
	// PostgreSQL with Microsoft's DocumentDB. Updates of one document are
	// atomic and TTL indexes work, within two seconds; there are no
	// transactions and no change streams. Its one node is FerretDB; the
	// PostgreSQL behind it keeps running when that is killed.
	MongoDB Kind = "mongodb"

	// DynamoDB is dynalite, an emulator of Amazon's: conditional writes are
	// right, transactions and TTL are missing. PILLBOX_TEST_DYNAMODB=aws means
	// Amazon's own, with the credentials of the environment.
	DynamoDB Kind = "dynamodb"

	// DynamoDBMoto is moto_server, another emulator, which has transactions
	// but no idempotency tokens. It is used where it is on PATH.
	DynamoDBMoto Kind = "dynamodb-moto"
)

// titles are how people call the kinds.
var titles = map[Kind]string{
	Redis7:        "Redis 7",
	Redis8:        "Redis 8",
	Valkey:        "Valkey 9",
	RedisCluster:  "Redis Cluster",
	RedisSentinel: "Redis Sentinel",
	Postgres:      "PostgreSQL",
	MariaDB:       "MariaDB",
	MySQL:         "MySQL 9",
	MongoDB:       "FerretDB on PostgreSQL with DocumentDB",
	DynamoDB:      "dynalite",
	DynamoDBMoto:  "moto_server",
}

// starters start the kinds. One looks for its programs first, since it does
// not return where a program is missing, and leaves what it has started to be
// stopped by its caller.
var starters = map[Kind]func(testing.TB, *Server) error{
	Redis7:        startRedis,
	Redis8:        startRedis,
	Valkey:        startRedis,
	RedisCluster:  startCluster,
	RedisSentinel: startSentinel,
	Postgres:      startPostgres,
	MariaDB:       startMariaDB,
	MySQL:         startMySQL,
	MongoDB:       startMongoDB,
	DynamoDB:      startDynalite,
	DynamoDBMoto:  startMoto,
}

// variable returns the environment variable that may hold a kind's address.
func (k Kind) variable() string {
	return "PILLBOX_TEST_" + strings.ToUpper(strings.ReplaceAll(string(k), "-", "_"))
}
