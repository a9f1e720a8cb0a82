package wire

import (
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
	"github.com/pillboxgo/pillbox/internal/servers"
)

// A cache is a Redis of a row's own, as its defaults have it: the data in memory.
type cache struct {
	*redis.Client
	stage *stage
	addr  string
	url   string
}

func init() { logging.Disable() } // a client that is closed has nothing to tell

// redis starts it.
func (s *stage) redis() *cache {
	s.Helper()
	server := servers.Start(s, servers.Redis7)
	c := &cache{
		Client: redis.NewClient(&redis.Options{Addr: server.Addrs[0]}),
		stage:  s, addr: server.Addrs[0], url: server.URL,
	}
	s.Cleanup(func() { c.Close() })
	// Tests have it survive being killed, which is not its default.
	s.check(c.ConfigSet(s.ctx, "appendonly", "no").Err())
	info, err := c.Info(s.ctx, "server").Result()
	s.check(err)
	for line := range strings.Lines(info) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "redis_version:"); ok {
			seen("Redis", version)
		}
	}
	return c
}

// ran returns how many commands the server has run, those within scripts too.
func (c *cache) ran() (int64, error) {
	text, err := c.Info(c.stage.ctx, "commandstats").Result()
	if err != nil {
		return 0, err
	}
	var sum int64
	for line := range strings.Lines(text) {
		name, stats, ok := strings.Cut(strings.TrimSpace(line), ":calls=")
		if !ok || name == "cmdstat_info" {
			continue
		}
		calls, _, _ := strings.Cut(stats, ",")
		n, err := strconv.ParseInt(calls, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// cpu returns the processor time that the server has used, in nanoseconds.
func (c *cache) cpu() (float64, error) {
	text, err := c.Info(c.stage.ctx, "cpu").Result()
	if err != nil {
		return 0, err
	}
	var sum float64
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			seconds, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0, err
			}
			sum += seconds * 1e9
		}
	}
	return sum, nil
}

const redisNote = "32 goroutines call the handler in this process, beside the Redis on the same cores. All with their " +
	"defaults, where neither scs nor Pillbox moves the deadline in each request."

func redisRows() []measure.Row {
	row := func(name string, do func(*guest) error) measure.Row {
		return measure.Row{
			Name: name, Note: redisNote, Key: "ops/s", Higher: true,
			Aim: []measure.Limit{{
				Text:  "3 times scs (gob)",
				Value: func(s measure.Summary) float64 { return s.Ratio(measure.Pillbox, "scs (gob)", "ops/s") },
				Least: 3,
			}},
			Open: on(func(s *stage) (all []measure.Contender) {
				server := s.redis()
				for _, name := range []string{"pillbox", "scs-gob", "scs-json", "gorilla"} {
					all = append(all, server.crowded(name, do))
				}
				return all
			}),
		}
	}
	return []measure.Row{
		row("Redis in process, 32 goroutines, read", (*guest).read),
		row("Redis in process, 32 goroutines, write", (*guest).write),
	}
}

// crowded measures what a peer's handler does for 32 goroutines at a time.
func (c *cache) crowded(name string, do func(*guest) error) measure.Contender {
	s := c.stage
	s.Helper()
	p, err := peerNamed(name)
	s.check(err)
	site, err := p.start(s.ctx, setting{store: "redis", url: c.url})
	s.check(err)
	s.Cleanup(site.close)
	crowd := s.crowd(p.title, site.handler, 32, 8)
	return measure.Contender{Name: p.title, Run: func(d time.Duration) (measure.Figures, error) {
		before, err := c.cpu()
		if err != nil {
			return nil, err
		}
		start := time.Now()
		figures, err := drive(crowd, d, do)
		if err != nil {
			return nil, err
		}
		ops := figures["ops/s"] * time.Since(start).Seconds()
		after, err := c.cpu()
		figures["redis cpu ns/op"] = (after - before) / ops
		return figures, err
	}}
}
