package redisstore_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

func TestPing(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			var log bytes.Buffer
			s := open(t, servers.Shared(t, kind), redisstore.Options{Prefix: newPrefix(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if err := s.Ping(t.Context()); err != nil || log.Len() > 0 {
				t.Errorf("Ping = %v, and logs %q; want neither", err, log.String())
			}
			client, _ := commander(t, servers.Shared(t, kind))
			other := redisstore.NewFrom(client, redisstore.Options{Prefix: newPrefix(), PruneEvery: -1})
			if err := other.Ping(t.Context()); err != nil {
				t.Errorf("Ping through go-redis = %v", err)
			}
		})
	}
}

func TestPingWarnsOfEviction(t *testing.T) {
	server := servers.Start(t, servers.Redis7)
	client := connect(t, direct(server))
	for policy, warning := range map[string]string{
		"noeviction":     "",
		"allkeys-lru":    "cannot be revoked",
		"allkeys-random": "cannot be revoked",
		"volatile-ttl":   "end sessions early",
	} {
		do(t, client, "CONFIG", "SET", "maxmemory-policy", policy)
		var log bytes.Buffer
		s := openOn(t, client, redisstore.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err := s.Ping(t.Context()); err != nil {
			t.Errorf("Ping with %s = %v; want no failure", policy, err)
		}
		if warning == "" && log.Len() > 0 || !strings.Contains(log.String(), warning) {
			t.Errorf("Ping with %s logs %q; want %q", policy, log.String(), warning)
		}
	}
}

func TestPingMissesReplicas(t *testing.T) {
	s := open(t, servers.Shared(t, servers.Redis7), redisstore.Options{Prefix: newPrefix(), WaitReplicas: 1})
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "WaitReplicas") {
		t.Errorf("Ping without a replica = %v; want an error that names WaitReplicas", err)
	}
}

// acl are the rights that the package's documentation asks for.
func acl(prefix string, watch bool) []string {
	rules := []string{
		"resetkeys", "resetchannels", "-@all",
		"~" + prefix + "*", "~pillbox:user:" + prefix + ":*", "~pillbox:pruner:" + prefix,
		"+get", "+set", "+unlink", "+exists", "+strlen", "+pttl", "+pexpiretime", "+pexpireat", "+persist",
		"+hget", "+hset", "+evalsha", "+eval", "+scan", "+time", "+info", "+hello", "+ping",
		"+cluster|slots", "+cluster|shards", "+role", "+wait",
	}
	if watch {
		rules = append(rules, "&pillbox:changes:"+prefix, "+publish", "+subscribe", "+unsubscribe")
	}
	return rules
}

// A user with the documented rights can do all, and one with fewer is told what
// it lacks, without a password, a key or data.
func TestRights(t *testing.T) {
	server := servers.Start(t, servers.Redis7)
	admin := connect(t, direct(server))
	const password = "a-password-that-no-error-names"
	as := func(t *testing.T, name string, rules ...string) rueidis.Client {
		args := append([]string{"ACL", "SETUSER", name, "reset", "on", ">" + password}, rules...)
		if err := admin.Do(t.Context(), admin.B().Arbitrary(args...).Build()).Error(); err != nil {
			t.Fatal(err)
		}
		opt := direct(server)
		opt.Username, opt.Password = name, password
		return connect(t, opt)
	}
	for _, watch := range []bool{false, true} {
		t.Run(fmt.Sprint("enough/watch=", watch), func(t *testing.T) {
			s := openOn(t, as(t, "enough", acl("sess:", watch)...), redisstore.Options{Watch: watch})
			if err := s.Create(t.Context(), "id", record("1")); err != nil {
				t.Fatal(err)
			}
			for _, d := range append(deeds,
				deed{"PruneIndex", func(ctx context.Context, s *redisstore.Store) error { return s.PruneIndex(ctx) }},
				deed{"RevokeUser", func(ctx context.Context, s *redisstore.Store) error {
					return second(s.RevokeUser(ctx, "alice", time.Now()))
				}},
				deed{"List", func(ctx context.Context, s *redisstore.Store) error {
					_, _, err := s.List(ctx, "", 10)
					return err
				}},
				deed{"Delete of what was read", func(ctx context.Context, s *redisstore.Store) error {
					return s.Delete(ctx, "id", []byte("1"))
				}},
				deed{"Clear", func(ctx context.Context, s *redisstore.Store) error { return s.Clear(ctx) }},
			) {
				if err := d.do(t.Context(), s); err != nil {
					t.Errorf("%s = %v", d.name, err)
				}
			}
			if watch {
				heard := make(chan string, 10)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go s.Watch(ctx, func(digest string) { heard <- digest })
				<-heard
				if err := s.Create(t.Context(), "watched", record("1")); err != nil {
					t.Fatal(err)
				}
				for digest := range heard {
					if digest == session.Digest("watched") {
						break
					}
				}
			}
		})
	}
	for name, rules := range map[string][]string{
		"no scripts":    append(acl("sess:", false), "-eval", "-evalsha"),
		"another key":   acl("other:", false),
		"no set":        append(acl("sess:", false), "-set", "-unlink"),
		"no index":      append(acl("sess:", false), "resetkeys", "~sess:*"),
		"no expiration": append(acl("sess:", false), "-get"),
	} {
		t.Run(name, func(t *testing.T) {
			s := openOn(t, as(t, "few", rules...), redisstore.Options{})
			err := s.Ping(t.Context())
			if err == nil || !strings.Contains(err.Error(), "lacks a right") || !strings.Contains(err.Error(), server.Addrs[0]) ||
				strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "sess:") {
				t.Errorf("Ping = %v; want an error that names the host and the remedy, and no password or key", err)
			}
		})
	}
}

// Redis quotes the arguments of a command that it does not know.
func TestUnknownCommandIsNotQuoted(t *testing.T) {
	server := servers.Start(t, servers.Redis7)
	client := connect(t, direct(server))
	for _, command := range []string{"evalsha", "set", "unlink"} {
		if err := client.Do(t.Context(), client.B().Arbitrary("ACL", "SETUSER", "default", "-"+command).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	s := openOn(t, client, redisstore.Options{})
	for what, err := range map[string]error{
		"Load":   second(s.Load(t.Context(), "SecretId", session.Slide{})),
		"Create": s.Create(t.Context(), "SecretId", record(`{"a":"SecretData"}`)),
		"Delete": s.Delete(t.Context(), "SecretId", nil),
	} {
		if err == nil || strings.Contains(err.Error(), "Secret") {
			t.Errorf("%s = %v; want an error that names nothing", what, err)
		}
	}
	for _, words := range []string{
		"unknown command 'EVALSHA', with args beginning with: 'abc' '1' 'sess:SecretId' ",
		"ERR unknown command `HELLO`, with args beginning with: `3` `AUTH` `default` `SecretPassword`",
	} {
		fake := redisstore.NewFrom(refusing(words), redisstore.Options{PruneEvery: -1})
		_, err := fake.Load(t.Context(), "SecretId", session.Slide{})
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), "Secret") || !strings.Contains(err.Error(), "6.2") {
			t.Errorf("Load at a server that says %q = %v; want an error that quotes nothing, and the remedy", words, err)
		}
	}
}

// refusing is a Commander whose server knows no command.
type refusing string

func (r refusing) Do(context.Context, ...any) (any, error) { return nil, serverSays(r) }

type serverSays string

func (e serverSays) Error() string { return string(e) }
func (serverSays) RedisError()     {}
