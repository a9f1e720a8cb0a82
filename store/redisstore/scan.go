package redisstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"time"

	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// scanCount is how many keys one SCAN looks at, which takes Redis some tenths of
// a millisecond.
const scanCount = "1000"

// globSpecial makes a pattern of MATCH take a prefix literally.
var globSpecial = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// scan calls each with the keys that begin with prefix and hold a value of the
// kind, node after node. A key that is there all the while comes at least once,
// and maybe more often.
func (s *Store) scan(ctx context.Context, prefix, kind string, each func(node engine, keys []string) error) error {
	nodes, err := s.engine.masters(ctx)
	if err != nil {
		return err
	}
	for _, node := range nodes {
		for cursor := ""; cursor != "0"; {
			if cursor == "" {
				cursor = "0"
			}
			r, err := do(ctx, node, command{
				words: []string{"SCAN", cursor, "MATCH", globSpecial.Replace(prefix) + "*", "COUNT", scanCount, "TYPE", kind},
				again: true,
			})
			if err != nil {
				return err
			}
			if len(r.list) != 2 {
				return errors.New("the reply makes no sense")
			}
			keys := make([]string, len(r.list[1].list))
			for i, key := range r.list[1].list {
				keys[i] = key.text
			}
			if err := each(node, keys); err != nil {
				return err
			}
			cursor = r.list[0].text
		}
	}
	return nil
}

// scanRecords calls each with the ids of records, as scan does with keys.
func (s *Store) scanRecords(ctx context.Context, each func(ids []string) error) error {
	return s.scan(ctx, s.prefix, "string", func(_ engine, keys []string) error {
		ids := keys[:0]
		for _, key := range keys {
			if key != s.lease {
				ids = append(ids, strings.TrimPrefix(key, s.prefix))
			}
		}
		return each(ids)
	})
}

// Count implements [session.Counter]. It looks at every key of the database, and
// keeps 8 bytes for each session meanwhile.
func (s *Store) Count(ctx context.Context) (int, error) {
	var seen []uint64
	seed := maphash.MakeSeed()
	err := s.scanRecords(ctx, func(ids []string) error {
		for _, id := range ids {
			seen = append(seen, maphash.String(seed, id))
		}
		return nil
	})
	if err != nil {
		return 0, fail("count sessions", err)
	}
	slices.Sort(seen)
	return len(slices.Compact(seen)), nil
}

// Clear implements [session.Clearer]: it removes every string whose key begins
// with the prefix. Revocations stay in force. It waits for no replica.
func (s *Store) Clear(ctx context.Context) error {
	err := s.scanRecords(ctx, func(ids []string) error {
		cmds := make([]command, len(ids))
		for i, id := range ids {
			cmds[i] = command{words: []string{"UNLINK"}, key: s.key(id), again: true}
		}
		_, err := pipe(ctx, s.engine, cmds)
		return err
	})
	if err == nil && s.channel != "" {
		_, err = s.do(ctx, command{words: []string{"PUBLISH", s.channel, ""}, again: true})
	}
	return fail("clear sessions", err)
}

// The order in which List returns records is that of the SHA-256 of their ids:
// the only order that stays the same whatever Redis does to its tables, needs no
// memory of what was returned, and is the same in every process. SCAN knows no
// order and may return a key twice.
//
// One pass over all keys finds the next windowSize of them in this order, and
// serves as many calls as it can.
const (
	windowSize = 32768
	windows    = 4           // that are kept for calls to come
	windowLife = time.Minute // after the call before
)

type sum [sha256.Size]byte

type entry struct {
	sum sum
	id  string
}

// A window is a part of a listing.
type window struct {
	cursor  string // of the call that it serves next
	entries []entry
	more    bool // there are records after it
	expiry  *time.Timer
}

// List implements [session.Lister]. The cursor can be used in any process.
//
// One call in 32,768 records, and the first in this process, looks at every key
// of the database. While a Cluster moves a slot from node to node, its sessions
// may be missing.
func (s *Store) List(ctx context.Context, cursor string, limit int) (ids []string, next string, err error) {
	if err := contract.CheckLimit(limit); err != nil {
		return nil, "", fail("list sessions", err)
	}
	for len(ids) == 0 {
		w := s.takeWindow(cursor)
		if w == nil {
			if w, err = s.readWindow(ctx, cursor); err != nil {
				return nil, "", fail("list sessions", err)
			}
		}
		page := w.entries[:min(limit, len(w.entries))]
		w.entries = w.entries[len(page):]
		for _, e := range page {
			ids = append(ids, e.id)
		}
		// Some may have ended since they were found.
		if ids, err = s.living(ctx, ids); err != nil {
			return nil, "", fail("list sessions", err)
		}
		if len(w.entries) == 0 && !w.more {
			return ids, "", nil
		}
		cursor = hex.EncodeToString(page[len(page)-1].sum[:])
		if len(w.entries) > 0 {
			w.cursor = cursor
			s.keepWindow(w)
		}
	}
	return ids, cursor, nil
}

// readWindow finds the records that come after the cursor.
func (s *Store) readWindow(ctx context.Context, cursor string) (*window, error) {
	var after sum
	if cursor != "" {
		if n, err := hex.Decode(after[:], []byte(cursor)[:min(len(cursor), 2*len(after))]); err != nil || n != len(after) || len(cursor) != 2*len(after) {
			return nil, contract.ErrCursor
		}
	}
	w := new(window)
	err := s.scanRecords(ctx, func(ids []string) error {
		for _, id := range ids {
			e := entry{sha256.Sum256([]byte(id)), id}
			if string(e.sum[:]) > string(after[:]) {
				w.entries = append(w.entries, e)
			}
		}
		if len(w.entries) >= 2*windowSize {
			w.trim()
		}
		return nil
	})
	w.trim()
	return w, err
}

// trim puts the entries in order, each once, and keeps the first of them.
func (w *window) trim() {
	slices.SortFunc(w.entries, func(a, b entry) int { return strings.Compare(string(a.sum[:]), string(b.sum[:])) })
	w.entries = slices.CompactFunc(w.entries, func(a, b entry) bool { return a.sum == b.sum })
	if len(w.entries) > windowSize {
		w.entries = slices.Clip(slices.Clone(w.entries[:windowSize]))
		w.more = true
	}
}

// takeWindow returns the window for a cursor, if there is one, to this caller
// alone.
func (s *Store) takeWindow(cursor string) *window {
	s.pages.Lock()
	defer s.pages.Unlock()
	i := slices.IndexFunc(s.listing, func(w *window) bool { return w.cursor == cursor })
	if cursor == "" || i < 0 {
		return nil
	}
	w := s.listing[i]
	w.expiry.Stop()
	s.listing = slices.Delete(s.listing, i, i+1)
	return w
}

// keepWindow keeps a window for the call that goes on with it.
func (s *Store) keepWindow(w *window) {
	s.pages.Lock()
	defer s.pages.Unlock()
	if len(s.listing) == windows {
		s.listing[0].expiry.Stop()
		s.listing = slices.Delete(s.listing, 0, 1)
	}
	w.expiry = time.AfterFunc(windowLife, func() {
		s.pages.Lock()
		defer s.pages.Unlock()
		s.listing = slices.DeleteFunc(s.listing, func(kept *window) bool { return kept == w })
	})
	s.listing = append(s.listing, w)
}
