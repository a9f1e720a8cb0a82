package history

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/pillboxgo/pillbox/session"
)

// never is when a call returns of which nobody knows what it did.
const never = math.MaxInt64

// A client works on a world's records, one call after the other.
type client struct {
	*world
	number  int
	store   Handle
	rng     *rand.Rand
	seen    map[int]int16 // the version of each record that this client read or wrote last
	asOf    int32         // when the sign-in began that is under way
	history []porcupine.Operation
}

func (w *world) newClient(number int) *client {
	return &client{
		world:  w,
		number: number,
		store:  w.handles[number%len(w.handles)],
		rng:    rand.New(rand.NewPCG(w.cfg.Seed, uint64(w.number)<<16|uint64(number))),
		seen:   map[int]int16{},
		asOf:   1,
	}
}

// choices are what a client does, and how often.
var choices = []struct {
	weight int
	do     func(*client)
}{
	{16, func(c *client) { c.load(c.anyone()) }},
	{10, func(c *client) { c.slide(c.anyone()) }},
	{14, func(c *client) { c.changeSeen(c.anyone()) }},
	{14, func(c *client) { c.change(c.anyone()) }},
	{8, func(c *client) { c.touch(c.anyone()) }},
	{3, func(c *client) { c.remove(c.anyone()) }},
	{5, func(c *client) { c.removeSeen(c.anyone()) }},
	{10, func(c *client) { c.create(c.rng.IntN(guests)) }},
	{6, func(c *client) { c.asOf = c.moment.Load() }}, // somebody types a password
	{10, (*client).signIn},
	{8, func(c *client) { c.renew(c.anyone()) }},
	{2, func(c *client) { c.revoke() }},
	{2, func(c *client) { c.revoke(c.anyone(), c.anyone()) }},
	{4, (*client).userIDs},
}

var allWeights = func() (sum int) {
	for _, choice := range choices {
		sum += choice.weight
	}
	return sum
}()

// move does one thing, which may take several calls.
func (c *client) move() {
	n := c.rng.IntN(allWeights)
	for _, choice := range choices {
		if n -= choice.weight; n < 0 {
			choice.do(c)
			break
		}
	}
}

// anyone returns a record, rarely one that is known to be gone.
func (c *client) anyone() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	among := c.known
	if len(c.ended) > 0 && c.rng.IntN(10) == 0 {
		among = c.ended
	}
	return among[c.rng.IntN(len(among))]
}

// do makes a call and writes it down.
func (c *client) do(in input, call func(ctx context.Context, out *output) error) *output {
	ctx, cancel, early := c.context(c.rng)
	defer cancel()
	out := new(output)
	op := porcupine.Operation{ClientId: c.number, Input: &in, Output: out}
	if c.together && c.rng.IntN(2) == 0 {
		runtime.Gosched() // or this client would make all calls of a move before another is awake
	}
	began := time.Now()
	op.Call = c.ticks.Add(2) // what is known to follow from a return has odd ones
	err := call(ctx, out)
	op.Return = c.ticks.Add(2)
	took := time.Since(began)
	out.answer = answerOf(err)
	c.tally.count(in.verb, out.answer, took)
	if out.answer == unknown {
		op.Return = never
		if !early {
			c.stranger(in.verb, err)
		}
		if in.verb == load || in.verb == list {
			return out // it has told nothing and done nothing
		}
	}
	c.history = append(c.history, op)
	if in.object == c.object() && out.answer == notFound {
		c.bury(guests + in.slot)
	}
	return out
}

// on returns the input of a call on a record.
func (c *client) on(v verb, i int) input {
	object, slot := c.place(i)
	return input{verb: v, object: object, slot: slot, replaces: -1}
}

// deadline returns one that is far away, in whole seconds, which every store
// keeps as they are.
func (c *client) deadline() int32 { return 1000 * int32(3600+c.rng.IntN(60)) }

// next returns the number of a new version.
func (c *client) next() int16 { return int16(c.versions.Add(1)) }

// fence returns the mark of a call that ends several records. It is zero, and
// nobody checks that they have ended when the call returns, for all but the first
// 64 in a world, which has a dozen.
func (c *client) fence() uint64 { return 1 << (c.calls.Add(1) - 1) }

func (c *client) load(i int) *output { return c.read(c.on(load, i), i) }

func (c *client) slide(i int) *output {
	in := c.on(slide, i)
	in.deadline = c.deadline()
	if c.rng.IntN(2) == 0 {
		in.before = c.deadline()
	}
	return c.read(in, i)
}

func (c *client) read(in input, i int) *output {
	var slide session.Slide
	if in.deadline != 0 {
		slide.To = c.at(in.deadline)
	}
	if in.before != 0 {
		slide.Before = c.at(in.before)
	}
	id := c.id(i)
	out := c.do(in, func(ctx context.Context, out *output) error {
		rec, err := c.store.Load(ctx, id, slide)
		if err == nil {
			out.data = c.version(rec.Data)
			out.deadline = int32(rec.Deadline.Sub(c.start).Milliseconds())
		}
		return err
	})
	if out.answer == done {
		c.seen[i] = out.data
	}
	return out
}

