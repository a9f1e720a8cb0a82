package redisstore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// expressData is what express-session stores.
const expressData = `{"cookie":{"originalMaxAge":3600000,"expires":"2030-01-01T00:00:00.000Z","httpOnly":true,"path":"/"},"views":3}`

// A key of Express is a session of ours, with the deadline that it has.
func TestReadsWhatConnectRedisWrote(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			client := connect(t, direct(servers.Shared(t, kind)))
			prefix := newPrefix()
			s := openOn(t, client, redisstore.Options{Prefix: prefix})
			ctx := t.Context()
			before := time.Now()
			do(t, client, "SET", prefix+"theirs", expressData, "EX", "3600")
			rec, err := s.Load(ctx, "theirs", session.Slide{})
			if err != nil || string(rec.Data) != expressData {
				t.Fatalf("Load = %q, %v; want what Express stored", rec.Data, err)
			}
			if left := rec.Deadline.Sub(before); left < time.Hour-time.Second || left > time.Hour+10*time.Second {
				t.Errorf("the deadline is %v away; want an hour", left)
			}

			// Express touches by EXPIRE, and may shorten a life.
			do(t, client, "EXPIRE", prefix+"theirs", "60")
			rec, err = s.Load(ctx, "theirs", session.Slide{})
			if left := time.Until(rec.Deadline); err != nil || left > time.Minute {
				t.Errorf("after EXPIRE 60 the deadline is %v away, %v; want a minute", left, err)
			}

			// It overwrites without a look at what is there: we notice.
			do(t, client, "SET", prefix+"theirs", strings.Replace(expressData, "3}", "4}", 1), "EX", "3600")
			if err := s.Update(ctx, "theirs", rec.Data, []byte(`{"cookie":{}}`), in(time.Hour)); !errors.Is(err, session.ErrConflict) {
				t.Errorf("Update after Express wrote = %v; want %v", err, session.ErrConflict)
			}
			do(t, client, "DEL", prefix+"theirs")
			if err := s.Update(ctx, "theirs", rec.Data, []byte(`{"cookie":{}}`), in(time.Hour)); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Update after Express destroyed = %v; want %v", err, session.ErrNotFound)
			}
		})
	}
}

// A session of ours is what connect-redis reads: the data as a string, and a time
// to live.
func TestWritesWhatConnectRedisReads(t *testing.T) {
	for _, kind := range kinds {
		for _, watch := range []bool{false, true} {
			t.Run(fmt.Sprint(kind, "/watch=", watch), func(t *testing.T) {
				client := connect(t, direct(servers.Shared(t, kind)))
				prefix := newPrefix()
				s := openOn(t, client, redisstore.Options{Prefix: prefix, Watch: watch})
				ctx := t.Context()
				check := func(what, data string, life time.Duration) {
					t.Helper()
					if got := do(t, client, "GET", prefix+"ours"); got != data {
						t.Errorf("after %s GET = %s; want %s", what, got, data)
					}
					left, err := client.Do(ctx, client.B().Pttl().Key(prefix+"ours").Build()).AsInt64()
					if d := time.Duration(left) * time.Millisecond; err != nil || d > life || d < life-20*time.Second {
						t.Errorf("after %s PTTL = %v, %v; want nearly %v", what, d, err, life)
					}
				}
				rec := owned(expressData, "alice")
				if err := s.Create(ctx, "ours", rec); err != nil {
					t.Fatal(err)
				}
				check("Create", expressData, time.Hour)
				if err := s.Update(ctx, "ours", []byte(expressData), []byte(`{"cookie":{}}`), in(2*time.Hour)); err != nil {
					t.Fatal(err)
				}
				check("Update", `{"cookie":{}}`, 2*time.Hour)
				if err := s.Touch(ctx, "ours", in(3*time.Hour)); err != nil {
					t.Fatal(err)
				}
				check("Touch", `{"cookie":{}}`, 3*time.Hour)
				if _, err := s.Load(ctx, "ours", session.Slide{To: in(4 * time.Hour)}); err != nil {
					t.Fatal(err)
				}
				check("Load with a slide", `{"cookie":{}}`, 4*time.Hour)

				// What connect-redis's all, ids, length and clear see.
				if keys := below(t, client, servers.Shared(t, kind), prefix); !slices.Equal(keys, []string{prefix + "ours"}) {
					t.Errorf("below the prefix are %q; want the session alone", keys)
				}
				if err := s.Delete(ctx, "ours", nil); err != nil {
					t.Fatal(err)
				}
				if n := do(t, client, "EXISTS", prefix+"ours"); n != "0" {
					t.Errorf("after Delete EXISTS = %s; want 0", n)
				}
			})
		}
	}
}

