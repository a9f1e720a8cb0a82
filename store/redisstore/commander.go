package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A Commander is a Redis client of any make, for [NewFrom]. Its methods may be
// called concurrently.
type Commander interface {
	// Do runs one command and returns its reply: nil for none, an int64, a
	// string, or a []any of such. The arguments are strings, the first of
	// them the name of the command. On a Cluster it finds the node by the
	// key, which is the second argument, or the fourth of EVAL and EVALSHA.
	//
	// Do must not send a command again that the server may have run already:
	// a compare-and-swap that has succeeded would then report a conflict,
	// and what a request changes could be applied twice.
	Do(ctx context.Context, args ...any) (any, error)
}

// A ClusterCommander is a [Commander] for a Redis Cluster. Without its method the
// store cannot list, count, clear or prune there, and says so.
type ClusterCommander interface {
	Commander

	// Masters returns a Commander for each master, whose Do speaks to that
	// node only.
	Masters(ctx context.Context) ([]Commander, error)
}

// A Subscriber is a [Commander] that can subscribe, for [Store.Watch].
type Subscriber interface {
	Commander

	// Subscribe calls told with each message of the channel, one after the
	// other, and with the empty string once it has subscribed and each time
	// that it has done so anew. It returns when ctx is done, or earlier with
	// an error, after which it is called again. The function told returns at
	// once.
	Subscribe(ctx context.Context, channel string, told func(message string)) error
}

// A foreign engine is somebody else's client.
type foreign struct {
	client Commander
	alone  *atomic.Bool // the server has said that it is no Cluster
}

// foreignAtOnce bounds how many commands of a pipe run at once.
const foreignAtOnce = 8

func (f foreign) do(ctx context.Context, cmd command) (reply, error) {
	args := make([]any, 0, len(cmd.words)+1+len(cmd.args))
	for _, word := range cmd.words {
		args = append(args, word)
	}
	if cmd.key != "" {
		args = append(args, cmd.key)
	}
	for _, arg := range cmd.args {
		args = append(args, arg)
	}
	value, err := f.client.Do(ctx, args...)
	if err != nil {
		if isReply(err) {
			err = newServerError(err)
		}
		return reply{}, err
	}
	return foreignReply(value)
}

func (f foreign) begin(c *call) { go c.run() }

func (f foreign) pipe(ctx context.Context, cmds []command) ([]reply, error) {
	var (
		all  = make([]reply, len(cmds))
		errs = make([]error, len(cmds))
		room = make(chan struct{}, foreignAtOnce)
		wg   sync.WaitGroup
	)
	for i, cmd := range cmds {
		room <- struct{}{}
		wg.Go(func() {
			all[i], errs[i] = f.do(ctx, cmd)
			<-room
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

var errNoConfirm = errors.New("Options.WaitReplicas needs a rueidis client: use New, or leave it zero")

func (f foreign) confirm(context.Context, command, int, time.Duration) (reply, int64, error) {
	return reply{}, 0, errNoConfirm
}

func (f foreign) masters(ctx context.Context) ([]engine, error) {
	multi, ok := f.client.(ClusterCommander)
	if !ok {
		return []engine{f}, f.checkAlone(ctx)
	}
	nodes, err := within(ctx, func() ([]Commander, error) { return multi.Masters(ctx) })
	if err != nil {
		return nil, err
	}
	masters := make([]engine, len(nodes))
	for i, node := range nodes {
		masters[i] = foreign{client: node, alone: f.alone}
	}
	return masters, nil
}

// checkAlone returns an error if there are more nodes than f can speak to.
func (f foreign) checkAlone(ctx context.Context) error {
	if f.alone.Load() {
		return nil
	}
	info, err := do(ctx, f, command{words: []string{"INFO", "cluster"}, again: true})
	if err != nil {
		return err
	}
	if strings.Contains(info.text, "cluster_enabled:1") {
		return errors.New("the server belongs to a Cluster: the Commander must be a ClusterCommander")
	}
	f.alone.Store(true)
	return nil
}

var errNoSubscriber = errors.New("the Commander is no Subscriber")

func (f foreign) subscribe(ctx context.Context, channel string, told func(message string)) error {
	s, ok := f.client.(Subscriber)
	if !ok {
		return errNoSubscriber
	}
	return s.Subscribe(ctx, channel, told)
}

func (f foreign) hosts() string { return "" }

func foreignReply(value any) (r reply, err error) {
	switch v := value.(type) {
	case nil:
		r.null = true
	case int64:
		r.number = v
	case string:
		r.text = v
	case []byte:
		r.text = string(v)
	case []any:
		r.list = make([]reply, len(v))
		for i := range v {
			if r.list[i], err = foreignReply(v[i]); err != nil {
				return r, err
			}
		}
	default:
		err = fmt.Errorf("the Commander replied with a %T", value)
	}
	return r, err
}