func (c *client) create(i int) *output {
	in := c.on(create, i)
	in.data, in.deadline = c.next(), c.deadline()
	id, rec := c.id(i), session.Record{Data: c.data(in.data), Deadline: c.at(in.deadline)}
	out := c.do(in, func(ctx context.Context, _ *output) error { return c.store.Create(ctx, id, rec) })
	if out.answer == done {
		c.seen[i] = in.data
	}
	return out
}

// createOwned makes a record of the user. Nobody else knows of it yet.
func (c *client) createOwned(replaces int) (i int, out *output) {
	i, ok := c.reserve()
	if !ok {
		return 0, nil
	}
	in := c.on(signIn, i)
	in.data, in.deadline = c.next(), c.deadline()
	in.moment, in.most, in.reject = c.asOf, c.most, c.reject
	owner := session.Owner{User: c.user, AsOf: c.at(in.moment), Max: in.most, Reject: in.reject}
	if replaces >= 0 {
		owner.Replaces = c.id(replaces)
		if replaces >= guests {
			_, in.replaces = c.place(replaces)
		}
	}
	if in.most > 0 {
		in.fence = c.fence()
	}
	id, rec := c.id(i), session.Record{Data: c.data(in.data), Deadline: c.at(in.deadline), Owner: owner}
	out = c.do(in, func(ctx context.Context, _ *output) error { return c.store.Create(ctx, id, rec) })
	c.seen[i] = in.data
	return i, out
}

func (c *client) signIn() {
	if c.rng.IntN(3) == 0 {
		c.asOf = c.moment.Add(1)
	}
	i, out := c.createOwned(-1)
	if out == nil || out.answer == unknown {
		return // what has not been acknowledged nobody asks for
	}
	c.publish(i)
	if out.answer != done {
		c.bury(i)
	}
}

// renew puts a new record of the user in the place of another one, as a Manager
// does: the new one becomes known once the old one has ended by this client's
// hand, and is withdrawn if that was somebody else.
func (c *client) renew(old int) {
	c.asOf = c.moment.Add(1)
	if c.load(old).answer != done {
		return
	}
	i, out := c.createOwned(old)
	if out == nil || out.answer != done {
		return
	}
	defer c.publish(i)
	for range 3 {
		switch c.removeSeen(old).answer {
		case done:
			c.bury(old)
			return
		case conflict: // somebody has changed it: that goes along
			if c.load(old).answer == done && c.changeSeen(i).answer == done {
				continue
			}
		}
		break
	}
	c.remove(i) // the deferred call tells the others of it all the same
}

// changeSeen updates a record from what this client saw last, if it ever did.
func (c *client) changeSeen(i int) *output {
	if _, ok := c.seen[i]; !ok && c.load(i).answer != done {
		return &output{answer: notFound}
	}
	in := c.on(update, i)
	in.old, in.data, in.deadline = c.seen[i], c.next(), c.deadline()
	id, old, data := c.id(i), c.data(in.old), c.data(in.data)
	out := c.do(in, func(ctx context.Context, _ *output) error {
		return c.store.Update(ctx, id, old, data, c.at(in.deadline))
	})
	if out.answer == done {
		c.seen[i] = in.data
	}
	return out
}

// change updates a record from what it holds now.
func (c *client) change(i int) {
	if c.load(i).answer == done {
		c.changeSeen(i)
	}
}

func (c *client) touch(i int) {
	in := c.on(touch, i)
	in.deadline = c.deadline()
	id := c.id(i)
	c.do(in, func(ctx context.Context, _ *output) error { return c.store.Touch(ctx, id, c.at(in.deadline)) })
}

func (c *client) remove(i int) {
	id := c.id(i)
	c.do(c.on(remove, i), func(ctx context.Context, _ *output) error { return c.store.Delete(ctx, id, nil) })
}

// removeSeen ends a record if it holds what this client saw last.
func (c *client) removeSeen(i int) *output {
	if _, ok := c.seen[i]; !ok && c.load(i).answer != done {
		return &output{answer: notFound}
	}
	in := c.on(removeOld, i)
	in.old = c.seen[i]
	id, old := c.id(i), c.data(in.old)
	return c.do(in, func(ctx context.Context, _ *output) error { return c.store.Delete(ctx, id, old) })
}

// revoke ends the user's records but those that are spared, with a moment that is
// now and then an older one.
func (c *client) revoke(spared ...int) {
	in := input{verb: revoke, object: c.object(), fence: c.fence()}
	in.moment = c.moment.Add(1)
	if c.rng.IntN(3) == 0 {
		in.moment = max(1, in.moment-1-c.rng.Int32N(6))
	}
	var except []string
	for _, i := range spared {
		except = append(except, c.id(i))
		if i >= guests {
			in.spared |= 1 << (i - guests)
		}
	}
	c.do(in, func(ctx context.Context, out *output) (err error) {
		out.n, err = c.store.RevokeUser(ctx, c.user, c.at(in.moment), except...)
		return err
	})
}

func (c *client) userIDs() {
	c.do(input{verb: list, object: c.object()}, func(ctx context.Context, out *output) error {
		ids, err := c.store.UserIDs(ctx, c.user)
		out.slots = c.slots(ids)
		return err
	})
}
