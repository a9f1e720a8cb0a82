package redisstore_test

import (
	"testing"

	"github.com/pillboxgo/pillbox/internal/history"
	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// Whatever parallel clients on two connections do, there is an order of their
// calls that explains all answers, and in it nothing comes back that has ended.
// Redis changes one key at a time, so the records of a RevokeUser end one after
// the other before it returns.
func TestHistoriesAreLinearizable(t *testing.T) {
	for _, kind := range []servers.Kind{servers.Redis7, servers.RedisCluster} {
		t.Run(string(kind), func(t *testing.T) {
			history.Run(t, history.Config{
				Open: func(t *testing.T) []history.Handle {
					server, opts := servers.Shared(t, kind), redisstore.Options{Prefix: newPrefix()}
					return []history.Handle{open(t, server, opts), open(t, server, opts)}
				},
			})
		})
	}
}
