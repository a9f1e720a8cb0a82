package medicine_test

import (
	"context"
	"regexp"
	"sync/atomic"

	"github.com/pillboxgo/pillbox/medicine/users"
	"github.com/pillboxgo/pillbox/session"
)

// A watchedTable is a table of accounts that tells when somebody signs in, and
// then has them wait.
type watchedTable struct {
	users.Table
	arrived chan struct{}
	release chan struct{} // nil: nobody waits
}

func (w *watchedTable) ByName(ctx context.Context, name string) (users.User, error) {
	if w.release != nil {
		w.arrived <- struct{}{}
		<-w.release
	}
	return w.Table.ByName(ctx, name)
}

// indexed is a store that knows whose a session is.
type indexed interface {
	session.Store
	session.UserIndex
}

// A rewritten store shows sessions with another device, once it is on.
type rewritten struct {
	indexed
	device string // a member with its comma, or ""
	on     atomic.Bool
}

var deviceMember = regexp.MustCompile(`"device":\{[^}]*\},?`)

func (s *rewritten) Load(ctx context.Context, id string, slide session.Slide) (session.Record, error) {
	rec, err := s.indexed.Load(ctx, id, slide)
	if err == nil && s.on.Load() {
		data := deviceMember.ReplaceAllLiteralString(string(rec.Data), "")
		rec.Data = []byte(`{` + s.device + data[1:])
		if last := len(data) - 2; data[last] == ',' { // it was the last member
			rec.Data = []byte(`{` + s.device + data[1:last] + `}`)
		}
	}
	return rec, err
}
