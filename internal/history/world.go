package history

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	guests  = 2          // the records of a world that nobody owns, which come back after their end
	objects = 1 + guests // of a world: its user, with all owned records, and the guests
	moves   = 12         // of each client
)

// A world is a user, a few records, and the clients that work on them.
type world struct {
	*run
	number int
	user   string
	start  time.Time // deadlines and moments count from here
	rng    *mathrand.Rand

	most      int  // Owner.Max
	reject    bool // Owner.Reject
	impatient bool // clients give up now and then
	together  bool // clients wait for each other before each move

	moment   atomic.Int32 // the latest that anybody has named
	versions atomic.Int32
	calls    atomic.Int32 // that end several records
	arrived  atomic.Int32 // how often clients have waited for each other

	mu      sync.Mutex
	ids     []string // of the guests, then of the user's records in the order of their slots
	known   []int    // the indices into ids of which clients know
	ended   []int    // those of them that somebody has found to be gone
	history []porcupine.Operation
}

func (r *run) newWorld() *world {
	r.worlds++
	w := &world{
		run:    r,
		number: r.worlds,
		user:   "user-" + rand.Text(),
		start:  time.Now().Truncate(time.Second),
		rng:    mathrand.New(mathrand.NewPCG(r.cfg.Seed, uint64(r.worlds))),
	}
	switch w.number % 3 {
	case 1:
		w.most = 1 + w.rng.IntN(3)
	case 2:
		w.most, w.reject = 1+w.rng.IntN(3), true
	}
	w.impatient = w.rng.IntN(16) == 0
	w.moment.Store(1)
	for i := range guests {
		w.ids = append(w.ids, rand.Text())
		w.known = append(w.known, i)
	}
	return w
}

// play lets the clients loose, and sees what they leave behind.
func (w *world) play() {
	// A store in memory is done with a call before another goroutine has begun
	// to run. Elsewhere waiting like this would take the store's time.
	usual := w.tally.usual()
	w.together = 0 < usual && usual < 50*time.Microsecond

	var wg sync.WaitGroup
	start := make(chan struct{})
	clients := make([]*client, w.cfg.Clients)
	for i := range clients {
		c := w.newClient(i)
		clients[i] = c
		wg.Go(func() {
			<-start
			for i := range moves {
				w.meet(i + 1)
				c.move()
			}
		})
	}
	close(start)
	wg.Wait()

	// Whatever came undone, even after everybody had turned away, shows now.
	auditor := w.newClient(len(clients))
	w.impatient = false
	for _, i := range slices.Concat(w.known, w.ended) {
		auditor.load(i)
	}
	auditor.userIDs()
	for _, c := range append(clients, auditor) {
		w.history = append(w.history, c.history...)
	}
	w.refine()
}

// meet waits until all clients have come as far as to the n-th move.
func (w *world) meet(n int) {
	if !w.together {
		return
	}
	w.arrived.Add(1)
	for int(w.arrived.Load()) < n*w.cfg.Clients {
		runtime.Gosched() // waking up would take longer than the call
	}
}

// reserve returns an index for a new record of the user, or false if there are
// enough.
func (w *world) reserve() (int, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.ids) == guests+maxOwned {
		return 0, false
	}
	w.ids = append(w.ids, rand.Text())
	return len(w.ids) - 1, true
}

// publish tells the clients of a record.
func (w *world) publish(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known = append(w.known, i)
}

// bury tells the clients that a record of the user is gone.
func (w *world) bury(i int) {
	if i < guests {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := slices.Index(w.known, i); at >= 0 {
		w.known = slices.Delete(w.known, at, at+1)
		w.ended = append(w.ended, i)
	}
}

// id returns the id of a record.
func (w *world) id(i int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ids[i]
}

// place returns the object that a record belongs to, and its slot there.
func (w *world) place(i int) (object, slot int) {
	if i < guests {
		return w.object() + 1 + i, 0
	}
	return w.object(), i - guests
}

// object returns the number of the object that is the user.
func (w *world) object() int { return w.number * objects }

// slots returns the slots of a user's records: -1 for what is not.
func (w *world) slots(ids []string) []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	slots := make([]int, len(ids))
	for i, id := range ids {
		slots[i] = slices.Index(w.ids[guests:], id)
	}
	return slots
}

// at returns a moment or deadline of the world.
func (w *world) at(ms int32) time.Time { return w.start.Add(time.Duration(ms) * time.Millisecond) }

// data returns a version's bytes, as long or short as chance has it.
func (w *world) data(version int16) []byte {
	return fmt.Appendf(nil, `{"cookie":{"originalMaxAge":null,"httpOnly":true,"path":"/"},"user":"%s","pad":"%0*d","version":%d}`,
		w.user, 1+int(version)%7*40, version, version)
}

// version returns the version that data is, or -1 if it is none of this world's.
func (w *world) version(data []byte) int16 {
	_, text, _ := bytes.Cut(data, []byte(`"version":`))
	n, err := strconv.ParseInt(string(bytes.TrimSuffix(text, []byte("}"))), 10, 16)
	if err != nil || !bytes.Equal(data, w.data(int16(n))) {
		return -1
	}
	return int16(n)
}

// context returns that of a call, and whether it ends early, as it does now and
// then where clients are impatient.
func (w *world) context(rng *mathrand.Rand) (ctx context.Context, cancel context.CancelFunc, early bool) {
	if !w.impatient || rng.IntN(8) > 0 {
		return w.ctx, func() {}, false
	}
	patience := time.Duration(0)
	if rng.IntN(4) > 0 {
		patience = mathrand.N(2*w.tally.usual() + time.Microsecond)
	}
	ctx, cancel = context.WithTimeout(w.ctx, patience)
	return ctx, cancel, true
}

// refine turns what the clients have written down into what the model knows: it
// spells out what a list of ids says about each record, and when calls that end
// several records have done so.
func (w *world) refine() {
	vague := slices.ContainsFunc(w.history, func(op porcupine.Operation) bool {
		return op.Input.(*input).verb == signIn && op.Output.(*output).answer == unknown
	})
	born := map[int]int64{} // when each of the user's records was known to exist
	dead := map[int]int64{} // and when it was known to have ended
	for _, op := range w.history {
		in, out := op.Input.(*input), op.Output.(*output)
		in.vague = vague
		switch {
		case in.object != w.object():
		case in.verb == signIn && out.answer == done:
			born[in.slot] = op.Return
		case out.answer == notFound, in.verb == remove && out.answer == done, in.verb == removeOld && out.answer == done:
			if at, ok := dead[in.slot]; !ok || op.Return < at {
				dead[in.slot] = op.Return
			}
		}
	}
	for _, op := range w.history {
		in, out := op.Input.(*input), op.Output.(*output)
		switch {
		case in.verb == list:
			for slot, at := range born {
				end, ended := dead[slot]
				if at < op.Call && !(ended && end < op.Call) && !slices.Contains(out.slots, slot) {
					w.add(op, &input{verb: omit, object: in.object, slot: slot}, op.Call, op.Return)
				}
			}
		case in.fence != 0 && out.answer == done:
			w.add(op, &input{verb: returned, object: in.object, fence: in.fence}, op.Return+1, op.Return+1)
		}
	}
}

// add writes down something else that op says.
func (w *world) add(op porcupine.Operation, in *input, call, ret int64) {
	w.history = append(w.history, porcupine.Operation{
		ClientId: op.ClientId, Input: in, Call: call, Output: &output{}, Return: ret,
	})
}
