package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/redisstore"
)

// patience is how long a request waits in these tests, and slack how much later
// a busy machine may answer.
const (
	patience = 300 * time.Millisecond
	slack    = 3 * time.Second
)

// A deed is a method with arguments that make it succeed where a session "id"
// holds 1.
type deed struct {
	name string
	do   func(ctx context.Context, s *redisstore.Store) error
}

var deeds = []deed{
	{"Load", func(ctx context.Context, s *redisstore.Store) error {
		return second(s.Load(ctx, "id", session.Slide{}))
	}},
	{"Load with a slide", func(ctx context.Context, s *redisstore.Store) error {
		return second(s.Load(ctx, "id", session.Slide{To: in(2 * time.Hour)}))
	}},
	{"Update", func(ctx context.Context, s *redisstore.Store) error {
		return s.Update(ctx, "id", []byte("1"), []byte("1"), in(2*time.Hour))
	}},
	{"Touch", func(ctx context.Context, s *redisstore.Store) error { return s.Touch(ctx, "id", in(3*time.Hour)) }},
	{"Create", func(ctx context.Context, s *redisstore.Store) error {
		return s.Create(ctx, fmt.Sprint("new", prefixes.Add(1)), record("1"))
	}},
	{"sign-in", func(ctx context.Context, s *redisstore.Store) error {
		return s.Create(ctx, fmt.Sprint("new", prefixes.Add(1)), owned("1", "alice"))
	}},
	{"Delete", func(ctx context.Context, s *redisstore.Store) error { return s.Delete(ctx, "absent", nil) }},
	{"UserIDs", func(ctx context.Context, s *redisstore.Store) error { return second(s.UserIDs(ctx, "alice")) }},
	{"Count", func(ctx context.Context, s *redisstore.Store) error { return second(s.Count(ctx)) }},
	{"Ping", func(ctx context.Context, s *redisstore.Store) error { return s.Ping(ctx) }},
}

// fails checks that every method returns an error in time, and not one that
// speaks of the session.
func fails(t *testing.T, s *redisstore.Store, how string) {
	t.Helper()
	var wg sync.WaitGroup
	for _, d := range deeds {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			begun := time.Now()
			err := d.do(ctx, s)
			if took := time.Since(begun); took > patience+slack {
				t.Errorf("%s, %s: took %v; want an answer within %v", how, d.name, took, patience)
			}
			for _, answer := range []error{nil, session.ErrNotFound, session.ErrConflict, session.ErrExists, session.ErrDamaged} {
				if errors.Is(err, answer) {
					t.Errorf("%s, %s = %v; want a failure", how, d.name, err)
				}
			}
		})
	}
	wg.Wait()
}

// works waits until every method succeeds again.
func works(t *testing.T, s *redisstore.Store, how string) {
	t.Helper()
	for _, d := range deeds {
		var err error
		for end := time.Now().Add(30 * time.Second); ; {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			err = d.do(ctx, s)
			cancel()
			if err == nil || time.Now().After(end) {
				break
			}
		}
		if err != nil {
			t.Errorf("%s, %s = %v still after 30 s; want it to work again by itself", how, d.name, err)
		}
	}
}

func TestNetworkFaults(t *testing.T) {
	for _, kind := range []servers.Kind{servers.Redis7, servers.RedisCluster} {
		for _, fault := range []struct {
			name string
			do   func(*servers.Link)
		}{
			{"reset", (*servers.Link).Reset},
			{"black hole", (*servers.Link).BlackHole},
			{"lost answers", (*servers.Link).LoseAnswers},
			{"down", (*servers.Link).Down},
		} {
			t.Run(string(kind)+"/"+fault.name, func(t *testing.T) {
				t.Parallel()
				network := newNetwork(t, servers.Shared(t, kind))
				opt := network.options()
				opt.ConnWriteTimeout = 2 * time.Second // when a silent connection is given up
				s := openOn(t, connect(t, opt), redisstore.Options{Prefix: newPrefix()})
				if err := s.Create(t.Context(), "id", record("1")); err != nil {
					t.Fatal(err)
				}
				works(t, s, "before")
				for range 2 {
					network.all(fault.do)
					fails(t, s, fault.name)
					network.all((*servers.Link).Up)
					works(t, s, "after "+fault.name)
				}
			})
		}
	}
}

