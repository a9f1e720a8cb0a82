package history

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pillboxgo/pillbox/session"
)

// explore makes a history on a ledger.
func explore(t *testing.T, store Handle, cfg Config) (*run, *violation) {
	t.Helper()
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(t.Context(), cfg, []Handle{store})
	return r, r.explore()
}

// bound is within how many operations each broken store has to be found out: those
// that a correct one is given.
const bound = 100_000

// brokenInBoth are refused whatever Config.AtomicRevoke says.
var brokenInBoth = []string{
	"upserts by Update",
	"compares before it swaps",
	"loses an Update now and then",
	"updates, and says that it could not",
	"writes back what was deleted meanwhile",
	"moves the deadline in spite of a conflict",
	"reads from a replica that lags",
	"serves what was deleted, now and then",
	"returns the data of another version",
	"slides back",
	"slides past Before",
	"returns the deadline from before the slide",
	"revives by Touch",
	"touches back",
	"restores what was deleted",
	"deletes later",
	"deletes the absent with an old",
	"deletes what was changed",
	"compares before it deletes",
	"creates over what is there",
	"creates without a lock",
	"creates nothing where something was deleted",
	"stores what it refuses",
	"admits before it creates",
	"takes AsOf to the millisecond for later",
	"forgets revocations",
	"counts what is replaced",
	"counts the dead",
	"ends the newest",
	"ends one too few",
	"ends all",
	"lists the newest first",
	"lists all but one",
	"lists everybody's",
	"spares nobody",
	"spares the newest",
	"looks before it revokes",
	"takes the last moment for the latest",
	"revokes later",
}

// brokenIfAtomic are refused only with Config.AtomicRevoke.
var brokenIfAtomic = []string{"ends records one by one", "miscounts"}

func TestBrokenStoresAreRefused(t *testing.T) {
	refuse := func(t *testing.T, bug string, atomic bool) {
		r, found := explore(t, newLedger(bug), Config{Operations: bound, AtomicRevoke: atomic})
		if found == nil {
			t.Fatalf("a store that %s passes:\n%s", bug, r.report())
		}
		t.Logf("found after %d operations", r.tally.total())
	}
	for _, bug := range brokenInBoth {
		t.Run(bug, func(t *testing.T) {
			refuse(t, bug, false)
			refuse(t, bug, true)
		})
	}
	for _, bug := range brokenIfAtomic {
		t.Run(bug, func(t *testing.T) { refuse(t, bug, true) })
	}
}

func TestCorrectStoresPass(t *testing.T) {
	for name, cfg := range map[string]Config{
		"atomic":                      {AtomicRevoke: true},
		"not atomic, but it might be": {},
		"many clients":                {AtomicRevoke: true, Clients: 8},
		"one client":                  {AtomicRevoke: true, Clients: 1},
	} {
		t.Run(name, func(t *testing.T) {
			if cfg.Operations = 10_000; cfg.Clients == 1 {
				cfg.Operations = 1000
			}
			r, found := explore(t, newLedger(""), cfg)
			if found != nil {
				t.Fatal(found.message(filepath.Join(t.TempDir(), "history.html"), nil))
			}
			t.Log(r.report())
			for a, of := range answers {
				if r.tally.of(answer(a)) == 0 && cfg.Clients != 1 {
					t.Errorf("no operation was answered with %s", of.name)
				}
			}
		})
	}
	t.Run("ends records one by one", func(t *testing.T) {
		_, found := explore(t, newLedger("ends records one by one"), Config{Operations: 10_000})
		if found != nil {
			t.Fatal(found.message(filepath.Join(t.TempDir(), "history.html"), nil))
		}
	})
}

// A message shows the operations that contradict each other, not the whole world,
// and names a picture that exists.
func TestMessageIsShort(t *testing.T) {
	_, found := explore(t, newLedger("revives by Touch"), Config{Operations: bound})
	if found == nil {
		t.Fatal("a store that revives by Touch passes")
	}
	picture := filepath.Join(t.TempDir(), "history.html")
	text := found.message(picture, nil)
	if !strings.Contains(text, "Touch(") || !strings.Contains(text, picture) || strings.Contains(text, found.world.user) {
		t.Errorf("the message has no Touch or no picture, or names the user:\n%s", text)
	}
	if len(found.history) >= len(found.whole) {
		t.Errorf("%d of %d operations are shown; want fewer", len(found.history), len(found.whole))
	}
	if matches, err := filepath.Glob(picture); err != nil || len(matches) != 1 {
		t.Errorf("picture: %v, %v", matches, err)
	}
}

// A deaf store never lists anything.
type deaf struct{ *ledger }

func (deaf) UserIDs(context.Context, string) ([]string, error) { return nil, session.ErrDamaged }

// Errors that the contract does not know are noticed where nobody gave up.
func TestStrangeErrorsAreNoticed(t *testing.T) {
	r, _ := explore(t, deaf{newLedger("")}, Config{Operations: 2000})
	if n, some := r.strangers(); n == 0 || !strings.HasPrefix(some, "UserIDs: stored session is damaged (") || strings.Contains(some, "\n") {
		t.Errorf("strangers = %d, %q; want those of UserIDs", n, some)
	}
}
