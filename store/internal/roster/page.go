package roster

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/internal/contract"
)

// minFull is how many ids a roster lists before somebody looks which of them
// are still live.
const minFull = 16

// A page is a roster's content.
type page struct {
	// IDs are those of the user's records, oldest first.
	IDs []string `json:"ids,omitempty"`

	// Ending are the ids of records that have ended as far as the user is
	// concerned, but may not be deleted yet.
	Ending []string `json:"ending,omitempty"`

	// Full is the length of IDs at which the next Create looks which of them
	// are live. It grows with what it finds, so that the looking costs each
	// Create a constant share.
	Full int `json:"full,omitempty"`

	// Revoked is the latest moment that the user's sessions were revoked
	// with, in nanoseconds since 1970, and Kept is when that may be
	// forgotten, in milliseconds. Revoked is nil for a user that never was.
	Revoked *int64 `json:"revoked,omitempty"`
	Kept    int64  `json:"kept,omitempty"`
}

// parse reads a document. None is an empty page.
func parse(text []byte) (*page, error) {
	p := new(page)
	if text != nil {
		if err := json.Unmarshal(text, p); err != nil {
			// The text stays out of the message: it lists ids.
			return nil, fmt.Errorf("the user's index: %w", session.ErrDamaged)
		}
	}
	p.Full = max(p.Full, minFull)
	return p, nil
}

// text returns the document, nil if it would say nothing, and the moment from
// which it says nothing any more, which is zero if that does not come by itself.
func (p *page) text(now time.Time) (data []byte, until time.Time) {
	if p.Revoked != nil && p.Kept < now.UnixMilli() {
		p.Revoked, p.Kept = nil, 0
	}
	if len(p.IDs) == 0 && len(p.Ending) == 0 {
		if p.Revoked == nil {
			return nil, time.Time{}
		}
		until = time.UnixMilli(p.Kept)
		p.Full = minFull
	}
	data, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return data, until
}

func (p *page) revoke(at, kept time.Time) {
	moment := contract.Nanos(at)
	if p.Revoked == nil || moment > *p.Revoked {
		p.Revoked = &moment
	}
	p.Kept = max(p.Kept, kept.UnixMilli())
}

// count returns how many ids are listed, but for one.
func (p *page) count(besides string) int {
	if besides != "" && slices.Contains(p.IDs, besides) {
		return len(p.IDs) - 1
	}
	return len(p.IDs)
}

// oldest returns the first n ids, but for one.
func (p *page) oldest(n int, besides string) []string {
	var ids []string
	for _, id := range p.IDs {
		if len(ids) == n {
			break
		}
		if id != besides {
			ids = append(ids, id)
		}
	}
	return ids
}

// condemn moves ids from those that live to those that end.
func (p *page) condemn(ids []string) {
	p.IDs = without(p.IDs, ids)
	p.Ending = append(p.Ending, ids...)
}

// without returns those of ids that are not among dropped.
func without(ids, dropped []string) []string {
	if len(dropped) == 0 {
		return ids
	}
	drop := make(map[string]bool, len(dropped))
	for _, id := range dropped {
		drop[id] = true
	}
	return slices.DeleteFunc(ids, func(id string) bool { return drop[id] })
}
