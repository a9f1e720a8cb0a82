package redisstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// A native engine is a rueidis client. Its commands are built as arbitrary ones,
// which rueidis never sends twice, whatever its options say: it cannot know
// whether a write that was not answered has been done.
type native struct {
	client rueidis.Client
	batch  *batcher // nil: each command is sent by itself
}

func build(client rueidis.Client, cmd command) rueidis.Completed {
	b := client.B().Arbitrary(cmd.words...)
	if cmd.key != "" {
		b = b.Keys(cmd.key)
	}
	return b.Args(cmd.args...).Build()
}

// detach takes the caller's deadline from a context. Many calls share one
// connection, and rueidis lets the context of one of them end it, or the attempt
// to make it, for all. The caller does not wait: see [within]. What bounds the
// call itself are the client's Dialer.Timeout and ConnWriteTimeout.
func detach(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

func (n native) do(ctx context.Context, cmd command) (reply, error) {
	return nativeReply(n.client.Do(detach(ctx), build(n.client, cmd)))
}

func (n native) begin(c *call) {
	if n.batch == nil || c.cmd.size() > maxBatched {
		go c.run()
		return
	}
	n.batch.add(c)
}

func (n native) pipe(ctx context.Context, cmds []command) ([]reply, error) {
	ctx = detach(ctx)
	built := make([]rueidis.Completed, len(cmds))
	for i, cmd := range cmds {
		built[i] = build(n.client, cmd)
	}
	return nativeReplies(n.client.DoMulti(ctx, built...))
}

// confirmMargin is what a command takes at most besides waiting for replicas.
const confirmMargin = 10 * time.Second

func (n native) confirm(ctx context.Context, cmd command, replicas int, timeout time.Duration) (r reply, acked int64, err error) {
	// The connection is the call's own, so the context may end it; and it has
	// to, since rueidis sets no bound on commands that wait.
	ctx, cancel := context.WithTimeout(ctx, timeout+confirmMargin)
	defer cancel()
	wait := command{words: []string{"WAIT", strconv.Itoa(replicas), strconv.FormatInt(timeout.Milliseconds(), 10)}}
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		// WAIT speaks of the writes of its own connection, so both go
		// through one that nobody else uses meanwhile, and that does not
		// follow a redirection with one of them only.
		err = n.client.Dedicated(func(c rueidis.DedicatedClient) error {
			all, err := nativeReplies(c.DoMulti(ctx, build(n.client, cmd), build(n.client, wait).SetSlot(cmd.key)))
			if err == nil {
				r, acked = all[0], all[1].number
			}
			return err
		})
		if !strings.HasPrefix(text(err), "MOVED ") || ctx.Err() != nil {
			return r, acked, err
		}
		// Nothing was done. The client has seen it too, and asks for the
		// new map of the Cluster in its own time.
		select {
		case <-ctx.Done():
			return r, acked, ctx.Err()
		case <-time.After(min(pause, 200*time.Millisecond)):
		}
	}
}

func (n native) masters(ctx context.Context) ([]engine, error) {
	if n.client.Mode() != rueidis.ClientModeCluster {
		return []engine{n}, nil
	}
	nodes := n.client.Nodes()
	var masters []engine
	for _, addr := range slices.Sorted(maps.Keys(nodes)) {
		node := native{client: nodes[addr]}
		role, err := do(ctx, node, command{words: []string{"ROLE"}, again: true})
		if err != nil {
			return nil, fmt.Errorf("node %s: %w", addr, err)
		}
		if len(role.list) > 0 && role.list[0].text == "master" {
			masters = append(masters, node)
		}
	}
	return masters, nil
}

func (n native) subscribe(ctx context.Context, channel string, told func(message string)) error {
	ctx = rueidis.WithOnSubscriptionHook(ctx, func(s rueidis.PubSubSubscription) {
		if s.Kind == "subscribe" {
			told("")
		}
	})
	ctx = rueidis.WithOnReceiveReturnHook(ctx, func(err error, c rueidis.CommandClient) error {
		// The connection is shared with everything else that the client
		// does, and would go on to receive what nobody hears.
		brief, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		c.Do(brief, c.B().Unsubscribe().Channel(channel).Build())
		return err
	})
	return n.client.Receive(ctx, n.client.B().Subscribe().Channel(channel).Build(), func(m rueidis.PubSubMessage) {
		told(m.Message)
	})
}

func (n native) hosts() string {
	return strings.Join(slices.Sorted(maps.Keys(n.client.Nodes())), ", ")
}

func nativeReplies(results []rueidis.RedisResult) ([]reply, error) {
	all := make([]reply, len(results))
	for i, result := range results {
		r, err := nativeReply(result)
		if err != nil {
			return nil, err
		}
		all[i] = r
	}
	return all, nil
}

func nativeReply(result rueidis.RedisResult) (reply, error) {
	m, err := result.ToMessage()
	if rueidis.IsRedisNil(err) {
		return reply{null: true}, nil
	}
	if err != nil {
		if _, ok := rueidis.IsRedisErr(err); ok {
			return reply{}, newServerError(err)
		}
		return reply{}, err
	}
	return nativeMessage(m)
}

func nativeMessage(m rueidis.RedisMessage) (r reply, err error) {
	switch {
	case m.IsNil():
		r.null = true
	case m.IsInt64():
		r.number, err = m.ToInt64()
	case m.IsArray():
		var values []rueidis.RedisMessage
		if values, err = m.ToArray(); err != nil {
			return r, err
		}
		r.list = make([]reply, len(values))
		for i, v := range values {
			if r.list[i], err = nativeMessage(v); err != nil {
				return r, err
			}
		}
	default:
		r.text, err = m.ToString()
	}
	return r, err
}