func TestLatency(t *testing.T) {
	network := newNetwork(t, servers.Shared(t, servers.Redis7))
	s := openOn(t, connect(t, network.options()), redisstore.Options{Prefix: newPrefix()})
	if err := s.Create(t.Context(), "id", record("1")); err != nil {
		t.Fatal(err)
	}
	works(t, s, "before")
	const latency = 100 * time.Millisecond
	network.all(func(l *servers.Link) { l.Latency(latency) })
	var wg sync.WaitGroup
	begun := time.Now()
	for range 500 {
		wg.Go(func() {
			if _, err := s.Load(t.Context(), "id", session.Slide{}); err != nil {
				t.Errorf("Load over a slow network = %v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begun); took > latency+slack {
		t.Errorf("500 requests at once took %v; want about %v: they share the round trip", took, latency)
	}
}

// More requests than the client has room for, while nothing is answered: each is
// given up when its time is over, and all works again once the network does.
func TestBlackHoleUnderLoad(t *testing.T) {
	network := newNetwork(t, servers.Shared(t, servers.Redis7))
	opt := network.options()
	opt.ConnWriteTimeout = 2 * time.Second
	s := openOn(t, connect(t, opt), redisstore.Options{Prefix: newPrefix()})
	if err := s.Create(t.Context(), "id", record("1")); err != nil {
		t.Fatal(err)
	}
	network.all((*servers.Link).BlackHole)
	var wg sync.WaitGroup
	for range 6000 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			begun := time.Now()
			_, err := s.Load(ctx, "id", session.Slide{})
			if took := time.Since(begun); took > patience+slack || err == nil {
				t.Errorf("Load = %v after %v; want an error within %v", err, took, patience)
			}
		})
	}
	wg.Wait()
	network.all((*servers.Link).Up)
	works(t, s, "after a black hole under load")
}

// A change whose answer was lost was made once: whoever reads again sees it, and
// nobody makes it twice.
func TestLostAnswerOfAChange(t *testing.T) {
	for _, kind := range []servers.Kind{servers.Redis7, servers.Valkey} {
		t.Run(string(kind), func(t *testing.T) {
			server := servers.Shared(t, kind)
			network := newNetwork(t, server)
			opts := redisstore.Options{Prefix: newPrefix()}
			opt := network.options()
			opt.PipelineMultiplex = -1 // a connection made later has no answer to its first words
			s := openOn(t, connect(t, opt), opts)
			other := open(t, server, opts)
			if err := s.Create(t.Context(), "id", record("1")); err != nil {
				t.Fatal(err)
			}
			if err := s.Update(t.Context(), "id", []byte("1"), []byte("1"), in(time.Hour)); err != nil {
				t.Fatal(err)
			}
			network.all((*servers.Link).LoseAnswers)
			lost := make(chan error, 1)
			go func() { lost <- s.Update(context.Background(), "id", []byte("1"), []byte("2"), in(time.Hour)) }()
			until(t, "the change has been made", func() bool {
				rec, err := other.Load(t.Context(), "id", session.Slide{})
				return err == nil && string(rec.Data) == "2"
			})
			// Back to what it was: a client that sent the command again would
			// make the change again.
			if err := other.Update(t.Context(), "id", []byte("2"), []byte("1"), in(time.Hour)); err != nil {
				t.Fatal(err)
			}
			network.all((*servers.Link).Up)
			if err := <-lost; err == nil || errors.Is(err, session.ErrConflict) {
				t.Errorf("Update whose answer was lost = %v; want an error that says so", err)
			}
			works(t, s, "after a lost answer")
			if rec, err := other.Load(t.Context(), "id", session.Slide{}); err != nil || string(rec.Data) != "1" {
				t.Errorf("Load = %s, %v; want 1: the change was made twice", rec.Data, err)
			}
		})
	}
}

// A server that is killed and comes back has what it acknowledged, and is used
// again without a restart of the application; scripts that it has forgotten are
// sent again.
func TestServerIsRestarted(t *testing.T) {
	for _, kind := range []servers.Kind{servers.Redis7, servers.Redis8, servers.Valkey} {
		t.Run(string(kind), func(t *testing.T) {
			server := servers.Start(t, kind)
			s := open(t, server, redisstore.Options{})
			v := newSite(t, s)
			ctx := t.Context()
			if err := s.Create(ctx, "id", record("1")); err != nil {
				t.Fatal(err)
			}
			if err := s.Create(ctx, "deleted", owned("1", "alice")); err != nil {
				t.Fatal(err)
			}
			if err := s.Delete(ctx, "deleted", nil); err != nil {
				t.Fatal(err)
			}
			v.visit("POST")
			server.Kill(t, 0)
			fails(t, s, "killed")
			if code := v.visit("GET"); code < 500 {
				t.Errorf("a request while the server is down is answered %d; want 5xx", code)
			}
			server.Restart(t, 0)
			works(t, s, "restarted")
			if _, err := s.Load(ctx, "deleted", session.Slide{}); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Load of what was deleted before = %v; want %v", err, session.ErrNotFound)
			}
			if code := v.visit("GET"); code != 200 || v.cleared() {
				t.Errorf("the visitor's next request is answered %d; want 200, and its session", code)
			}
		})
	}
}

