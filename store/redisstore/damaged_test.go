package redisstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// damages are what a stranger, or a mistake, may leave in the place of a session:
// commands that take its key.
var damages = []struct {
	name    string
	command []string
}{
	{"truncated JSON", []string{"SET", `{"cookie":{"expires":null},"views`}},
	{"no JSON", []string{"SET", "views"}},
	{"a tombstone of connect-redis 6.1", []string{"SET", "TOMBSTONE"}},
	{"empty string", []string{"SET", ""}},
	{"list in JSON", []string{"SET", "[1,2]"}},
	{"no cookie", []string{"SET", `{"views":1}`}},
	{"16 MiB", []string{"SET", `{"cookie":{},"a":"` + strings.Repeat("p", 16<<20) + `"}`}},
	{"hash", []string{"HSET", "cookie", "{}"}},
	{"list", []string{"RPUSH", "{}"}},
	{"set", []string{"SADD", "{}"}},
	{"sorted set", []string{"ZADD", "1", "{}"}},
	{"stream", []string{"XADD", "*", "cookie", "{}"}},
}

// A visitor whose session is damaged gets none, is told to forget its cookie, and
// begins anew; whoever watches hears of it once.
func TestDamagedSessionsAreGivenUp(t *testing.T) {
	for _, kind := range kinds {
		for _, damage := range damages {
			t.Run(string(kind)+"/"+damage.name, func(t *testing.T) {
				client := connect(t, direct(servers.Shared(t, kind)))
				prefix := newPrefix()
				s := openOn(t, client, redisstore.Options{Prefix: prefix})
				v := newSite(t, s)
				v.visit("POST")
				before := v.cookie
				ids, _, err := s.List(t.Context(), "", 1)
				if err != nil || len(ids) != 1 {
					t.Fatalf("List = %d ids, %v; want one", len(ids), err)
				}
				do(t, client, "DEL", prefix+ids[0])
				do(t, client, damage.command[0], prefix+ids[0], damage.command[1:]...)
				v.take(session.EventDamaged)

				if code := v.visit("GET"); code != 200 {
					t.Errorf("the request with the damaged session is answered %d; want 200", code)
				}
				if events := v.take(session.EventDamaged); len(events) != 1 || events[0].PublicID == "" {
					t.Errorf("events %v; want one of kind damaged, with the public id", events)
				}
				if !v.cleared() {
					t.Error("the cookie is not cleared")
				}
				for range 2 {
					if code := v.visit("POST"); code != 200 {
						t.Errorf("the next request is answered %d; want 200", code)
					}
				}
				if v.cookie == before {
					t.Error("the visitor got the damaged session's cookie again")
				}
				if events := v.take(session.EventDamaged); len(events) > 0 {
					t.Errorf("the damaged session is reported again: %v", events)
				}
			})
		}
	}
}

// What is of another type is said to be damaged, changed by nothing, and can be
// deleted.
func TestKeysOfAnotherType(t *testing.T) {
	for _, watch := range []bool{false, true} {
		t.Run(fmt.Sprint("watch=", watch), func(t *testing.T) {
			client := connect(t, direct(servers.Shared(t, servers.Redis7)))
			prefix := newPrefix()
			s := openOn(t, client, redisstore.Options{Prefix: prefix, Watch: watch})
			ctx := t.Context()
			do(t, client, "HSET", prefix+"id", "a", "b")
			for what, err := range map[string]error{
				"Load":              second(s.Load(ctx, "id", session.Slide{})),
				"Load with a slide": second(s.Load(ctx, "id", session.Slide{To: in(time.Hour)})),
				"Update":            s.Update(ctx, "id", []byte("{}"), []byte("{}"), in(time.Hour)),
				"Touch":             s.Touch(ctx, "id", in(time.Hour)),
				"Delete":            s.Delete(ctx, "id", []byte("{}")),
			} {
				if !errors.Is(err, session.ErrDamaged) || strings.Contains(err.Error(), prefix) {
					t.Errorf("%s of a hash = %v; want %v, and no key", what, err, session.ErrDamaged)
				}
			}
			if err := s.Create(ctx, "id", record("{}")); !errors.Is(err, session.ErrExists) {
				t.Errorf("Create over a hash = %v; want %v", err, session.ErrExists)
			}
			if ttl := do(t, client, "PTTL", prefix+"id"); ttl != "-1" {
				t.Errorf("PTTL = %s; want -1: nothing may touch it", ttl)
			}
			if err := s.Delete(ctx, "id", nil); err != nil {
				t.Errorf("Delete = %v", err)
			}
			if _, err := s.Load(ctx, "id", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Load after Delete = %v; want %v", err, session.ErrNotFound)
			}
		})
	}
}

// An index that somebody has damaged is no reason to sign a user in without it,
// or to call the sessions revoked.
func TestDamagedIndex(t *testing.T) {
	for _, damage := range [][]string{{"SET", "x"}, {"HSET", "roster", "{"}, {"RPUSH", "x"}} {
		t.Run(damage[0], func(t *testing.T) {
			client := connect(t, direct(servers.Shared(t, servers.Redis7)))
			prefix := newPrefix()
			s := openOn(t, client, redisstore.Options{Prefix: prefix})
			ctx := t.Context()
			if err := s.Create(ctx, "id", owned("{}", "alice")); err != nil {
				t.Fatal(err)
			}
			keys := below(t, client, servers.Shared(t, servers.Redis7), "pillbox:user:"+prefix)
			if len(keys) != 1 {
				t.Fatalf("the index has the keys %q; want one", keys)
			}
			do(t, client, "DEL", keys[0])
			do(t, client, damage[0], keys[0], damage[1:]...)
			for what, err := range map[string]error{
				"Create":     s.Create(ctx, "id2", owned("{}", "alice")),
				"UserIDs":    second(s.UserIDs(ctx, "alice")),
				"RevokeUser": second(s.RevokeUser(ctx, "alice", time.Now())),
			} {
				if !errors.Is(err, session.ErrDamaged) {
					t.Errorf("%s = %v; want %v", what, err, session.ErrDamaged)
				}
			}
			if err := s.PruneIndex(ctx); err != nil {
				t.Errorf("PruneIndex = %v; want it to go past what it cannot read", err)
			}
			if _, err := s.Load(ctx, "id", session.Slide{}); err != nil {
				t.Errorf("Load = %v; want the session to live on", err)
			}
		})
	}
}
