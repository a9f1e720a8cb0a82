package wire

import (
	"fmt"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/bench/internal/measure"
)

const commandsNote = "Commands that the client sends, counted between client and server; \"ran/op\" are those that the server counts " +
	"(INFO commandstats), where what a script runs is counted beside the script. Each request moves the deadline, which is " +
	"looked at before: scs has its IdleTimeout set, gorilla saves in each request, Pillbox's TouchEvery is off. With the near cache " +
	"it moves at most once a minute, and a session in steady use is read again every 100 ms."

// sent is how many commands a request costs.
const sent = "commands/op"

func commandRows() []measure.Row {
	row := func(name string, most float64, do func(*visitor) error) measure.Row {
		return measure.Row{
			Name: name, Note: commandsNote, Key: sent, Passes: 1, // it is the same each time
			Aim: []measure.Limit{{
				Text:  fmt.Sprintf("at most %v", most),
				Value: func(s measure.Summary) float64 { return s.Best(measure.Pillbox, sent) },
				Most:  most,
			}, {
				Text:  fmt.Sprintf("with the near cache %v, but for one in 100 ms", most-1),
				Value: func(s measure.Summary) float64 { return s.Best(near, sent) },
				Most:  most - 0.9,
			}},
			Open: on(func(s *stage) (all []measure.Contender) {
				server := s.redis()
				counted := func(start func(setting) *child) {
					m := s.meter(server.addr)
					c := start(setting{store: "redis", url: m.url(), slide: true})
					all = append(all, server.counted(c, m, do))
				}
				for _, name := range []string{"pillbox", "pillbox-near", "scs-gob", "gorilla"} {
					counted(func(at setting) *child { return s.child(name, at) })
				}
				counted(func(at setting) *child { return s.express("connect-redis", at) })
				return all
			}),
		}
	}
	return []measure.Row{
		row("Redis commands, read with sliding expiry", 1, (*visitor).read),
		row("Redis commands, write", 2, (*visitor).write),
	}
}

// counted measures how many commands a request of the child costs.
func (c *cache) counted(peer *child, m *meter, do func(*visitor) error) measure.Contender {
	s := c.stage
	s.Helper()
	visitors := s.visitors(peer, 1)
	if err := c.slides(visitors[0], do); err != nil {
		s.end(fmt.Errorf("%s: %w", peer.title, err))
	}
	return measure.Contender{Name: peer.title, Run: func(d time.Duration) (measure.Figures, error) {
		ran, err := c.ran()
		if err != nil {
			return nil, err
		}
		before := m.commands.Load()
		_, ops, _, err := peer.load(visitors, d, do)
		if err != nil {
			return nil, err
		}
		figures := measure.Figures{sent: float64(m.commands.Load()-before) / float64(ops)}
		if now, err := c.ran(); err == nil {
			figures["ran/op"] = float64(now-ran) / float64(ops)
		}
		return figures, nil
	}}
}

// slides returns an error unless a request moves the deadline of its session.
func (c *cache) slides(v *visitor, do func(*visitor) error) error {
	const soon = 100 * time.Second
	ctx := c.stage.ctx
	keys, err := c.Keys(ctx, "*").Result()
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := c.Expire(ctx, key, soon).Err(); err != nil {
			return err
		}
	}
	// Not necessarily by the first request: a near cache knows the old deadline
	// until it looks again.
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err := do(v); err != nil {
			return err
		}
		for _, key := range keys {
			left, err := c.TTL(ctx, key).Result()
			if err != nil {
				return err
			}
			if left > 2*soon && !strings.HasPrefix(key, "pillbox:") {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: the deadline does not move", errWork)
}
