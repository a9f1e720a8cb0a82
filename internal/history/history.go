package history

import (
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/session"
)

// Operations is how many operations a history has if nothing else is said: what
// each run of the tests can afford. "make histories" asks for 100,000.
const Operations = 20_000

// Variable names the environment variable that, if it is set, says how many
// operations each history has, whatever its [Config] says.
const Variable = "PILLBOX_HISTORIES"

// A Handle is a store that finds records by their owner.
type Handle interface {
	session.Store
	session.UserIndex
}

// Config says which store to test, and how much. Open is required; the zero value
// of every other field suits most stores.
type Config struct {
	_ [0]func() // keyed literals only

	// Open opens the store's records once for each handle that it returns,
	// of which there is at least one, as that many processes would. It is
	// called once. The records may lie among others: ids and users are
	// random.
	Open func(t *testing.T) []Handle

	// Operations is how many calls are made at least. Zero means
	// [Operations], and the environment variable [Variable] overrules it.
	Operations int

	// Clients is how many calls are made at once in each world. Zero means 4.
	Clients int

	// Worlds is how many worlds are alive at once. Zero means 4.
	Worlds int

	// AtomicRevoke says that all the records which a RevokeUser ends do so at
	// one moment, for whoever looks. The contract does not ask for that.
	AtomicRevoke bool

	// Failures is how many calls of 10,000 may return an error that neither
	// the contract nor an impatient client explains, such as that of a
	// connection which the server has closed. Zero means none.
	Failures int

	// Seed decides what the clients do, but not which of them is faster.
	// Zero means another one each time.
	Seed uint64
}

// withDefaults returns a Config without zeros.
func (c Config) withDefaults() (Config, error) {
	orElse := func(n *int, or int) {
		if *n == 0 {
			*n = or
		}
	}
	orElse(&c.Operations, Operations)
	orElse(&c.Clients, 4)
	orElse(&c.Worlds, 4)
	if c.Seed == 0 {
		c.Seed = uint64(time.Now().UnixNano())
	}
	if n := os.Getenv(Variable); n != "" {
		var err error
		c.Operations, err = strconv.Atoi(n)
		return c, err
	}
	return c, nil
}

// Run makes a history on the store that cfg describes, checks it, and logs what
// happened in it. It fails the test if the history cannot be explained, if calls
// returned errors that they had no reason for, and if one of the contract's
// errors was never met, since then less was tested than it seems.
func Run(t *testing.T, cfg Config) {
	t.Helper()
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatalf("%s: %v", Variable, err)
	}
	r := newRun(t.Context(), cfg, cfg.Open(t))
	found := r.explore()
	t.Log(r.report())
	failures, some := r.strangers()
	if allowed := (r.cfg.Failures*r.tally.total() + 9_999) / 10_000; failures > allowed {
		t.Errorf("%d calls returned an error that the contract does not know, %d may:\n%s", failures, allowed, some)
	}
	if found != nil {
		t.Fatal(found.message(pictureFile(t)))
	}
	if t.Failed() {
		return
	}
	if n := r.tally.total(); n < cfg.Operations {
		t.Errorf("%d operations; want %d", n, cfg.Operations)
	}
	for a, of := range answers {
		// Of 1,000 operations about ten are answered with the rarest.
		if cfg.Operations >= 1000 && of.err != nil && r.tally.of(answer(a)) == 0 {
			t.Errorf("no operation was answered with %s", of.name)
		}
	}
}

// explore makes and checks worlds until there are enough, or one of them cannot be
// explained.
func (r *run) explore() *violation {
	for r.tally.total() < r.cfg.Operations {
		began := time.Now()
		worlds := r.play(16)
		r.played += time.Since(began)

		began = time.Now()
		found := r.check(worlds)
		r.checked += time.Since(began)
		if found != nil {
			return found
		}
	}
	return nil
}

// play runs n more worlds.
func (r *run) play(n int) []*world {
	worlds := make([]*world, n)
	for i := range worlds {
		worlds[i] = r.newWorld()
	}
	each(r.cfg.Worlds, worlds, (*world).play)
	return worlds
}

// check returns a world that cannot be explained, if there is one.
func (r *run) check(worlds []*world) *violation {
	found := make(chan *violation, len(worlds))
	each(runtime.GOMAXPROCS(0), worlds, func(w *world) {
		if v := w.check(); v != nil {
			found <- v
		}
	})
	close(found)
	return <-found
}
