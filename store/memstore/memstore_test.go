package memstore_test

import (
	"log/slog"
	"testing"

	"github.com/pillboxgo/pillbox/session"
	"github.com/pillboxgo/pillbox/session/storetest"
	"github.com/pillboxgo/pillbox/store/memstore"
)

func TestStore(t *testing.T) {
	storetest.RunConfig(t, storetest.Config{
		Open: func(t *testing.T) session.Store {
			s := memstore.New(memstore.Options{})
			t.Cleanup(func() { s.Close() })
			return s
		},
		Break: func(t *testing.T, s session.Store) { s.(*memstore.Store).Close() },
	})
}

var quiet = slog.New(slog.DiscardHandler)
