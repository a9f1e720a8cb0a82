package mysqlstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pillboxgo/pillbox/internal/servers"
	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/store/mysqlstore"
)

// An application has a trigger on the table, as for an audit. The server then
// does not tell the insert id of an UPDATE that fired it.
func TestTriggersHideNoOutcome(t *testing.T) {
	onBoth(t, func(t *testing.T, k servers.Kind) {
		server := servers.Shared(t, k)
		admin := pool(t, config(t, server, ""))
		for name, params := range dsns {
			t.Run(name, func(t *testing.T) {
				opts := mysqlstore.Options{Table: tableName(), PruneEvery: -1, Logger: quiet}
				migrated(t, config(t, server, ""), opts)
				do(t, admin, "CREATE TRIGGER "+opts.Table+"_audit AFTER UPDATE ON "+opts.Table+" FOR EACH ROW SET @audited = NEW.data")
				for what, s := range map[string]session.Store{
					"Open": open(t, config(t, server, ""), opts),
					"New":  mysqlstore.New(pool(t, config(t, server, params)), opts),
				} {
					ctx := t.Context()
					a, b := []byte(`{"a":1}`), []byte(`{"b":2}`)
					until := in(time.Hour)
					if err := s.Create(ctx, "id", session.Record{Data: a, Deadline: until}); err != nil {
						t.Fatal(err)
					}
					for _, call := range []struct {
						name string
						do   func() error
						want error
					}{
						{"Update", func() error { return s.Update(ctx, "id", a, b, until) }, nil},
						{"Update to the same", func() error { return s.Update(ctx, "id", b, b, until) }, nil},
						{"Update of what is different", func() error { return s.Update(ctx, "id", a, b, until) }, session.ErrConflict},
						{"Update of what is different to the same", func() error { return s.Update(ctx, "id", a, a, until) }, session.ErrConflict},
						{"Update of nothing", func() error { return s.Update(ctx, "none", b, b, until) }, session.ErrNotFound},
						{"Touch", func() error { return s.Touch(ctx, "id", until.Add(time.Hour)) }, nil},
						{"Touch back", func() error { return s.Touch(ctx, "id", until) }, nil},
						{"Touch of nothing", func() error { return s.Touch(ctx, "none", until) }, session.ErrNotFound},
						{"Delete", func() error { return s.Delete(ctx, "none", nil) }, nil},
					} {
						if err := call.do(); !errors.Is(err, call.want) {
							t.Errorf("%s: %s = %v; want %v", what, call.name, err, call.want)
						}
					}
					to := until.Add(3 * time.Hour)
					got, err := s.Load(ctx, "id", session.Slide{To: to})
					if err != nil || string(got.Data) != string(b) || got.Deadline.Before(to) {
						t.Errorf("%s: Load that moves the deadline = %s until %v, %v; want %s until %v", what, got.Data, got.Deadline, err, b, to)
					}
					if err := s.Delete(ctx, "id", b); err != nil {
						t.Errorf("%s: Delete = %v", what, err)
					}
				}
			})
		}
	})
}