// connect-redis's option disableTTL stores sessions that never expire.
func TestKeyWithoutExpiry(t *testing.T) {
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			client := connect(t, direct(servers.Shared(t, kind)))
			prefix := newPrefix()
			s := openOn(t, client, redisstore.Options{Prefix: prefix})
			ctx := t.Context()
			do(t, client, "SET", prefix+"id", expressData)
			slide := session.Slide{To: in(time.Hour)}
			rec, err := s.Load(ctx, "id", slide)
			if err != nil || rec.Deadline.Year() != 9999 {
				t.Fatalf("Load of a key without an expiry = %v, %v; want a deadline in the year 9999", rec.Deadline, err)
			}
			if slide.Moves(rec.Deadline) {
				t.Error("a slide would move that deadline")
			}
			if err := s.Touch(ctx, "id", in(time.Hour)); err != nil {
				t.Errorf("Touch = %v", err)
			}
			if ttl := do(t, client, "PTTL", prefix+"id"); ttl != "-1" {
				t.Errorf("PTTL = %s after a slide and a Touch; want -1: neither shortens a life", ttl)
			}
			if err := s.Update(ctx, "id", rec.Data, []byte("{}"), in(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if rec, err := s.Load(ctx, "id", session.Slide{}); err != nil || time.Until(rec.Deadline) > time.Hour {
				t.Errorf("Load after Update = %v, %v; want the deadline that Update set", rec.Deadline, err)
			}
		})
	}
}

func TestPrefixes(t *testing.T) {
	for _, test := range []struct {
		opts redisstore.Options
		key  string
	}{
		{redisstore.Options{}, "sess:id"},
		{redisstore.Options{Prefix: "myapp:"}, "myapp:id"},
		{redisstore.Options{NoPrefix: true}, "id"},
		{redisstore.Options{Prefix: "p"}, "pid"},
		{redisstore.Options{Prefix: "pillbox:"}, "pillbox:id"},
		{redisstore.Options{Prefix: "of-pillbox:"}, "of-pillbox:id"},
		{redisstore.Options{Prefix: `*?[a]\{x}`}, `*?[a]\{x}id`},
	} {
		t.Run(test.key, func(t *testing.T) {
			server := servers.Start(t, servers.Redis7) // its keys are counted
			client := connect(t, direct(server))
			s := openOn(t, client, test.opts)
			ctx := t.Context()
			if err := s.Create(ctx, "id", owned("{}", "alice")); err != nil {
				t.Fatal(err)
			}
			if got := do(t, client, "GET", test.key); got != "{}" {
				t.Errorf("GET %s = %q; want the session", test.key, got)
			}
			prefix := strings.TrimSuffix(test.key, "id")
			if keys := below(t, client, server, prefix); prefix != "" && len(keys) != 1 {
				t.Errorf("below the prefix are %q; want the session alone", keys)
			}
			// Others that a pattern might take for ours, and one that is of
			// another kind.
			do(t, client, "SET", "xxaxxid", "{}")
			do(t, client, "HSET", test.key+"-hash", "a", "b")
			want := 1
			if prefix == "" {
				want = 2
			}
			if n, err := s.Count(ctx); n != want || err != nil {
				t.Errorf("Count() = %d, %v; want %d", n, err, want)
			}
			if ids, next, err := s.List(ctx, "", 10); len(ids) != want || next != "" || err != nil {
				t.Errorf("List = %q, %q, %v; want %d ids", ids, next, err, want)
			}
			if err := s.Clear(ctx); err != nil {
				t.Errorf("Clear = %v", err)
			}
			if n := do(t, client, "EXISTS", test.key); n != "0" {
				t.Error("the session is there after Clear")
			}
			if prefix != "" && do(t, client, "EXISTS", "xxaxxid") != "1" {
				t.Error("Clear removed a key of somebody else")
			}
			if do(t, client, "EXISTS", test.key+"-hash") != "1" {
				t.Error("Clear removed what is no session")
			}
		})
	}
}

// do runs a command as a client of another make would, and returns the reply as
// text.
func do(t testing.TB, client rueidis.Client, name, key string, args ...string) string {
	t.Helper()
	r := client.Do(t.Context(), client.B().Arbitrary(name).Keys(key).Args(args...).Build())
	if n, err := r.ToInt64(); err == nil {
		return fmt.Sprint(n)
	}
	text, err := r.ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		t.Fatalf("%s: %v", name, err)
	}
	return text
}

// below returns the keys that begin with prefix.
func below(t testing.TB, client rueidis.Client, server *servers.Server, prefix string) []string {
	t.Helper()
	nodes := []rueidis.Client{client}
	if server.Kind == servers.RedisCluster {
		nodes = nil
		for _, node := range client.Nodes() {
			nodes = append(nodes, node)
		}
	}
	found := make(map[string]bool)
	for _, node := range nodes {
		keys, err := node.Do(t.Context(), node.B().Arbitrary("KEYS").Args("*").Build()).AsStrSlice()
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) {
				found[key] = true
			}
		}
	}
	var all []string
	for key := range found {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}
