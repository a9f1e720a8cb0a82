package pgstore_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/store/pgstore"
)

// fill leaves dead and live records, mixed.
func fill(t *testing.T, to, name string, dead, live int) {
	t.Helper()
	execute(t, to, fmt.Sprintf(`INSERT INTO %s (sid, sess, expire)
		SELECT 'id' || n, '{"cookie":{}}', now() + CASE WHEN n %% %d < %d THEN interval '-1 minute' ELSE interval '1 hour' END
		FROM generate_series(1, %d) n`, name, (dead+live)/1000, dead/1000, dead+live))
}

func TestPruneRemovesTheDeadInBatches(t *testing.T) {
	to, name := shared(t), table()
	pool := connect(t, to)
	s := open(t, pool, pgstore.Options{Table: name})
	fill(t, to, name, 7000, 3000)
	old := time.Now().Add(-time.Hour).UnixMilli()
	execute(t, to, "INSERT INTO "+name+"_revocations VALUES ('old', 0, $1), ('kept', 0, $2)", old, time.Now().Add(time.Hour).UnixMilli())
	for _, step := range []struct{ limit, want int }{{1, 1}, {100, 100}, {5000, 5000}, {5000, 1899}, {5000, 0}} {
		if n, err := s.Prune(t.Context(), step.limit); n != step.want || err != nil {
			t.Errorf("Prune(%d) = %d, %v; want %d", step.limit, n, err, step.want)
		}
	}
	if n, err := s.Count(t.Context()); n != 3000 || err != nil {
		t.Errorf("Count = %d, %v; want the 3000 that live", n, err)
	}
	if owner := scan[string](t, pool, "SELECT string_agg(encode(owner, 'escape'), ',') FROM "+name+"_revocations"); owner != "kept" {
		t.Errorf("revocations left: %s; want the one that is needed", owner)
	}
}

// Of the processes that prune from time to time one does it at a time; an
// operator who prunes does not wait for them.
func TestOneProcessPrunesAtATime(t *testing.T) {
	to, name := shared(t), table()
	s := open(t, connect(t, to), pgstore.Options{Table: name})
	fill(t, to, name, 5000, 5000)
	tx := hold(t, to)
	if _, err := tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1)", pgstore.Turn("public", name)); err != nil {
		t.Fatal(err)
	}
	if n, err := pgstore.PruneInTurn(s, t.Context(), 128); n != 0 || err != nil {
		t.Errorf("pruning while another process does = %d, %v; want 0", n, err)
	}
	if n, err := s.Prune(t.Context(), 10); n != 10 || err != nil {
		t.Errorf("Prune while another process prunes = %d, %v; want 10", n, err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := pgstore.PruneInTurn(s, t.Context(), 128); n != 2048 || err != nil {
		t.Errorf("pruning = %d, %v; want a batch of 2048", n, err)
	}
}

// A record that somebody is changing is left out rather than waited for.
func TestPruneWaitsForNobody(t *testing.T) {
	to, name := shared(t), table()
	s := open(t, connect(t, to), pgstore.Options{Table: name})
	fill(t, to, name, 1000, 1000)
	tx := hold(t, to)
	if _, err := tx.Exec(t.Context(), "SELECT FROM "+name+" WHERE expire < now() LIMIT 1 FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Prune(t.Context(), 5000); n != 999 || err != nil {
		t.Errorf("Prune beside a change of a dead record = %d, %v; want the 999 others", n, err)
	}
}

func TestPruneEvery(t *testing.T) {
	to, name := shared(t), table()
	pool := connect(t, to)
	watcher := open(t, pool, pgstore.Options{Table: name})
	fill(t, to, name, 5000, 5000)
	stores := []*pgstore.Store{
		pgstore.New(pool, pgstore.Options{Table: name, PruneEvery: 20 * time.Millisecond}),
		pgstore.New(pool, pgstore.Options{Table: name, PruneEvery: 20 * time.Millisecond}),
	}
	until(t, "the dead to be removed", func() bool {
		return scan[int](t, pool, "SELECT count(*)::int FROM "+name) == 5000
	})
	for _, s := range stores {
		for range 2 {
			if err := s.Close(); err != nil {
				t.Errorf("Close = %v", err)
			}
		}
	}
	if n, err := watcher.Count(t.Context()); n != 5000 || err != nil {
		t.Errorf("Count = %d, %v; want 5000", n, err)
	}
}

func TestFailureToPruneIsLogged(t *testing.T) {
	log := make(logLines, 10)
	s := pgstore.New(connect(t, shared(t)), pgstore.Options{
		Table: table(), PruneEvery: time.Millisecond, Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	defer s.Close()
	if line := <-log; !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "pillbox: postgres prune sessions: ") {
		t.Errorf("log = %q; want an error of Prune", line)
	}
}

type logLines chan string

func (c logLines) Write(b []byte) (int, error) {
	select {
	case c <- string(b):
	default:
	}
	return len(b), nil
}