// An application that starts before its Redis does.
func TestDownAtStart(t *testing.T) {
	server := servers.Start(t, servers.Redis7)
	server.Kill(t, 0)
	opt := direct(server)
	opt.ForceSingleClient = true // else rueidis.NewClient gives none
	client, err := rueidis.NewClient(opt)
	if client == nil {
		t.Fatalf("rueidis.NewClient = %v", err)
	}
	defer client.Close()
	s := openOn(t, client, redisstore.Options{})
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), server.Addrs[0]) {
		t.Errorf("Ping = %v; want an error that names %s", err, server.Addrs[0])
	}
	server.Restart(t, 0)
	if err := s.Create(t.Context(), "id", record("1")); err != nil {
		t.Errorf("Create once it is up = %v", err)
	}
	works(t, s, "up")
}

// What a server refuses is told with a remedy, and what it still can do it does.
func TestRefusals(t *testing.T) {
	for _, kind := range []servers.Kind{servers.Redis7, servers.Redis8, servers.Valkey} {
		for _, test := range []struct {
			name    string
			begin   [][]string
			end     [][]string
			remedy  string
			refused string // names of deeds
		}{
			{
				"full",
				[][]string{{"CONFIG", "SET", "maxmemory", "1"}},
				[][]string{{"CONFIG", "SET", "maxmemory", "0"}},
				"raise maxmemory", "Update Create sign-in",
			},
			{
				"replica",
				[][]string{{"REPLICAOF", "127.0.0.1", "1"}, {"CONFIG", "SET", "replica-serve-stale-data", "yes"}},
				[][]string{{"REPLICAOF", "NO", "ONE"}},
				"this is a replica", "Load with a slide Update Touch Create sign-in Delete Ping",
			},
			{
				"too few replicas",
				[][]string{{"CONFIG", "SET", "min-replicas-to-write", "1"}},
				[][]string{{"CONFIG", "SET", "min-replicas-to-write", "0"}},
				"min-replicas-to-write", "Load with a slide Update Touch Create sign-in Delete Ping",
			},
		} {
			t.Run(string(kind)+"/"+test.name, func(t *testing.T) {
				server := servers.Start(t, kind)
				client := connect(t, direct(server))
				s := openOn(t, client, redisstore.Options{})
				if err := s.Create(t.Context(), "id", record("1")); err != nil {
					t.Fatal(err)
				}
				works(t, s, "before")
				run := func(commands [][]string) {
					for _, c := range commands {
						if err := client.Do(t.Context(), client.B().Arbitrary(c...).Build()).Error(); err != nil {
							t.Fatalf("%q: %v", c, err)
						}
					}
				}
				run(test.begin)
				for _, d := range deeds {
					if d.name == "Load with a slide" { // far enough to move the deadline
						d.do = func(ctx context.Context, s *redisstore.Store) error {
							return second(s.Load(ctx, "id", session.Slide{To: in(9 * time.Hour)}))
						}
					}
					if d.name == "Touch" {
						d.do = func(ctx context.Context, s *redisstore.Store) error { return s.Touch(ctx, "id", in(10*time.Hour)) }
					}
					err := d.do(t.Context(), s)
					if !strings.Contains(" "+test.refused+" ", " "+d.name+" ") || d.name == "Load" {
						if err != nil {
							t.Errorf("%s, %s = %v; want it to work", test.name, d.name, err)
						}
					} else if err == nil || !strings.Contains(err.Error(), test.remedy) {
						t.Errorf("%s, %s = %v; want an error with the remedy %q", test.name, d.name, err, test.remedy)
					}
				}
				run(test.end)
				works(t, s, "after it was "+test.name)
			})
		}
	}
}

func TestTooManyClients(t *testing.T) {
	server := servers.Start(t, servers.Redis7)
	admin := connect(t, direct(server))
	s := open(t, server, redisstore.Options{})
	if err := s.Create(t.Context(), "id", record("1")); err != nil {
		t.Fatal(err)
	}
	set := func(n string) {
		if err := admin.Do(t.Context(), admin.B().ConfigSet().ParameterValue().ParameterValue("maxclients", n).Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	set("1")
	// The connections of the store end; it gets no new ones.
	if err := admin.Do(t.Context(), admin.B().Arbitrary("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	until(t, "an error names maxclients", func() bool {
		_, err := s.Load(t.Context(), "id", session.Slide{})
		if err != nil {
			t.Log(err)
		}
		return err != nil && strings.Contains(err.Error(), "see maxclients")
	})
	set("1000")
	works(t, s, "after there were too many clients")
}
