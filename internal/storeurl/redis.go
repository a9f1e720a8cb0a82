package storeurl

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/store/redisstore"
)

const (
	redisForm    = "redis://HOST:PORT/DB"
	clusterForm  = "redis+cluster://HOST:PORT,HOST:PORT"
	sentinelForm = "redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB"
)

// refresh is how often a client looks which nodes there are: a failover that
// nobody tells it of is found by that.
const refresh = 5 * time.Second

// openRedis opens a store on one server, on a cluster, or on whatever server the
// sentinels say is the master. With rediss in place of redis it talks TLS.
func openRedis(ctx context.Context, text string, logger *slog.Logger) (*Opened, error) {
	name, _, _ := strings.Cut(text, ":")
	_, role, _ := strings.Cut(name, "+")
	form := map[string]string{"": redisForm, "cluster": clusterForm, "sentinel": sentinelForm}[role]
	a, err := parseAddress(text, form)
	if err != nil {
		return nil, err
	}
	client := rueidis.ClientOption{
		Username: a.user,
		Password: a.password,
		// What was read is not to be remembered: another process may have
		// ended the session meanwhile.
		DisableCache: true,
		// A command whose answer got lost may have been run.
		DisableRetry: true,
	}
	if strings.HasPrefix(a.scheme, "rediss") {
		client.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	db := a.path
	switch role {
	case "":
		a.single()
		client.InitAddress = a.addrs("6379")
		client.ForceSingleClient = true
	case "cluster":
		client.InitAddress = a.addrs("6379")
		client.ShuffleInit = true
		client.ClusterOption.ShardsRefreshInterval = refresh
		if db != "" {
			return nil, fmt.Errorf("store %s: names the database %q: a cluster has one, without a name", a.scheme, db)
		}
	case "sentinel":
		client.InitAddress = a.addrs("26379")
		var master string
		master, db, _ = strings.Cut(db, "/")
		if master == "" {
			return nil, fmt.Errorf("store %s: names no master: want %s", a.scheme, form)
		}
		client.Sentinel = rueidis.SentinelOption{
			MasterSet:               master,
			TLSConfig:               client.TLSConfig,
			TopologyRefreshInterval: refresh,
		}
		if a.flag("sentinel_auth", false) {
			client.Sentinel.Username, client.Sentinel.Password = a.user, a.password
		}
	}
	if client.TLSConfig != nil && len(client.InitAddress) == 1 {
		client.TLSConfig.ServerName, _, _ = net.SplitHostPort(client.InitAddress[0])
	}
	if db != "" {
		if client.SelectDB, err = strconv.Atoi(db); err != nil || client.SelectDB < 0 {
			return nil, fmt.Errorf("store %s: the database is %q: want a number", a.scheme, db)
		}
	}
	opts := redisstore.Options{
		Prefix:       a.text("prefix", ""),
		Watch:        a.flag("watch", true),
		PruneEvery:   a.duration("prune"),
		WaitReplicas: a.number("replicas"),
		WaitTimeout:  a.duration("replicas_timeout"),
		Logger:       logger,
	}
	opts.NoPrefix = a.options.Has("prefix") && opts.Prefix == ""
	if err := a.wrongsOrUnknown(); err != nil {
		return nil, err
	}
	conn, err := rueidis.NewClient(client)
	if err != nil {
		return nil, fmt.Errorf("%w: check that a server runs at %s, and user, password and TLS",
			a.refused(err), strings.Join(client.InitAddress, ", "))
	}
	return ready(ctx, redisstore.New(conn, opts), "redis", false, func() error {
		conn.Close()
		return nil
	})
}
