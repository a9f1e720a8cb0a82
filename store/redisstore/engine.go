package redisstore

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A command is one Redis command. It has at most one key, so that a Cluster can
// run it, and its arguments are copies: a call that was given up may still be
// sent later.
type command struct {
	words []string // what comes before the key
	key   string   // empty for none
	args  []string // what comes after it
	again bool     // it does no harm to run it twice
}

// size returns the length of its arguments.
func (c command) size() (n int) {
	for _, arg := range c.args {
		n += len(arg)
	}
	return n
}

// A reply is what Redis answers: nothing, a number, a text or a list.
type reply struct {
	null   bool
	number int64
	text   string
	list   []reply
}

// An engine runs commands. It returns what the server refuses as a
// [*ServerError], and need not return before the context is done.
type engine interface {
	do(ctx context.Context, cmd command) (reply, error)

	// begin has the call's finish called, once, and returns at once.
	begin(c *call)

	// pipe runs commands in any order, with as few round trips as it can, and
	// returns their replies in the order given, or the first error.
	pipe(ctx context.Context, cmds []command) ([]reply, error)

	// confirm runs a command, and returns how many replicas have it when that
	// are as many as asked for, or when the time is up.
	confirm(ctx context.Context, cmd command, replicas int, timeout time.Duration) (reply, int64, error)

	// masters returns an engine for each node that holds keys of its own.
	masters(ctx context.Context) ([]engine, error)

	// subscribe calls told with what is published, and with the empty string
	// when it begins to listen and each time it begins anew. It returns when
	// ctx is done, or earlier with an error.
	subscribe(ctx context.Context, channel string, told func(message string)) error

	// hosts says where it is, for an operator. Empty if it does not know.
	hosts() string
}

// within runs f and returns when it does, or when ctx is done, whichever comes
// first. No client returns at once in every case: one waits for somebody else's
// attempt to connect, or for room in a queue, another reads on until its own
// timeout. The goroutine costs about a microsecond.
func within[T any](ctx context.Context, f func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		if r.err != nil && ctx.Err() != nil {
			return none, ctx.Err()
		}
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// A call is [within] for the one thing that is done for each request, without
// its garbage.
type call struct {
	ctx    context.Context
	engine engine
	cmd    command
	reply  reply
	err    error
	done   chan struct{}
	gone   atomic.Bool // nobody waits for it any more
}

var calls = sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}

// run runs the call by itself.
func (c *call) run() { c.finish(c.engine.do(c.ctx, c.cmd)) }

// finish gives the call its answer, or has it tried a second time: a connection
// that the server closed while it was idle shows it only by an error.
func (c *call) finish(r reply, err error) {
	if err != nil && c.cmd.again && !c.gone.Load() && !refused(err) {
		go func() { c.answer(c.engine.do(c.ctx, c.cmd)) }()
		return
	}
	c.answer(r, err)
}

func (c *call) answer(r reply, err error) {
	c.reply, c.err = r, err
	c.done <- struct{}{}
}

// do runs one command.
func do(ctx context.Context, e engine, cmd command) (reply, error) {
	if err := ctx.Err(); err != nil {
		return reply{}, err
	}
	c := calls.Get().(*call)
	c.ctx, c.engine, c.cmd = ctx, e, cmd
	e.begin(c)
	select {
	case <-c.done:
	case <-ctx.Done():
		c.gone.Store(true)
		return reply{}, ctx.Err() // c is lost to the pool
	}
	r, err := c.reply, c.err
	c.ctx, c.engine, c.cmd, c.reply, c.err = nil, nil, command{}, reply{}, nil
	calls.Put(c)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return r, err
}

// pipe runs several commands.
func pipe(ctx context.Context, e engine, cmds []command) ([]reply, error) {
	if len(cmds) == 0 {
		return nil, ctx.Err()
	}
	return within(ctx, func() ([]reply, error) { return e.pipe(ctx, cmds) })
}
